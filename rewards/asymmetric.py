"""AsymmetricReward: see the class."""

from __future__ import annotations

from dataclasses import dataclass

from lengthctl.length import Target, relative_deviation
from lengthctl.registry import register
from lengthctl.rewards.length_reward import LengthReward

__all__ = ["AsymmetricReward"]


@register("reward", "asymmetric")
@dataclass(frozen=True)
class AsymmetricReward(LengthReward):
    """Falls linearly from 1 to 0 over `under` below the target and over `over` above it.

    Length in the target's unit; result in [0, 1], 0 for an empty text, None for a row without target.
    Source: ours. Widths under = over give the triangular shape.
    """

    under: float = 0.5
    """Relative deviation below the target that earns nothing; above 0."""
    over: float = 0.25
    """The same above the target."""

    def __post_init__(self) -> None:
        if min(self.under, self.over) <= 0:
            raise ValueError("under and over are above 0")

    def shape(self, length: int, target: Target) -> float:
        """See the class."""
        e = relative_deviation(length, target)
        return max(0.0, 1 - abs(e) / (self.under if e < 0 else self.over))
