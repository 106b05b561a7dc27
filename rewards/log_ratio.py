"""LogRatioReward: see the class."""

from __future__ import annotations

import math
from dataclasses import dataclass

from lengthctl.length import Target, log_ratio
from lengthctl.registry import register
from lengthctl.rewards.length_reward import LengthReward

__all__ = ["LogRatioReward"]


@register("reward", "log_ratio")
@dataclass(frozen=True)
class LogRatioReward(LengthReward):
    """1 - |ln((n + s) / (T + s))| / ln(factor), not below 0: symmetric in factors.

    Separates lengths from T/factor to T*factor.

    Length in the target's unit; result in [0, 1], 0 for an empty text, None for a row without target.
    Source: methods: ours. The quickstart uses factor 4.4817 (e^1.5) and smoothing 1.
    """

    factor: float = 2.0
    """How many times too long or too short earns nothing; above 1."""
    smoothing: float = 0.0
    """Words added to both sides, so that very short targets are not too steep."""

    def __post_init__(self) -> None:
        if self.factor <= 1:
            raise ValueError(f"factor is above 1, found {self.factor}")
        if self.smoothing < 0:
            raise ValueError(f"smoothing is at least 0, found {self.smoothing}")

    def shape(self, length: int, target: Target) -> float:
        """See the class."""
        return max(0.0, 1 - abs(log_ratio(length, target, self.smoothing)) / math.log(self.factor))
