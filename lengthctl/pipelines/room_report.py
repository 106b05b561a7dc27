"""What a run of documents came to: documents, calls, tokens, and how busy the backend was."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from lengthctl.decode.flow import Answer, Setback
from lengthctl.pipelines.room_estimate import Prices
from lengthctl.records import FinishReason

__all__ = ["RoomReport", "Tally"]


@dataclass(frozen=True)
class RoomReport:
    """Numbers of one `run_documents`."""

    documents: int
    """That ended, with or without a result."""
    setbacks: Mapping[Setback, int]
    """Documents without a result, by why."""
    calls_made: int
    """Answered by the backend."""
    calls_stored: int
    """Answered by the store: paid for in an earlier sitting."""
    calls_failed: int
    """The backend gave an error."""
    prompt_tokens: int
    """Read for the calls made; 0 for those of endpoints that do not tell."""
    completion_tokens: int
    """Drawn for the calls made, tries of a control counted."""
    stored_prompt_tokens: int
    stored_completion_tokens: int
    seconds: float
    busy_share: float
    """Of the seconds, with at least as many calls under way as documents may be; 0 to 1."""
    mean_calls_out: float
    """Calls under way, over time."""
    cost: float | None = None
    """Of the calls made, where prices are known."""

    @property
    def failed(self) -> int:
        """Documents without a result."""
        return sum(self.setbacks.values())

    @property
    def line(self) -> str:
        """The numbers in a sentence."""
        causes = ", ".join(f"{count} {setback}" for setback, count in sorted(self.setbacks.items()))
        kept = f" and {self.calls_stored} kept from before" if self.calls_stored else ""
        cost = "" if self.cost is None else f", cost {self.cost:.2f}"
        return (
            f"{self.documents} documents{f' ({causes})' if causes else ''}, {self.calls_made} calls made{kept}, "
            f"{self.prompt_tokens} prompt and {self.completion_tokens} completion tokens in {self.seconds:.0f} s, "
            f"{self.busy_share:.0%} of them with the backend fully busy{cost}"
        )

    def totals(self) -> dict[str, int]:
        """What the documents took in all sittings; the same whether it was interrupted or not."""
        return {
            "calls": self.calls_made + self.calls_stored,
            "prompt_tokens": self.prompt_tokens + self.stored_prompt_tokens,
            "completion_tokens": self.completion_tokens + self.stored_completion_tokens,
        }

    def to_row(self) -> dict[str, Any]:
        """For a file of numbers."""
        return {**asdict(self), "setbacks": {str(setback): count for setback, count in sorted(self.setbacks.items())}}


class Tally:
    """Counts while documents run.

    Args:
        full: calls under way at which the backend counts as busy.
        prices: for the cost; None: not known.
        clock: seconds.
    """

    def __init__(self, full: int, prices: Prices | None, clock: Callable[[], float] = time.monotonic) -> None:
        self.ended = 0
        self.setbacks: Counter[Setback] = Counter()
        self._made: Counter[str] = Counter()
        self._stored: Counter[str] = Counter()
        self._full = full
        self._prices = prices
        self._clock = clock
        self._began = self._since = clock()
        self._out = 0
        self._busy = 0.0
        self._call_seconds = 0.0

    @property
    def failed(self) -> int:
        """Documents without a result."""
        return self.setbacks.total()

    def end(self, setback: Setback | None) -> None:
        """A document ended; None: with a result."""
        self.ended += 1
        if setback is not None:
            self.setbacks[setback] += 1

    def answer(self, answer: Answer, *, stored: bool) -> None:
        """A call was answered."""
        if answer.finish is FinishReason.ERROR:
            self._made["failed"] += 1
            return
        numbers = {"calls": 1, "prompt_tokens": answer.prompt_tokens, "completion_tokens": answer.tokens}
        (self._stored if stored else self._made).update(numbers)

    def mark(self, out: int) -> None:
        """From now on so many calls are under way."""
        now = self._clock()
        gone, self._since = now - self._since, now
        self._call_seconds += self._out * gone
        self._busy += gone if self._out >= self._full else 0.0
        self._out = out

    def facts(self) -> dict[str, float | None]:
        """For a progress line."""
        gone = self._clock() - self._began
        rate = self._made["completion_tokens"] / gone if gone > 0 else None
        return {"calls": self._made["calls"], "failed": self.failed, "tokens_per_second": rate, "cost": self._cost()}

    def report(self) -> RoomReport:
        """All numbers up to now."""
        self.mark(self._out)
        seconds = self._since - self._began
        return RoomReport(
            documents=self.ended,
            setbacks=dict(self.setbacks),
            calls_made=self._made["calls"],
            calls_stored=self._stored["calls"],
            calls_failed=self._made["failed"],
            prompt_tokens=self._made["prompt_tokens"],
            completion_tokens=self._made["completion_tokens"],
            stored_prompt_tokens=self._stored["prompt_tokens"],
            stored_completion_tokens=self._stored["completion_tokens"],
            seconds=seconds,
            busy_share=self._busy / seconds if seconds > 0 else 0.0,
            mean_calls_out=self._call_seconds / seconds if seconds > 0 else 0.0,
            cost=self._cost(),
        )

    def _cost(self) -> float | None:
        if self._prices is None:
            return None
        return self._prices.cost(self._made["prompt_tokens"], self._made["completion_tokens"])
