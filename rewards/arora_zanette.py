"""AroraZanetteReward: see the class."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean, pstdev
from typing import ClassVar

from lengthctl.registry import register
from lengthctl.rewards.graded import Graded, GroupReward

__all__ = ["AroraZanetteReward", "length_sigmoids"]

_EPSILON = 1e-7


def length_sigmoids(group: Sequence[Graded]) -> list[float]:
    """sigmoid((n - mean) / (std + 1e-7)) of each completion, in [0, 1]: 0.5 at the mean, towards 1 for the longest.

    Mean and population deviation over the completions that are right and not truncated; without any, all are 0.
    """
    right = [row.tokens for row in group if row.is_correct and not row.is_truncated]
    if not right:
        return [0.0] * len(group)
    mean, std = fmean(right), pstdev(right) + _EPSILON
    # tanh does not overflow where all right ones are equally long and another is not.
    return [0.5 * (1 + math.tanh((row.tokens - mean) / std / 2)) for row in group]


@register("reward", "arora_zanette")
@dataclass(frozen=True)
class AroraZanetteReward(GroupReward):
    """[right] (1 - alpha sigmoid(z)), z the length in deviations from the mean of the group's right completions.

    Length in tokens; result in [0, 1]; a single right completion earns 1 - alpha / 2; one that the limit cut earns 0
    and counts in no statistic. None for a row without answer.
    Source: Arora and Zanette, arXiv 2502.04463, and its code (population deviation + 1e-7).
    """

    lowest: ClassVar[float] = 0.0
    highest: ClassVar[float] = 1.0

    alpha: float = 0.1
    """Strength, in [0, 1); published runs use 0.05 to 0.4."""

    def __post_init__(self) -> None:
        if not 0 <= self.alpha < 1:
            raise ValueError(f"alpha is in [0, 1), found {self.alpha}")

    def score_group(self, group: Sequence[Graded]) -> list[float]:
        """See the class."""
        pairs = zip(group, length_sigmoids(group), strict=True)
        return [1 - self.alpha * share if row.is_correct and not row.is_truncated else 0.0 for row, share in pairs]
