"""LengthScoreReward: see the class."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from lengthctl.length import Encoder, Target
from lengthctl.registry import register
from lengthctl.rewards.completions import Completions, Targets, score_lengths

__all__ = ["LengthScoreReward"]


@register("reward", "s_l")
@dataclass(frozen=True)
class LengthScoreReward:
    """LongBench-Write's S_l / 100: too long 1 - (n/T - 1)/3, too short 1 - (T/n - 1)/2, not below 0.

    Length in the target's unit; result in [0, 1], 0 for an empty text, None for a row without target.
    Source: LongWriter, arXiv 2408.07055. Zero below T/3 and above 4T.
    """

    lowest: ClassVar[float] = 0.0
    highest: ClassVar[float] = 1.0

    def __call__(
        self, completions: Completions, target: Targets, tokenizer: Encoder | None = None, **_: object
    ) -> list[float | None]:
        """One value a completion."""
        return score_lengths(completions, target, self._shape, tokenizer)

    def _shape(self, length: int, target: Target) -> float:
        ratio = length / target.reference(length)
        return max(0.0, 1 - (ratio - 1) / 3 if ratio > 1 else 1 - (1 / ratio - 1) / 2)
