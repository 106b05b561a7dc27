"""LcpoExactReward, LcpoMaxReward: see the classes."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar, Literal, assert_never

from lengthctl.length import Target, deviation
from lengthctl.registry import register
from lengthctl.rewards.target_lengths import GradedTargetReward

__all__ = ["LcpoExactReward", "LcpoMaxReward", "credit_of_spare"]


def credit_of_spare(spare: float, alpha: float, delta: float) -> float:
    """`clip(alpha spare + delta, 0, 1)`: what a completion keeps that stays `spare` below its limit (above: < 0)."""
    return min(1.0, max(0.0, alpha * spare + delta))


@register("reward", "lcpo_exact")
@dataclass(frozen=True)
class LcpoExactReward(GradedTargetReward):
    """[right] - alpha |T - n|: L1's reward for prompts that ask for a length.

    n and T in the target's unit; tokens are those sampled, reasoning and stop token included. Result without lower
    bound, at most 1; a wrong answer is pulled to T as well. For a target that is no single number, |T - n| is the
    distance to what it allows. None for a row without target or answer.
    Source: L1, arXiv 2503.04697, Eq. 1.
    """

    lowest: ClassVar[float] = -math.inf
    highest: ClassVar[float] = 1.0

    alpha: float = 0.0003
    """Cost of one unit of deviation; L1's is for tokens."""

    def __post_init__(self) -> None:
        if self.alpha <= 0:
            raise ValueError(f"alpha is above 0, found {self.alpha}")

    def score(self, length: int, target: Target, is_correct: bool) -> float:
        """See the class."""
        return float(is_correct) - self.alpha * abs(deviation(length, target))


@register("reward", "lcpo_max")
@dataclass(frozen=True)
class LcpoMaxReward(GradedTargetReward):
    """[right] clip(alpha (T - n) + delta, 0, 1): L1's reward for prompts that set a maximum.

    n and T in the target's unit; tokens are those sampled, reasoning and stop token included. T is the target's value,
    of a range its upper end; "at least" sets no maximum. Result in [0, 1], [0, 2] for `repo_add`; a wrong answer earns
    0 (`repo_add`: length alone). None for a row without target or answer.
    Source: L1, arXiv 2503.04697, Eq. 2, and its code, which has other forms with half the slope.
    """

    lowest: ClassVar[float] = 0.0

    alpha: float = 0.0003
    """Slope per unit; L1's is for tokens."""
    delta: float = 0.5
    """Reward at n = T; `paper` only."""
    variant: Literal["paper", "repo", "repo_add"] = "paper"
    """`repo`: [right] (clip(alpha (T - n), -1, 1) + 1) / 2; `repo_add`: the same, added to [right]."""

    def __post_init__(self) -> None:
        if self.alpha <= 0 or not 0 <= self.delta <= 1:
            raise ValueError(f"alpha is above 0 and delta in [0, 1], found {self.alpha} and {self.delta}")

    @property
    def highest(self) -> float:
        """2 where length is added, else 1."""
        return 2.0 if self.variant == "repo_add" else 1.0

    def score(self, length: int, target: Target, is_correct: bool) -> float:
        """See the class."""
        spare = _maximum(target) - length
        match self.variant:
            case "paper":
                return float(is_correct) * credit_of_spare(spare, self.alpha, self.delta)
            case "repo":
                return float(is_correct) * credit_of_spare(spare, self.alpha / 2, 0.5)
            case "repo_add":
                return float(is_correct) + credit_of_spare(spare, self.alpha / 2, 0.5)
            case _:
                assert_never(self.variant)


def _maximum(target: Target) -> float:
    return target.band.high if target.tolerance is None else target.value
