"""GrpoLambdaReward: see the class."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any, ClassVar

from lengthctl.registry import register
from lengthctl.rewards.arora_zanette import AroraZanetteReward
from lengthctl.rewards.completions import Completions
from lengthctl.rewards.graded import Graded, Scope, graded, score_groups
from lengthctl.rewards.groups import group_places

__all__ = ["GrpoLambdaReward"]


@register("reward", "grpo_lambda")
@dataclass(frozen=True)
class GrpoLambdaReward:
    """The `arora_zanette` reward for the groups with the highest share right, plain [right] for all others.

    The top `share` of the call's groups, rounded up, at least one; ties go to the earlier group (ours). Length in
    tokens; result in [0, 1]; None for a row without answer. With several trainer processes each ranks its own groups.
    Source: GRPO-lambda, arXiv 2505.18086: a length term on prompts that are not yet solved costs accuracy suddenly. Its
    alpha was not found; one public implementation has 0.6.
    """

    lowest: ClassVar[float] = 0.0
    highest: ClassVar[float] = 1.0
    scope: ClassVar[Scope] = "batch"
    columns: ClassVar[tuple[str, ...]] = ("answer",)

    share: float = 0.2
    """Of the groups that get the length term, in (0, 1]."""
    alpha: float = 0.6
    """Strength of the length term, in [0, 1)."""

    def __post_init__(self) -> None:
        if not 0 < self.share <= 1:
            raise ValueError(f"share is in (0, 1], found {self.share}")
        AroraZanetteReward(self.alpha)

    def __call__(self, completions: Completions, **columns: Any) -> list[float | None]:
        """One value a completion."""
        rows = graded(completions, columns)
        groups = group_places(len(rows), columns)
        ranked = sorted((places for places in groups if _known(rows, places)), key=lambda p: -_share_right(rows, p))
        # 0.07 * 100 is 7.000000000000001: no group more for that.
        count = max(1, math.ceil(self.share * len(ranked) - 1e-9))
        values = score_groups(rows, ranked[:count], AroraZanetteReward(self.alpha).score_group)
        plain = score_groups(rows, ranked[count:], lambda group: [float(row.is_correct) for row in group])
        return [other if value is None else value for value, other in zip(values, plain, strict=True)]


def _known(rows: Sequence[Graded | None], places: Sequence[int]) -> list[Graded]:
    return [row for place in places if (row := rows[place]) is not None]


def _share_right(rows: Sequence[Graded | None], places: Sequence[int]) -> float:
    return fmean(row.is_correct for row in _known(rows, places))
