"""AlpReward: see the class."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import ClassVar

from lengthctl.registry import register
from lengthctl.rewards.graded import Graded, GroupReward

__all__ = ["AlpReward"]


@register("reward", "alp")
@dataclass(frozen=True)
class AlpReward(GroupReward):
    """[right] - beta (n / norm_tokens) max(share right, 1 / G): the easier the prompt, the dearer its tokens.

    Length in tokens, G the size of the group; no lower bound, at most 1; None for a row without answer.
    Source: ALP ("Just Enough Thinking"), arXiv 2506.05256. Its beta and norm were not found: the defaults are ours.
    """

    lowest: ClassVar[float] = -math.inf
    highest: ClassVar[float] = 1.0

    beta: float = 0.2
    """Cost of `norm_tokens` tokens of a prompt that is always solved; at least 0."""
    norm_tokens: int = 4000
    """Tokens that cost beta; at least 1."""

    def __post_init__(self) -> None:
        if self.beta < 0 or self.norm_tokens < 1:
            raise ValueError(f"beta >= 0 and norm_tokens >= 1, found {self.beta} and {self.norm_tokens}")

    def score_group(self, group: Sequence[Graded]) -> list[float]:
        """See the class."""
        rate = max(fmean(row.is_correct for row in group), 1 / len(group))
        return [row.is_correct - self.beta * rate * row.tokens / self.norm_tokens for row in group]
