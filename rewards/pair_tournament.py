"""Tournaments inside groups: those that win meet again, until one of each group is left."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from random import Random

from lengthctl.judging_pairs import outcome
from lengthctl.rewards.duels import Duel, favours
from lengthctl.rewards.pair_groups import Group, sorted_members

__all__ = ["Settler", "Values", "matches", "seeded", "tournaments"]

Values = dict[int, float]
"""By member; without an entry for those that are not judged, and empty where the group cannot be judged at all."""
Settler = Callable[[Sequence[tuple[Group, int, int]]], list[Duel]]


def seeded(group: Group) -> list[int]:
    """The judged members as they meet in the first round: by chance."""
    order = sorted_members(group, group.judged)
    Random(group.name).shuffle(order)
    return order


def matches(standing: Sequence[int]) -> list[tuple[int, int]]:
    """Neighbours; the last of an odd number goes on without."""
    return list(zip(standing[::2], standing[1::2], strict=False))


def tournaments(groups: Sequence[Group], settle: Settler) -> list[Values]:
    """Rounds won of all rounds, scaled to [-1, 1]; all groups play a round at once. Without a clear winner the sum of
    scores decides, then a coin; a group without any verdict is left out."""
    standing = [seeded(group) for group in groups]
    rounds = [max(0, len(members) - 1).bit_length() for members in standing]
    values: list[Values] = [{} for _ in groups]
    heard = [False] * len(groups)
    for played in range(max(rounds, default=0)):
        todo = [(n, i, j) for n, members in enumerate(standing) for i, j in matches(members)]
        duels = settle([(groups[n], i, j) for n, i, j in todo])
        for (n, i, j), duel in zip(todo, duels, strict=True):
            loser = j if _goes_on(duel) else i
            standing[n].remove(loser)
            heard[n] = heard[n] or bool(duel.known)
            values[n][loser] = 2 * played / rounds[n] - 1
    for members, found in zip(standing, values, strict=True):
        found.update(dict.fromkeys(members, 1.0))
    return [found if any_verdict else {} for found, any_verdict in zip(values, heard, strict=True)]


def _goes_on(duel: Duel) -> bool:
    clear = outcome(duel.scores, "zero")
    gap = float(clear or 0) or sum(s.a - s.b for s in duel.known)
    texts = duel.group.texts
    return gap > 0 if gap else favours(duel.group, texts[duel.member], texts[duel.against])
