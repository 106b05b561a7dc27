"""RandomReward: see the class."""

from __future__ import annotations

import hashlib
from collections import Counter
from dataclasses import dataclass
from typing import Any, ClassVar

from lengthctl.registry import register
from lengthctl.rewards.completions import Completions, text_of

__all__ = ["RandomReward"]


@register("reward", "random")
@dataclass(frozen=True)
class RandomReward:
    """A number in [0, 1) that nothing about the completion predicts: the control arm of an experiment. Ours.

    A hash of the seed, the trainer's step, the text, and how many equal texts of the call stand before it: a run that
    is repeated or resumed draws the same. Without `trainer_state` a text earns the same in every call, which can be
    learned.
    """

    lowest: ClassVar[float] = 0.0
    highest: ClassVar[float] = 1.0

    seed: int = 0
    """Another one, other numbers."""

    def __call__(self, completions: Completions, **columns: Any) -> list[float | None]:
        """One value a completion."""
        state = columns.get("trainer_state")
        step = 0 if state is None else int(state.global_step)
        seen: Counter[str] = Counter()
        values: list[float | None] = []
        for text in map(text_of, completions):
            digest = hashlib.sha256(f"{self.seed} {step} {seen[text]} {text}".encode("utf-8", "surrogatepass"))
            values.append(int.from_bytes(digest.digest()[:6], "big") / 2**48)
            seen[text] += 1
        return values
