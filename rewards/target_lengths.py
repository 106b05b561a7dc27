"""Lengths of completions beside what was asked of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from lengthctl.length import Target, Unit, count_length
from lengthctl.rewards.completions import Completions, text_of
from lengthctl.rewards.correctness import correct_column
from lengthctl.rewards.graded import Scope
from lengthctl.rewards.token_counts import token_counts

__all__ = ["GradedTargetReward", "target_lengths"]


def target_lengths(completions: Completions, columns: Mapping[str, Any]) -> list[tuple[int, Target] | None]:
    """Length in the target's unit, at least 0, and target of each completion; None for a row without target.

    A target in tokens is held against the tokens as sampled (`token_counts`), as the papers on reasoning count.

    Raises:
        ValueError: no column `target`, a value that is no target, or tokens that cannot be counted.
    """
    rows = columns.get("target")
    if rows is None:
        raise ValueError("the column target is missing; give the prompts targets")
    targets = [None if row is None else Target.parse(row) for row in rows]
    sampled: Sequence[int] = []
    if any(target is not None and target.unit is Unit.TOKENS for target in targets):
        sampled = token_counts(completions, columns)
    found: list[tuple[int, Target] | None] = []
    for place, (completion, target) in enumerate(zip(completions, targets, strict=True)):
        if target is None:
            found.append(None)
        elif target.unit is Unit.TOKENS:
            found.append((sampled[place], target))
        else:
            found.append((count_length(text_of(completion), target.unit), target))
    return found


class GradedTargetReward:
    """Base of the rewards of correctness and a length that was asked for: a subclass gives `score`.

    A reward of your own needs no base class.
    """

    scope: ClassVar[Scope] = "completion"
    columns: ClassVar[tuple[str, ...]] = ("answer", "target")

    def __call__(self, completions: Completions, **columns: Any) -> list[float | None]:
        """One value a completion; None for a row without target or answer."""
        failed = columns.get("is_failed") or [False] * len(completions)
        rows = zip(target_lengths(completions, columns), correct_column(completions, columns), failed, strict=True)
        return [None if asked is None or ok is None or lost else self.score(*asked, ok) for asked, ok, lost in rows]

    def score(self, length: int, target: Target, is_correct: bool) -> float:
        """Reward of one completion; length in the target's unit."""
        raise NotImplementedError
