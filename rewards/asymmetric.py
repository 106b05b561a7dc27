"""AsymmetricReward: see the class."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from lengthctl.length import Encoder, Target, relative_deviation
from lengthctl.registry import register
from lengthctl.rewards.completions import Completions, Targets, score_lengths

__all__ = ["AsymmetricReward"]


@register("reward", "asymmetric")
@dataclass(frozen=True)
class AsymmetricReward:
    """Falls linearly from 1 to 0 over `under` below the target and over `over` above it.

    Length in the target's unit; result in [0, 1], 0 for an empty text, None for a row without target.
    Source: ours. Widths under = over give the triangular shape.
    """

    lowest: ClassVar[float] = 0.0
    highest: ClassVar[float] = 1.0

    under: float = 0.5
    """Relative deviation below the target that earns nothing; above 0."""
    over: float = 0.25
    """The same above the target."""

    def __post_init__(self) -> None:
        if min(self.under, self.over) <= 0:
            raise ValueError("under and over are above 0")

    def __call__(
        self, completions: Completions, target: Targets, tokenizer: Encoder | None = None, **_: object
    ) -> list[float | None]:
        """One value a completion."""
        return score_lengths(completions, target, self._shape, tokenizer)

    def _shape(self, length: int, target: Target) -> float:
        e = relative_deviation(length, target)
        return max(0.0, 1 - abs(e) / (self.under if e < 0 else self.over))
