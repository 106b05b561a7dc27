"""ShorterBetterReward: see the class."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import ClassVar

from lengthctl.registry import register
from lengthctl.rewards.graded import Graded, GroupReward

__all__ = ["ShorterBetterReward"]


@register("reward", "shorter_better")
@dataclass(frozen=True)
class ShorterBetterReward(GroupReward):
    """alpha [right] - beta |n - n*|, where n* is the shortest right completion of the group, or its mean if none is.

    Length in tokens; no lower bound, at most alpha; None for a row without answer. Where none is right, all are pulled
    to their mean; n* itself falls from step to step.
    Source: ShorterBetter, arXiv 2504.21370; alpha 2 and beta 0.001 as published summaries have them.
    """

    lowest: ClassVar[float] = -math.inf

    alpha: float = 2.0
    """Worth of a right answer; above 0."""
    beta: float = 0.001
    """Cost of one token away from n*; above 0."""

    def __post_init__(self) -> None:
        if min(self.alpha, self.beta) <= 0:
            raise ValueError(f"alpha and beta are above 0, found {self.alpha} and {self.beta}")

    @property
    def highest(self) -> float:
        """Right, and as long as n*."""
        return self.alpha

    def score_group(self, group: Sequence[Graded]) -> list[float]:
        """See the class."""
        right = [row.tokens for row in group if row.is_correct]
        best = float(min(right)) if right else fmean(row.tokens for row in group)
        return [self.alpha * row.is_correct - self.beta * abs(row.tokens - best) for row in group]
