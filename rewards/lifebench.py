"""LifeBenchReward: see the class."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

from lengthctl.length import Encoder, Target, relative_deviation
from lengthctl.registry import register
from lengthctl.rewards.completions import Completions, Targets, score_lengths

__all__ = ["LifeBenchReward"]


@register("reward", "lifebench")
@dataclass(frozen=True)
class LifeBenchReward:
    """exp(5 e) when too short, exp(-2 e) when too long: the short side is 2.5 times steeper.

    Length in the target's unit; result in [0, 1], 0 for an empty text, None for a row without target.
    Source: LIFEBench, arXiv 2505.16234; its released code passes percent, we pass the fraction.
    """

    lowest: ClassVar[float] = 0.0
    highest: ClassVar[float] = 1.0

    def __call__(
        self, completions: Completions, target: Targets, tokenizer: Encoder | None = None, **_: object
    ) -> list[float | None]:
        """One value a completion."""
        return score_lengths(completions, target, self._shape, tokenizer)

    def _shape(self, length: int, target: Target) -> float:
        e = relative_deviation(length, target)
        return math.exp(5 * e if e < 0 else -2 * e)
