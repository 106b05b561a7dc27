"""AccuracyReward: see the class."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from lengthctl.registry import register
from lengthctl.rewards.completions import Completions, text_of
from lengthctl.rewards.correctness import check_answers, correct_column

__all__ = ["AccuracyReward", "last_number"]

# Every repeat takes what the one before it cannot, so time is linear.
_NUMBER = re.compile(r"(?:(?<![\w)\]}])-)?(?:[0-9]{1,3}(?:,[0-9]{3})+(?![0-9])|[0-9]+)(?:\.[0-9]+)?(?:/[0-9]+)?")


@register("reward", "accuracy")
@dataclass(frozen=True)
class AccuracyReward:
    """1 for an answer equal to the column `answer`, else 0; None for a row without one.

    With `answer: last_number` the last number anywhere in the text is the answer, reasoning included: accuracy without
    a format, for problems whose answers are numbers in digits.
    Source: the rule-based reward that label GRPO is trained on; equality by math-verify in guarded processes.
    """

    lowest: ClassVar[float] = 0.0
    highest: ClassVar[float] = 1.0
    columns: ClassVar[tuple[str, ...]] = ("answer",)

    answer: Literal["marked", "last_number"] = "marked"
    """`marked`: in a box, behind `####` or in an answer line, outside of reasoning; `last_number`: wherever it is."""

    def __call__(self, completions: Completions, **columns: Any) -> list[float | None]:
        """One value a completion.

        Raises:
            ValueError: the column `answer` is missing.
        """
        return [None if value is None else float(value) for value in self.correct(completions, columns)]

    def correct(self, completions: Completions, columns: Mapping[str, Any]) -> list[bool | None]:
        """Which completions are right, by the answer that this reward looks at; None for a row without one.

        Raises:
            ValueError: the column `answer` is missing.
        """
        if self.answer == "last_number":
            return check_answers([last_number(text_of(completion)) for completion in completions], columns)
        return correct_column(completions, columns)


def last_number(text: str) -> str | None:
    """The last number of a text as written: digits, with thousands commas, a decimal part, a denominator or a sign."""
    last = None
    for match in _NUMBER.finditer(text):
        last = match
    return last.group() if last else None
