"""NaturalStopReward: see the class."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from lengthctl.registry import register
from lengthctl.rewards.completions import Completions

__all__ = ["NaturalStopReward"]


@register("reward", "natural_stop")
@dataclass(frozen=True)
class NaturalStopReward:
    """1 when the model ended the completion, 0 when the limit cut it. None where truncation is not known. Ours."""

    lowest: ClassVar[float] = 0.0
    highest: ClassVar[float] = 1.0

    def __call__(
        self, completions: Completions, is_truncated: Sequence[bool] | None = None, **_: object
    ) -> list[float | None]:
        """One value a completion."""
        if is_truncated is None:
            return [None] * len(completions)
        return [0.0 if cut else 1.0 for cut in is_truncated]
