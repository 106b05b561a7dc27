"""Which members of a group are compared, and what each earns: one reference, all pairs, or a tournament."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from random import Random
from typing import Literal

from lengthctl.rewards.duels import Duel
from lengthctl.rewards.pair_groups import Group, sorted_members
from lengthctl.rewards.pair_tournament import Settler, Values, matches, seeded, tournaments

__all__ = ["Mode", "first_pairs", "play"]

Mode = Literal["brpo", "winrate", "tournament"]
Value = Callable[[Duel], int | None]


def first_pairs(group: Group, mode: Mode) -> list[tuple[Group, int, int]]:
    """Comparisons of the first round; only a tournament has more. None where nobody can be compared."""
    if mode == "brpo":
        if not group.references:
            return []
        return [(group, i, _reference(group)) for i in group.judged if i != _reference(group)]
    if mode == "winrate":
        return [(group, i, j) for i in group.judged for j in group.judged if i < j]
    return [(group, i, j) for i, j in matches(seeded(group))]


def play(groups: Sequence[Group], mode: Mode, settle: Settler, value: Value) -> list[Values]:
    """Values in [-1, 1] of each group's judged members; `value` of a duel is that of its member, 1, 0, -1 or None.

    `brpo`: -1, 0 or 1 against a member drawn uniformly, which has 0 itself; 0 without a verdict. `winrate`: the mean
    over the others with a verdict. `tournament`: rounds won, from -1 for none to 1 for all; a draw or a missing verdict
    goes by the sum of scores, then by chance. A group without any verdict has no values (ours): gates would only push
    it down.
    Source: BRPO, arXiv 2506.00103, from public summaries; win rate: Pref-GRPO, arXiv 2508.20751, whose shares lie in
    [0, 1]; tournament: after ArenaRL, arXiv 2601.06487, but seeded by chance.
    """
    if mode == "tournament":
        return tournaments(groups, settle)
    duels = settle([pair for group in groups for pair in first_pairs(group, mode)])
    score = _against_reference if mode == "brpo" else _against_all
    own = [[duel for duel in duels if duel.group is group] for group in groups]
    return [{} if _is_unheard(asked) else score(group, asked, value) for group, asked in zip(groups, own, strict=True)]


def _is_unheard(duels: Sequence[Duel]) -> bool:
    """Something was asked, and nothing came."""
    return any(duel.stood_second for duel in duels) and not any(duel.known for duel in duels)


def _reference(group: Group) -> int:
    return Random(group.name).choice(sorted_members(group, group.references))


def _against_reference(group: Group, duels: Sequence[Duel], value: Value) -> Values:
    reference = {_reference(group): 0.0} if group.references else {}
    return {**{duel.member: float(value(duel) or 0) for duel in duels}, **reference}


def _against_all(group: Group, duels: Sequence[Duel], value: Value) -> Values:
    won: dict[int, list[int]] = {i: [] for i in group.judged} if duels else {}
    for duel in duels:
        for one in (duel, _turned(duel)):
            if (found := value(one)) is not None:
                won[one.member].append(found)
    return {i: sum(values) / len(values) if values else 0.0 for i, values in won.items()}


def _turned(duel: Duel) -> Duel:
    scores = tuple(None if s is None else s.swapped for s in duel.scores)
    return Duel(duel.group, duel.against, duel.member, tuple(not s for s in duel.stood_second), scores)
