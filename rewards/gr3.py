"""Gr3Reward: see the class."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import ClassVar

from lengthctl.registry import register
from lengthctl.rewards.graded import Graded, GroupReward

__all__ = ["Gr3Reward"]


@register("reward", "gr3")
@dataclass(frozen=True)
class Gr3Reward(GroupReward):
    """[right] / (1 + alpha n / mean n of the group): a factor, so that length cannot be bought with correctness.

    Length in tokens; result in [0, 1]; wrong answers stay at 0, so a group without a right one feels no pressure. None
    for a row without answer.
    Source: GR3, arXiv 2603.10535; alpha 0.33 is from one public implementation.
    """

    lowest: ClassVar[float] = 0.0
    highest: ClassVar[float] = 1.0

    alpha: float = 0.33
    """Strength; at least 0."""

    def __post_init__(self) -> None:
        if self.alpha < 0:
            raise ValueError(f"alpha is at least 0, found {self.alpha}")

    def score_group(self, group: Sequence[Graded]) -> list[float]:
        """See the class."""
        mean = fmean(row.tokens for row in group) or 1.0  # all are empty: no length to compare
        return [row.is_correct / (1 + self.alpha * row.tokens / mean) for row in group]
