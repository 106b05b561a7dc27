"""GaussianReward: see the class."""

from __future__ import annotations

import math
from dataclasses import dataclass

from lengthctl.length import Target, abs_relative_deviation
from lengthctl.registry import register
from lengthctl.rewards.length_reward import LengthReward

__all__ = ["GaussianReward"]


@register("reward", "gaussian")
@dataclass(frozen=True)
class GaussianReward(LengthReward):
    """exp(-e^2 / (2 s^2)): sharpest between 0.3 s and 2.5 s, flat at the target and far away.

    Length in the target's unit; result in [0, 1], 0 for an empty text, None for a row without target.
    Source: ours; the L1 code has one with a fixed width in tokens.
    """

    s: float = 0.2
    """Width as relative deviation; above 0."""

    def __post_init__(self) -> None:
        if self.s <= 0:
            raise ValueError(f"s is above 0, found {self.s}")

    def shape(self, length: int, target: Target) -> float:
        """See the class."""
        return math.exp(-(abs_relative_deviation(length, target) ** 2) / (2 * self.s**2))
