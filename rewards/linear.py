"""LinearReward: see the class."""

from __future__ import annotations

from dataclasses import dataclass

from lengthctl.length import Target, abs_relative_deviation
from lengthctl.registry import register
from lengthctl.rewards.length_reward import LengthReward

__all__ = ["LinearReward"]


@register("reward", "linear")
@dataclass(frozen=True)
class LinearReward(LengthReward):
    """1 - |e| / width, cut at 0 (`verified linear` with width 1). e is the relative deviation.

    Length in the target's unit; result in [0, 1], 0 for an empty text, None for a row without target.
    Source: shape of L1's exact reward (arXiv 2503.04697) relative to the target. Differs: cut at 0.
    """

    width: float = 1.0
    """Relative deviation that earns nothing; above 0."""

    def __post_init__(self) -> None:
        if self.width <= 0:
            raise ValueError(f"width is above 0, found {self.width}")

    def shape(self, length: int, target: Target) -> float:
        """See the class."""
        return max(0.0, 1 - abs_relative_deviation(length, target) / self.width)
