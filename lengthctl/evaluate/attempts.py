"""A completion of a problem, checked, and what is measured of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from lengthctl.checking import Status

__all__ = ["MEASURES", "Attempt"]


@dataclass(frozen=True)
class Attempt:
    """One completion of a problem, checked. Lengths in tokens as `count_reasoning_tokens` counts them; `is_truncated`
    says that the limit ended it: then it is not correct, whatever its status."""

    problem_id: str
    sample: int
    status: Status
    reasoning_tokens: int
    answer_tokens: int
    total_tokens: int
    is_truncated: bool
    difficulty: float | None = None

    @property
    def is_correct(self) -> bool:
        """Solved: ended by the model, with an answer that is right."""
        return self.status is Status.CORRECT and not self.is_truncated

    def to_row(self) -> dict[str, Any]:
        """A JSON object; `parse` reads it back."""
        return {**asdict(self), "status": str(self.status)}

    @classmethod
    def parse(cls, row: Mapping[str, Any]) -> Attempt:
        """From a record; fields that are not ours are passed over."""
        fields = {key: row[key] for key in cls.__dataclass_fields__ if key in row and key != "status"}
        return cls(status=Status(row["status"]), **fields)


MEASURES: Mapping[str, Callable[[Attempt], float]] = {
    "accuracy": lambda a: float(a.is_correct),
    "no_answer": lambda a: float(a.status is Status.NO_ANSWER),
    "check_timeout": lambda a: float(a.status is Status.TIMEOUT),
    "check_error": lambda a: float(a.status is Status.ERROR),
    "truncation": lambda a: float(a.is_truncated),
    "mean_total_tokens": lambda a: float(a.total_tokens),
    "mean_reasoning_tokens": lambda a: float(a.reasoning_tokens),
    "mean_answer_tokens": lambda a: float(a.answer_tokens),
}
"""What is measured of one attempt; a metric is the mean over problems of its mean over samples."""
