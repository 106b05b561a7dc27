"""LoopsReward: see the class."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from lengthctl.degeneration import longest_repeat
from lengthctl.registry import register
from lengthctl.rewards.completions import Completions, text_of

__all__ = ["LoopsReward"]


@register("reward", "loops")
@dataclass(frozen=True)
class LoopsReward:
    """1 while the longest stretch that occurs twice is within `allowed` of the words, falling to 0 over `ramp`.

    Looks at the last 4000 words, where loops are. Meant as a gate: as a summed reward its loss can be bought back by
    length. Where `repetition` counts all small repeats, this sees one long one. Result in [0, 1].
    Source: the measure is that of arXiv 2505.19439, A.4 (`longest_repeat`); the shape is ours.
    """

    lowest: ClassVar[float] = 0.0
    highest: ClassVar[float] = 1.0

    allowed: float = 0.1
    """Share of the words that costs nothing, in [0, 1]."""
    ramp: float = 0.4
    """Further share over which the reward falls to 0; above 0."""

    def __post_init__(self) -> None:
        if not 0 <= self.allowed <= 1 or self.ramp <= 0:
            raise ValueError("allowed lies between 0 and 1, and ramp is above 0")

    def __call__(self, completions: Completions, **_: object) -> list[float | None]:
        """One value a completion."""
        return [self._score(text_of(completion)) for completion in completions]

    def _score(self, text: str) -> float:
        return min(1.0, max(0.0, 1 - (longest_repeat(text) - self.allowed) / self.ramp))
