"""RepetitionReward: see the class."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from lengthctl.degeneration import repetition
from lengthctl.registry import register
from lengthctl.rewards.completions import Completions, text_of

__all__ = ["RepetitionReward"]


@register("reward", "repetition")
@dataclass(frozen=True)
class RepetitionReward:
    """1 while the share of repeated word trigrams is within `allowed`, falling to 0 over `ramp`. Ours.

    Meant as a gate: as a summed reward its loss can be bought back by length.
    """

    lowest: ClassVar[float] = 0.0
    highest: ClassVar[float] = 1.0

    allowed: float = 0.1
    """Share of repeated trigrams that costs nothing, in [0, 1]."""
    ramp: float = 0.5
    """Further share over which the reward falls to 0; above 0."""

    def __post_init__(self) -> None:
        if self.allowed < 0 or self.ramp <= 0:
            raise ValueError("allowed is at least 0 and ramp above 0")

    def __call__(self, completions: Completions, **_: object) -> list[float | None]:
        """One value a completion."""
        return [self._score(text_of(completion)) for completion in completions]

    def _score(self, text: str) -> float:
        return min(1.0, max(0.0, 1 - (repetition(text) - self.allowed) / self.ramp))
