"""LifeBenchReward: see the class."""

from __future__ import annotations

from dataclasses import dataclass

from lengthctl.length import Target
from lengthctl.registry import register
from lengthctl.rewards.length_reward import LengthReward
from lengthctl.scoring import lifebench_score

__all__ = ["LifeBenchReward"]


@register("reward", "lifebench")
@dataclass(frozen=True)
class LifeBenchReward(LengthReward):
    """LIFEBench's score / 100, see `scoring.lifebench_score`: the short side is 2.5 times steeper.

    Length in the target's unit; result in [0, 1], 0 for an empty text, None for a row without target.
    Source: LIFEBench, arXiv 2505.16234; its released code passes percent, we pass the fraction.
    """

    def shape(self, length: int, target: Target) -> float:
        """See the class."""
        return lifebench_score(length, target)
