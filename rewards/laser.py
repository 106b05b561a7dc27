"""LaserReward: see the class."""

from __future__ import annotations

from dataclasses import dataclass

from lengthctl.registry import register
from lengthctl.rewards.graded import Graded, GradedReward

__all__ = ["LaserReward", "step_reward"]


def step_reward(row: Graded, tokens: float, bonus: float, wrong: float) -> float:
    """1, plus `bonus` within `tokens`, for a right answer; `wrong` for any other."""
    return 1 + (bonus if row.tokens <= tokens else 0.0) if row.is_correct else wrong


@register("reward", "laser")
@dataclass(frozen=True)
class LaserReward(GradedReward):
    """A right answer earns 1, and `bonus` more within `target_tokens`; a wrong one `wrong`.

    Length in tokens; result in [wrong, 1 + bonus]; None for a row without answer. A step, not a slope: only the share
    of completions within the target moves.
    Source: LASER, arXiv 2505.15612, Eq. 2 and Table 2, and its code.
    """

    target_tokens: int = 8192
    """At least 1; the paper's runs have 2048, 4096 and 8192."""
    bonus: float = 0.5
    """At least 0."""
    wrong: float = -0.5
    """Below 1."""

    def __post_init__(self) -> None:
        if self.target_tokens < 1 or self.bonus < 0 or self.wrong >= 1:
            raise ValueError("target_tokens is at least 1, bonus at least 0 and wrong below 1")

    @property
    def lowest(self) -> float:
        """A wrong answer."""
        return self.wrong

    @property
    def highest(self) -> float:
        """Right, within the target."""
        return 1 + self.bonus

    def score(self, row: Graded) -> float:
        """See the class."""
        return step_reward(row, self.target_tokens, self.bonus, self.wrong)
