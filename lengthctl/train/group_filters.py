"""Which groups are worth an update. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from math import fsum

from lengthctl.config.advantage import GroupFilter
from lengthctl.train.advantages import Rewards

__all__ = ["teaching_groups"]

_LEAST_SPREAD = 1e-6
"""Rewards of a group that differ by less are equal but for rounding."""


def teaching_groups(
    groups: Sequence[Rewards],
    rule: GroupFilter,
    *,
    correct: Sequence[Sequence[bool | None]] | None = None,
    max_skew: float = 0.6,
) -> list[bool]:
    """One answer a group: train it, or leave it out. A group in which no member counts is left out by every rule but
    `none`.

    Args:
        groups: rewards.
        rule: `none` trains all. `spread`: the rewards differ, which is the rule for graded rewards: all right answers
            can still teach brevity (ours). `correct`: 0 < number right < number known (dynamic sampling, DAPO, arXiv
            2503.14476); a group whose answers are all unknown stays. `skew`: |sum| / number <= `max_skew`, for rewards
            of -1 to 1 without baseline (BRPO, arXiv 2506.00103): a group that nearly all won or lost says that its
            reference was an outlier.
        correct: by group, None where an answer cannot be checked; for `correct` only.
        max_skew: for `skew` only.

    Raises:
        ValueError: `correct` is needed and missing, or of other shape.
    """
    if rule == "correct":
        if correct is None or [len(c) for c in correct] != [len(g) for g in groups]:
            raise ValueError("the filter `correct` needs to know of each completion whether it is right")
        return [_counts(group) and _is_mixed(right) for group, right in zip(groups, correct, strict=True)]
    if rule == "spread":
        return [_spreads(group) for group in groups]
    if rule == "skew":
        return [_is_balanced(group, max_skew) for group in groups]
    return [True] * len(groups)


def _counts(group: Rewards) -> bool:
    return any(reward is not None for reward in group)


def _spreads(group: Rewards) -> bool:
    known = [reward for reward in group if reward is not None]
    return len(known) > 1 and max(known) - min(known) >= _LEAST_SPREAD


def _is_mixed(right: Sequence[bool | None]) -> bool:
    known = [bool(value) for value in right if value is not None]
    return not known or 0 < sum(known) < len(known)


def _is_balanced(group: Rewards, max_skew: float) -> bool:
    known = [reward for reward in group if reward is not None]
    return bool(known) and abs(fsum(known)) <= max_skew * len(known)
