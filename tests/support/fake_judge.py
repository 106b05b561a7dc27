"""Judges for tests: grades from checksums of what stands between the marks of the message, or what a function says."""

from __future__ import annotations

import json
import re
import zlib
from collections.abc import Callable, Sequence

from lengthctl.judging import LONGBENCH_WRITE, Rubric
from lengthctl.records import Completion, FinishReason
from lengthctl.rollout.backend import Ability, OnCompletion, Request

_PART = r"\n<{0}-([0-9a-f]{{16}})>\n(.*)\n</{0}-\1>\n"


def between_marks(name: str, message: str) -> str:
    """What a judge sees as `request` or `text`; exactly one stretch."""
    ((_, part),) = re.findall(_PART.format(name), message, re.DOTALL)
    return str(part)


class FakeJudge:
    """A `Backend`: each grade is crc32 of dimension, request and text (UTF-8, a line each), modulo the scale."""

    abilities: frozenset[Ability] = frozenset()

    def __init__(self, rubric: Rubric = LONGBENCH_WRITE) -> None:
        self._rubric = rubric
        self.asked: list[Request] = []

    def generate(self, requests: Sequence[Request], on_completion: OnCompletion | None = None) -> list[Completion]:
        """See `Backend.generate`."""
        self.asked.extend(requests)
        done = [Completion(r.id, self._verdict(r.messages[0]["content"]), (), (), FinishReason.EOS) for r in requests]
        for completion in done:
            if on_completion is not None:
                on_completion(completion)
        return done

    def close(self) -> None:
        """Nothing to release."""

    def _verdict(self, message: str) -> str:
        seen = f"{between_marks('request', message)}\n{between_marks('text', message)}"
        steps, low = self._rubric.high - self._rubric.low + 1, self._rubric.low
        names = self._rubric.names
        return json.dumps({name: zlib.crc32(f"{name}\n{seen}".encode()) % steps + low for name in names})


class FakeModel:
    """A `Backend` that says what a function makes of each message, or fails as it does."""

    abilities: frozenset[Ability] = frozenset()

    def __init__(self, say: Callable[[str], str]) -> None:
        self._say = say
        self.asked: list[str] = []

    def generate(self, requests: Sequence[Request], on_completion: OnCompletion | None = None) -> list[Completion]:
        """See `Backend.generate`."""
        done = []
        for request in requests:
            message = request.messages[-1]["content"]
            self.asked.append(message)
            done.append(Completion(request.id, self._say(message), (), (), FinishReason.EOS))
            if on_completion is not None:
                on_completion(done[-1])
        return done

    def close(self) -> None:
        """Nothing to release."""
