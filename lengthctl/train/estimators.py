"""Advantage estimators: rewards and lengths of a group in, advantages a token out. Pure."""

from __future__ import annotations

from collections.abc import Sequence

__all__ = ["survivor_advantages"]


def survivor_advantages(
    rewards: Sequence[float | None], lengths: Sequence[int], *, decay: float = 1.0
) -> list[list[float]]:
    """Advantages of a group's tokens, with the members that are still being written at a token as its baseline.

    `V(t)` is the mean reward of the members with more than t tokens: what a text of t tokens may expect that does not
    end here. Token t moves that expectation by `d(t) = V(t + 1) - V(t)`, the last one by `reward - V(t)`; its advantage
    is the sum of what it and later tokens move, those k tokens later times `decay ** k`. So where to stop is judged
    against going on, a token that all members outlive costs nothing but what follows, and with `decay` 1 the advantage
    is `reward - V(t)`: exact, as V depends on nothing that token t decides (but for the member's own share in it, as in
    GRPO). Below 1 less of what comes later is laid on early tokens: less noise, some bias.

    Args:
        rewards: (G), None where a member does not count: it moves nothing and its advantages are 0.
        lengths: (G), tokens of each, the stop token counted.
        decay: in [0, 1].

    Returns:
        G lists of as many advantages as the member has tokens.

    Source: ours; GAE (arXiv 1506.02438) over a value read off the group itself.
    """
    if not 0 <= decay <= 1:
        raise ValueError(f"decay lies between 0 and 1, found {decay}")
    known = [(length, reward) for length, reward in zip(lengths, rewards, strict=True) if reward is not None]
    longest = max((length for length, _ in known), default=0)
    totals, counts = [0.0] * (longest + 1), [0] * (longest + 1)
    for length, reward in known:
        totals[length] += reward
        counts[length] += 1
    values = [0.0] * longest
    total, count = 0.0, 0
    for place in reversed(range(longest)):
        total, count = total + totals[place + 1], count + counts[place + 1]
        values[place] = total / count
    advantages = []
    for length, final in zip(lengths, rewards, strict=True):
        own = [0.0] * length
        if final is not None:
            later, after = 0.0, final
            for place in reversed(range(length)):
                later = after - values[place] + decay * later
                own[place], after = later, values[place]
        advantages.append(own)
    return advantages
