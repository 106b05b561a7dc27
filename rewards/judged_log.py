"""What a judge of single texts did in a call: its grades, what has none, and whether it pays for length."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import correlation, fmean
from typing import Any

from lengthctl.judging import Dimension, Rubric
from lengthctl.length import count_length
from lengthctl.rewards.groups import group_places
from lengthctl.rewards.submissions import Grades

__all__ = ["JudgedText", "grade_metrics", "tell_grades"]

_NO_SPREAD = 1e-9


@dataclass(frozen=True)
class JudgedText:
    """A text that the judge was asked about; None and None without a verdict."""

    text: str
    grades: Grades | None
    value: float | None
    """The reward."""


def tell_grades(graded: Mapping[int, JudgedText], rubric: Rubric, columns: Mapping[str, Any], count: int) -> None:
    """`grade_metrics` to the column `log_metric`, the grades of each completion as `judge` to `log_extra` (None without
    any), where these are there.

    Args:
        graded: by place in the call.
        rubric: of the grades.
        columns: of the call; they tell its groups.
        count: completions of the call.
    """
    log_metric, log_extra = columns.get("log_metric"), columns.get("log_extra")
    if log_metric is not None:
        groups = [[graded[place] for place in places if place in graded] for places in group_places(count, columns)]
        for name, number in grade_metrics(groups, rubric).items():
            log_metric(name, number)
    if log_extra is not None:
        known = {place: one.grades for place, one in graded.items() if one.grades is not None}
        log_extra("judge", [dict(known[place]) if place in known else None for place in range(count)])


def grade_metrics(groups: Sequence[Sequence[JudgedText]], rubric: Rubric, prefix: str = "judge") -> dict[str, float]:
    """By name; what nothing is known of is left out.

    One for each dimension, e.g. `judge/reading_experience`: the mean of its grades, in [0, 1] as the reward is.
    `unparsable_share`: texts without a verdict, of those asked about. `length_correlation`: Pearson's r of reward and
    words, each less its group's mean, -1 to 1; 0 without length bias, since members of a group answer the same.
    """
    asked = [one for group in groups for one in group]
    grades = [one.grades for one in asked if one.grades is not None]
    told = {
        f"{prefix}/{_plain(dimension)}": fmean(replace(rubric, dimensions=(dimension,)).quality(row) for row in grades)
        for dimension in rubric.dimensions
        if grades
    }
    if asked:
        told[f"{prefix}/unparsable_share"] = 1 - len(grades) / len(asked)
    found = _length_correlation(groups)
    return told if found is None else {**told, f"{prefix}/length_correlation": found}


def _length_correlation(groups: Sequence[Sequence[JudgedText]]) -> float | None:
    pairs: list[tuple[float, float]] = []
    for group in groups:
        known = [(float(count_length(one.text)), one.value) for one in group if one.value is not None]
        if known:
            words, value = (fmean(column) for column in zip(*known, strict=True))
            pairs += [(x - words, y - value) for x, y in known]
    columns = list(zip(*pairs, strict=True))
    if not columns or any(max(column) - min(column) < _NO_SPREAD for column in columns):
        return None
    return max(-1.0, min(1.0, correlation(*columns)))


def _plain(dimension: Dimension) -> str:
    return dimension.name.lower().replace(" ", "_")
