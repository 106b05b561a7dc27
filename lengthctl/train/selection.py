"""Which members of a group are worth an update: the extremes of a larger group. Pure.

Generation costs a fraction of an update, so a group is sampled large and only its best and worst members are trained.
Idea: down-sampling of rollouts, arXiv 2504.13818. Differs from it: the two ends have sizes of their own, and the
advantage keeps the baseline of the *whole* group (its mean), so what is left out still says what is usual.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

__all__ = ["select_extremes"]


def select_extremes(rewards: Sequence[float | None], group_size: int, keep_best: int, keep_worst: int) -> list[int]:
    """Indices (ascending) of the members to train, over groups of `group_size` consecutive rewards.

    Within a group the `keep_best` highest and `keep_worst` lowest rewards stay; ties go to the lower index. A member
    without reward (None: it failed, or does not count) is left out. A group whose rewards are all equal has no
    information and is left out; if that holds for every group, the first group is kept, so that a step always has rows
    (their advantages are zero).

    Raises:
        ValueError: sizes that do not fit.
    """
    if group_size < 1 or len(rewards) % group_size:
        raise ValueError(f"{len(rewards)} rewards do not form groups of {group_size}")
    if keep_best < 0 or keep_worst < 0 or not 0 < keep_best + keep_worst <= group_size:
        raise ValueError(f"cannot keep {keep_best} best and {keep_worst} worst of {group_size}")
    kept: list[int] = []
    for start in range(0, len(rewards), group_size):
        known = {i: value for i in range(start, start + group_size) if (value := rewards[i]) is not None}
        if known and max(known.values()) - min(known.values()) >= 1e-6:
            kept.extend(_ends(known, keep_best, keep_worst))
    return kept or sorted(_ends({i: rewards[i] or 0.0 for i in range(group_size)}, keep_best, keep_worst))


def _ends(known: Mapping[int, float], keep_best: int, keep_worst: int) -> list[int]:
    best_first = sorted(known, key=lambda i: (-known[i], i))
    best = best_first[:keep_best]
    rest = sorted(best_first[keep_best:], key=lambda i: (known[i], i))
    return sorted(best + rest[:keep_worst])
