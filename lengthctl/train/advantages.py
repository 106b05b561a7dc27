"""Advantages of whole completions: rewards by group in, one number a completion out. Pure.

A baseline and a scale are chosen apart, so every published estimator is a pair:

| estimator | baseline, scale |
|---|---|
| GRPO, arXiv 2402.03300 | group_mean, group_std |
| Dr. GRPO, arXiv 2503.20783 | group_mean, none |
| RLOO, arXiv 2402.14740 | leave_one_out, none |
| TRL's `scale_rewards: batch` | group_mean, batch_std |
| REINFORCE++, arXiv 2501.03262 | batch_mean, centred_batch_std |
| REINFORCE++-baseline; DLER, arXiv 2510.15110, Eq. 3 | group_mean, centred_batch_std |
| BRPO, arXiv 2506.00103 | none, none |

GFPO compares the members that it keeps: `gfpo_advantages`.
"""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean, pstdev, stdev

from lengthctl.config.advantage import Baseline, KeepBy, Scale

__all__ = ["Rewards", "gfpo_advantages", "gfpo_members", "relative_advantages"]

Rewards = Sequence[float | None]
"""Of one group; None for a member that does not count: it changes no other and its advantage is 0."""

_EPSILON = 1e-4
"""Added to the deviation of raw rewards, as TRL 1.16 does it."""
_WHITENING_EPSILON = 1e-8
"""Added to that of centred ones, as verl and OpenRLHF do it."""


def relative_advantages(
    groups: Sequence[Rewards], *, baseline: Baseline, scale: Scale, std_floor: float | None = None
) -> list[list[float]]:
    """Reward less baseline, over scale.

    Equal rewards give zeros, by `group_mean` and `leave_one_out` in a group, by `batch_mean` in the whole step. So does
    a member without others: nothing says whether it did well. Standard deviations have Bessel's correction, but for
    `centred_batch_std`, which is the population's; each completion weighs the same in it, whatever its length.

    Args:
        groups: of one step, all processes together; none is empty.
        baseline: what is taken off.
        scale: what that is divided by.
        std_floor: the least divisor, in place of the small number that is else added to it; None: no floor.

    Returns:
        Lists of the sizes of the groups, finite.

    Raises:
        ValueError: an empty group; `centred_batch_std` without a baseline.
    """
    if any(not group for group in groups):
        raise ValueError("a group without members has no advantages")
    if baseline == "none" and scale == "centred_batch_std":
        raise ValueError("scale centred_batch_std needs a baseline, found none")
    everything = _known([reward for group in groups for reward in group])
    centred = [_centred(group, baseline, everything) for group in groups]
    match scale:
        case "group_std":
            divisors = [_divisor(_std(_known(group)), std_floor, _EPSILON) for group in groups]
        case "batch_std":
            divisors = [_divisor(_std(everything), std_floor, _EPSILON)] * len(groups)
        case "centred_batch_std":
            spread = _std(_known([value for group in centred for value in group]), sample=False)
            divisors = [_divisor(spread, std_floor, _WHITENING_EPSILON)] * len(groups)
        case "none":
            divisors = [1.0] * len(groups)
    return [
        [0.0 if value is None else value / divisor for value in group]
        for group, divisor in zip(centred, divisors, strict=True)
    ]


def gfpo_members(rewards: Rewards, lengths: Sequence[int], *, keep: int, by: KeepBy) -> list[int]:
    """Indices (ascending) of the members that GFPO keeps, arXiv 2508.09726, Sec. 3: the `keep` shortest, or those with
    the most reward a token.

    Ties go to the lower index. A member without reward is never kept. Where a reward of the group is negative, all are
    first raised by the lowest, as a loss over more tokens would look better than over fewer (ours).

    Raises:
        ValueError: `keep` below 1.
    """
    if keep < 1:
        raise ValueError(f"keep at least one member, found {keep}")
    lowest = min(0.0, *(reward for reward in rewards if reward is not None), 0.0)

    def rank(place: int) -> float:
        reward, length = rewards[place], lengths[place]
        return length if by == "length" or reward is None else -(reward - lowest) / max(length, 1)

    counted = [place for place, reward in enumerate(rewards) if reward is not None]
    return sorted(sorted(counted, key=lambda place: (rank(place), place))[:keep])


def gfpo_advantages(rewards: Rewards, lengths: Sequence[int], *, keep: int, by: KeepBy) -> list[float]:
    """(reward - mean) / deviation of the members that GFPO keeps (population, Eq. 2), 0 for the others.

    Args:
        rewards: (G), of one group.
        lengths: (G), in tokens, the stop token counted.
        keep: how many.
        by: which.

    Raises:
        ValueError: `keep` below 1.
    """
    kept = gfpo_members(rewards, lengths, keep=keep, by=by)
    known = [reward for place in kept if (reward := rewards[place]) is not None]
    spread = _std(known, sample=False)
    out = [0.0] * len(rewards)
    if spread > 0:
        mean = fmean(known)
        for place, reward in zip(kept, known, strict=True):
            out[place] = (reward - mean) / spread
    return out


def _known(rewards: Rewards) -> list[float]:
    return [reward for reward in rewards if reward is not None]


def _centred(group: Rewards, baseline: Baseline, everything: Sequence[float]) -> list[float | None]:
    if baseline == "none":
        return list(group)
    compared = everything if baseline == "batch_mean" else _known(group)
    if not compared or min(compared) == max(compared):
        return [None if reward is None else 0.0 for reward in group]
    mean = fmean(compared)
    # less the mean of the others is less the own mean, times n / (n - 1)
    factor = len(compared) / (len(compared) - 1) if baseline == "leave_one_out" else 1.0
    return [None if reward is None else factor * (reward - mean) for reward in group]


def _divisor(spread: float, floor: float | None, epsilon: float) -> float:
    return spread + epsilon if floor is None else max(spread, floor)


def _std(values: Sequence[float], *, sample: bool = True) -> float:
    """With Bessel's correction for a sample; 0 where it is not defined."""
    if len(values) < 2 or min(values) == max(values):
        return 0.0
    return stdev(values) if sample else pstdev(values)
