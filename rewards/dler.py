"""DlerReward: see the class."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from lengthctl.registry import register
from lengthctl.rewards.graded import Graded, GroupReward

__all__ = ["DlerReward"]


@register("reward", "dler")
@dataclass(frozen=True)
class DlerReward(GroupReward):
    """1 for a right answer within the limit, 0 for anything else: truncation is the only cost of length.

    With `easy_limit` (DA-DLER) a group of which half or more is right within `limit` is held to that instead. Length in
    tokens; result 0 or 1; a completion that the run's own limit cut earns 0. None for a row without answer.
    Source: DLER, arXiv 2510.15110, Sec. 2 and 4.1. Its code also multiplies what did not stop by 0.1, which here is 0.
    Many groups are all zero at first: filter them, as the preset `dler` does.
    """

    lowest: ClassVar[float] = 0.0
    highest: ClassVar[float] = 1.0

    limit: int = 4000
    """Tokens a right answer may take; at least 1."""
    easy_limit: int | None = None
    """The same for prompts solved half the time; the paper's is 2000. None: one limit for all (DLER)."""

    def __post_init__(self) -> None:
        if self.limit < 1 or (self.easy_limit is not None and not 1 <= self.easy_limit <= self.limit):
            raise ValueError("limit is at least 1, and easy_limit from 1 to limit")

    def score_group(self, group: Sequence[Graded]) -> list[float]:
        """See the class."""
        values = _within(group, self.limit)
        if self.easy_limit is not None and sum(values) >= len(group) / 2:
            return _within(group, self.easy_limit)
        return values


def _within(group: Sequence[Graded], limit: int) -> list[float]:
    return [float(row.is_correct and not row.is_truncated and row.tokens <= limit) for row in group]
