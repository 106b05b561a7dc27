"""What rewards of length and correctness have in common: a completion's tokens beside whether its answer is right."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from lengthctl.rewards.completions import Completions
from lengthctl.rewards.correctness import correct_column
from lengthctl.rewards.groups import group_places
from lengthctl.rewards.token_counts import token_counts

__all__ = ["Graded", "GradedReward", "GroupReward", "Scope", "graded", "is_evaluation", "score_groups"]

Scope = Literal["completion", "group", "batch"]
"""What a value depends on: its completion, the completions of its prompt, or all of the call."""


@dataclass(frozen=True)
class Graded:
    """A completion: its length in tokens, whether its answer is right, whether the limit cut it."""

    tokens: int
    is_correct: bool
    is_truncated: bool = False


def graded(completions: Completions, columns: Mapping[str, Any]) -> list[Graded | None]:
    """Every completion graded; None for a row without answer and for one that the column `is_failed` marks.

    Raises:
        ValueError: neither answers nor their checks are among the columns, or tokens cannot be counted.
    """
    cut = columns.get("is_truncated") or [False] * len(completions)
    failed = columns.get("is_failed") or [False] * len(completions)
    tokens, right = token_counts(completions, columns), correct_column(completions, columns)
    return [
        None if lost or ok is None else Graded(n, bool(ok), bool(end))
        for n, ok, end, lost in zip(tokens, right, cut, failed, strict=True)
    ]


def score_groups(
    rows: Sequence[Graded | None],
    groups: Sequence[Sequence[int]],
    score: Callable[[Sequence[Graded]], Sequence[float]],
) -> list[float | None]:
    """`score` of the graded members of each group, at their places; None for the rest, which count in no statistic."""
    values: list[float | None] = [None] * len(rows)
    for places in groups:
        known = [(place, row) for place in places if (row := rows[place]) is not None]
        if known:
            scores = score([row for _, row in known])
            for (place, _), value in zip(known, scores, strict=True):
                values[place] = value
    return values


def is_evaluation(columns: Mapping[str, Any]) -> bool:
    """The call scores held-out prompts (column `is_evaluation`, set by our trainer): nothing is remembered of it."""
    return any(columns.get("is_evaluation") or ())


class GradedReward:
    """Base of the rewards that judge a completion by itself: a subclass gives `score(row)`.

    A reward of your own needs no base class.
    """

    scope: ClassVar[Scope] = "completion"
    columns: ClassVar[tuple[str, ...]] = ("answer",)

    def __call__(self, completions: Completions, **columns: Any) -> list[float | None]:
        """One value a completion; None for a row without answer."""
        return [None if row is None else self.score(row) for row in graded(completions, columns)]

    def score(self, row: Graded) -> float:
        """Reward of one completion."""
        raise NotImplementedError


class GroupReward:
    """Base of the rewards that judge a completion beside the others of its prompt: a subclass gives `score_group`."""

    scope: ClassVar[Scope] = "group"
    columns: ClassVar[tuple[str, ...]] = ("answer",)

    def __call__(self, completions: Completions, **columns: Any) -> list[float | None]:
        """One value a completion; None for a row without answer."""
        rows = graded(completions, columns)
        return score_groups(rows, group_places(len(rows), columns), self.score_group)

    def score_group(self, group: Sequence[Graded]) -> list[float]:
        """Rewards of the completions of one prompt, at least one, in order."""
        raise NotImplementedError
