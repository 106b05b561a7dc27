"""CosineReward: see the class."""

from __future__ import annotations

import math
from dataclasses import dataclass

from lengthctl.registry import register
from lengthctl.rewards.graded import Graded, GradedReward

__all__ = ["CosineReward"]


@register("reward", "cosine")
@dataclass(frozen=True)
class CosineReward(GradedReward):
    """Along half a cosine from length 0 to `max_tokens`: what is right falls with length, what is wrong rises.

    Length in tokens, held at `max_tokens` beyond it; result between the values below; None for a row without answer.
    Source: Yeo et al., arXiv 2502.03373, App. C.1; the defaults are those of TRL's `get_cosine_scaled_reward`, the
    paper's are 2, 1, -10, 0 and -10 over the limit, with a penalty on repetition beside it.
    """

    max_tokens: int = 4096
    """Where the cosine ends; set it to the run's limit. Ours."""
    right_short: float = 1.0
    """A right answer of no length."""
    right_long: float = 0.5
    """A right answer of `max_tokens`; at most `right_short`, as lengths explode where it pays to be long."""
    wrong_short: float = -1.0
    """A wrong answer of no length."""
    wrong_long: float = -0.5
    """A wrong answer of `max_tokens`."""
    over: float | None = None
    """Right or wrong, longer than `max_tokens` or cut by the limit; None: as at `max_tokens`."""

    def __post_init__(self) -> None:
        if self.max_tokens < 1:
            raise ValueError(f"max_tokens is at least 1, found {self.max_tokens}")
        if self.right_long > self.right_short:
            raise ValueError(f"right_long is at most right_short, found {self.right_long} and {self.right_short}")

    @property
    def lowest(self) -> float:
        """The least of all values."""
        return min(self._values)

    @property
    def highest(self) -> float:
        """The greatest of all values."""
        return max(self._values)

    @property
    def _values(self) -> list[float]:
        values = [self.right_short, self.right_long, self.wrong_short, self.wrong_long]
        return values if self.over is None else [*values, self.over]

    def score(self, row: Graded) -> float:
        """See the class."""
        if self.over is not None and (row.is_truncated or row.tokens > self.max_tokens):
            return self.over
        short, long = (self.right_short, self.right_long) if row.is_correct else (self.wrong_short, self.wrong_long)
        return long + 0.5 * (short - long) * (1 + math.cos(math.pi * min(row.tokens / self.max_tokens, 1.0)))
