"""LengthScoreReward: see the class."""

from __future__ import annotations

from dataclasses import dataclass

from lengthctl.length import Target
from lengthctl.registry import register
from lengthctl.rewards.length_reward import LengthReward
from lengthctl.scoring import s_l

__all__ = ["LengthScoreReward"]


@register("reward", "s_l")
@dataclass(frozen=True)
class LengthScoreReward(LengthReward):
    """LongBench-Write's S_l / 100, see `scoring.s_l`.

    Length in the target's unit; result in [0, 1], 0 for an empty text, None for a row without target.
    Source: LongWriter, arXiv 2408.07055. Zero below T/3 and above 4T.
    """

    def shape(self, length: int, target: Target) -> float:
        """See the class."""
        return s_l(length, target)
