"""LogRatioReward: see the class."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

from lengthctl.length import Encoder, Target, log_ratio
from lengthctl.registry import register
from lengthctl.rewards.completions import Completions, Targets, score_lengths

__all__ = ["LogRatioReward"]


@register("reward", "log_ratio")
@dataclass(frozen=True)
class LogRatioReward:
    """1 - |ln((n + s) / (T + s))| / ln(factor), not below 0: symmetric in factors.

    Separates lengths from T/factor to T*factor.

    Length in the target's unit; result in [0, 1], 0 for an empty text, None for a row without target.
    Source: methods: ours. The quickstart uses factor 4.4817 (e^1.5) and smoothing 1.
    """

    lowest: ClassVar[float] = 0.0
    highest: ClassVar[float] = 1.0

    factor: float = 2.0
    """How many times too long or too short earns nothing; above 1."""
    smoothing: float = 0.0
    """Words added to both sides, so that very short targets are not too steep."""

    def __post_init__(self) -> None:
        if self.factor <= 1:
            raise ValueError(f"factor is above 1, found {self.factor}")
        if self.smoothing < 0:
            raise ValueError(f"smoothing is at least 0, found {self.smoothing}")

    def __call__(
        self, completions: Completions, target: Targets, tokenizer: Encoder | None = None, **_: object
    ) -> list[float | None]:
        """One value a completion."""
        return score_lengths(completions, target, self._shape, tokenizer)

    def _shape(self, length: int, target: Target) -> float:
        return max(0.0, 1 - abs(log_ratio(length, target, self.smoothing)) / math.log(self.factor))
