"""BandReward: see the class."""

from __future__ import annotations

from dataclasses import dataclass

from lengthctl.length import Target, abs_relative_deviation
from lengthctl.registry import register
from lengthctl.rewards.length_reward import LengthReward

__all__ = ["BandReward"]


@register("reward", "band")
@dataclass(frozen=True)
class BandReward(LengthReward):
    """1 while the relative deviation is within `tolerance`; then falling linearly to 0 over `ramp`.

    Length in the target's unit; result in [0, 1], 0 for an empty text, None for a row without target.
    Source: ours. No difference beyond tolerance + ramp: for a start far from the target use `log_ratio`.
    """

    tolerance: float = 0.1
    """Relative deviation that costs nothing."""
    ramp: float = 0.4
    """Further relative deviation over which the reward falls to 0; above 0."""

    def __post_init__(self) -> None:
        if self.tolerance < 0 or self.ramp <= 0:
            raise ValueError("tolerance is at least 0 and ramp above 0")

    def shape(self, length: int, target: Target) -> float:
        """See the class."""
        return min(1.0, max(0.0, 1 - (abs_relative_deviation(length, target) - self.tolerance) / self.ramp))
