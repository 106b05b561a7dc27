"""KimiReward: see the class."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from lengthctl.registry import register
from lengthctl.rewards.graded import Graded, GroupReward

__all__ = ["KimiReward"]


@register("reward", "kimi")
@dataclass(frozen=True)
class KimiReward(GroupReward):
    """[right] + length_weight * l, with l = 0.5 - (n - min) / (max - min) over the group; a wrong one gets min(0, l).

    Length in tokens; result in [-0.5, 1.5] for weight 1, l = 0 where all lengths are equal; None for a row without
    answer. Wrong completions of the longer half are punished even where none is right, and one outlier flattens the
    others.
    Source: Kimi k1.5, arXiv 2501.12599, Sec. 2.3.3, which warms up without l and does not publish its weight.
    """

    length_weight: float = 1.0
    """Of l beside correctness; at least 0. Ours; above 1, a short wrong answer can beat a long right one."""

    def __post_init__(self) -> None:
        if self.length_weight < 0:
            raise ValueError(f"length_weight is at least 0, found {self.length_weight}")

    @property
    def lowest(self) -> float:
        """Wrong, and the longest."""
        return -0.5 * self.length_weight

    @property
    def highest(self) -> float:
        """Right, and the shortest."""
        return 1 + 0.5 * self.length_weight

    def score_group(self, group: Sequence[Graded]) -> list[float]:
        """See the class."""
        shortest = min(row.tokens for row in group)
        spread = max(row.tokens for row in group) - shortest
        values = []
        for row in group:
            term = 0.5 - (row.tokens - shortest) / spread if spread else 0.0
            values.append(row.is_correct + self.length_weight * (term if row.is_correct else min(0.0, term)))
        return values
