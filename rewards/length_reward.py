"""What the rewards of a length have in common: the count, the empty text, and when nothing can be earned any more."""

from __future__ import annotations

from typing import ClassVar

from lengthctl.length import Encoder, Target
from lengthctl.rewards.completions import Completions, Targets, score_lengths

__all__ = ["LengthReward"]


class LengthReward:
    """Base of the shapes: a subclass gives `shape(length, target)`, which never rises above the target.

    A reward of your own needs no base class.
    """

    lowest: ClassVar[float] = 0.0
    highest: ClassVar[float] = 1.0

    def __call__(
        self, completions: Completions, target: Targets, tokenizer: Encoder | None = None, **_: object
    ) -> list[float | None]:
        """One value a completion: 0 for an empty text, None for a row without target."""
        return score_lengths(completions, target, self.shape, tokenizer)

    def shape(self, length: int, target: Target) -> float:
        """Reward of a length of at least 1, in the target's unit."""
        raise NotImplementedError

    def is_spent(self, length: int, target: Target) -> bool:
        """Too long already, and at its lowest for this length and every greater one."""
        return length > target.reference(length) and self.shape(length, target) <= self.lowest
