"""OverlongReward: see the class."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from lengthctl.registry import register
from lengthctl.rewards.completions import Completions
from lengthctl.rewards.token_counts import token_counts

__all__ = ["OverlongReward"]


@register("reward", "overlong")
@dataclass(frozen=True)
class OverlongReward:
    """0 up to `max_tokens - cache_tokens`, falling linearly to -1 at `max_tokens`, -1 above: a cost, added to another.

    Length in tokens; result in [-1, 0]. With cache 0 the step is hard.
    Source: soft overlong punishment of DAPO, arXiv 2503.14476, Eq. 13; as TRL's `get_soft_overlong_punishment`.
    """

    lowest: ClassVar[float] = -1.0
    highest: ClassVar[float] = 0.0

    max_tokens: int = 20480
    """Limit of a completion; set it to the run's. The paper's: 16384 expected and the cache."""
    cache_tokens: int = 4096
    """Stretch below the limit over which the cost grows; from 0 to `max_tokens`."""

    def __post_init__(self) -> None:
        if self.max_tokens < 1 or not 0 <= self.cache_tokens <= self.max_tokens:
            raise ValueError("max_tokens is at least 1, and cache_tokens from 0 to max_tokens")

    def __call__(self, completions: Completions, **columns: Any) -> list[float | None]:
        """One value a completion."""
        return [self._score(n) for n in token_counts(completions, columns)]

    def _score(self, tokens: int) -> float:
        over = tokens - (self.max_tokens - self.cache_tokens)
        if over <= 0:
            return 0.0
        return -over / self.cache_tokens if tokens <= self.max_tokens else -1.0
