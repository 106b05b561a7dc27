"""A backend that answers every request by a function of its text, with as many tokens as the text has words."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from lengthctl.records import Completion, FinishReason
from lengthctl.rollout.backend import Ability, OnCompletion, Request

__all__ = ["Solver"]


class Solver:
    """After `limit` requests comes an interrupt."""

    abilities = frozenset(Ability)

    def __init__(self, answer: Callable[[str], str], limit: int | None = None) -> None:
        self._answer = answer
        self._limit = limit
        self.seen: list[str] = []

    @property
    def asked(self) -> int:
        """Requests so far."""
        return len(self.seen)

    def generate(self, requests: Sequence[Request], on_completion: OnCompletion | None = None) -> list[Completion]:
        return [self._complete(request, on_completion) for request in requests]

    def _complete(self, request: Request, on_completion: OnCompletion | None) -> Completion:
        if self._limit is not None and self.asked >= self._limit:
            raise KeyboardInterrupt
        self.seen.append(request.messages[-1]["content"])
        text = self._answer(self.seen[-1])
        done = Completion(request.id, text, tuple(range(len(text.split()))), (), FinishReason.EOS)
        if on_completion is not None:
            on_completion(done)
        return done

    def close(self) -> None:
        """Nothing to release."""
