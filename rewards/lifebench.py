"""LifeBenchReward: see the class."""

from __future__ import annotations

import math
from dataclasses import dataclass

from lengthctl.length import Target, relative_deviation
from lengthctl.registry import register
from lengthctl.rewards.length_reward import LengthReward

__all__ = ["LifeBenchReward"]


@register("reward", "lifebench")
@dataclass(frozen=True)
class LifeBenchReward(LengthReward):
    """exp(5 e) when too short, exp(-2 e) when too long: the short side is 2.5 times steeper.

    Length in the target's unit; result in [0, 1], 0 for an empty text, None for a row without target.
    Source: LIFEBench, arXiv 2505.16234; its released code passes percent, we pass the fraction.
    """

    def shape(self, length: int, target: Target) -> float:
        """See the class."""
        e = relative_deviation(length, target)
        return math.exp(5 * e if e < 0 else -2 * e)
