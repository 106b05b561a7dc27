"""FinishedReward: see the class."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from lengthctl.degeneration import is_finished
from lengthctl.registry import register
from lengthctl.rewards.completions import Completions, text_of

__all__ = ["FinishedReward"]


@register("reward", "finished")
@dataclass(frozen=True)
class FinishedReward:
    """1 when the text ends in a sentence mark with nothing left open, else 0. Ours."""

    lowest: ClassVar[float] = 0.0
    highest: ClassVar[float] = 1.0

    def __call__(self, completions: Completions, **_: object) -> list[float | None]:
        """One value a completion."""
        return [1.0 if is_finished(text_of(completion)) else 0.0 for completion in completions]
