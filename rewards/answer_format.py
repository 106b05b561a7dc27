"""AnswerFormatReward: see the class."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from lengthctl.reasoning import Reasoned
from lengthctl.registry import register
from lengthctl.rewards.answers import read_completions
from lengthctl.rewards.completions import Completions
from lengthctl.valid_math import is_valid_math

__all__ = ["AnswerFormatReward", "Marker", "has_valid_answer"]

Marker = Literal["any", "boxed", "hashes", "answer_line"]
"""How a final answer is marked, see `AnswerFormat`."""


@register("reward", "answer_format")
@dataclass(frozen=True)
class AnswerFormatReward:
    """1 when a final answer is marked outside of reasoning and is valid mathematics, else 0; right or wrong.

    Where a text marks several, the one that `parse_reasoning` settles on counts: a box, else the last.
    Source: the format reward of arXiv 2505.19439, Eq. 1. Differs from the paper: `\\fbox` counts as a box, and the
    grammar is ours (`is_valid_math`), where its code hands model text to sympy.
    """

    lowest: ClassVar[float] = 0.0
    highest: ClassVar[float] = 1.0

    marker: Marker = "any"
    """How it is to be marked; `boxed` is the paper's."""

    def __call__(self, completions: Completions, **columns: Any) -> list[float | None]:
        """One value a completion."""
        return [float(has_valid_answer(found, self.marker)) for found in read_completions(completions, columns)]


def has_valid_answer(found: Reasoned, marker: Marker = "any") -> bool:
    """The completion settles on an answer that is marked so and valid mathematics."""
    if found.final is None or (marker != "any" and found.format != marker):
        return False
    return is_valid_math(found.final)
