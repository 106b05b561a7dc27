"""Comparisons of completions of one prompt by a judge of pairs: who is compared, and what comes of both orders."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from random import Random
from typing import Literal

from lengthctl.judging_pairs import Disagree, Pair, PairJudge, PairScores
from lengthctl.length import count_length
from lengthctl.rewards.pair_groups import Group

__all__ = ["Duel", "Rules", "favours", "question", "settle"]


@dataclass(frozen=True)
class Rules:
    """How two members are compared."""

    votes: Literal[1, 2] = 2
    disagree: Disagree = "loss"
    length_band: float | None = None

    def orders(self, group: Group, member: int, against: int) -> list[bool]:
        """Whether the member stands second, for each question; none for equal texts, or lengths outside the band."""
        one, other = group.texts[member], group.texts[against]
        if one == other or not self._is_near(one, other):
            return []
        return [False, True] if self.votes == 2 else [favours(group, one, other)]

    def _is_near(self, one: str, other: str) -> bool:
        if self.length_band is None:
            return True
        wanted = count_length(other)
        return abs(count_length(one) - wanted) <= self.length_band * wanted


def favours(group: Group, one: str, other: str) -> bool:
    """A fair coin for two texts, which falls the other way when they change places."""
    low, high = sorted((one, other))
    return (Random(f"{group.name}|{low}|{high}").random() < 0.5) == (one == low)


@dataclass(frozen=True)
class Duel:
    """A member against another."""

    group: Group
    member: int
    against: int
    stood_second: tuple[bool, ...] = ()
    """Of the member, by question."""
    scores: tuple[PairScores | None, ...] = ()
    """As `(member, other)`, by question; None: no verdict."""

    @property
    def known(self) -> list[PairScores]:
        """Scores that there are."""
        return [scores for scores in self.scores if scores is not None]


def settle(pairs: Sequence[tuple[Group, int, int]], rules: Rules, judge: PairJudge) -> list[Duel]:
    """Every comparison `(group, member, other)`; the judge is called once, and asked each question once.

    Raises:
        ValueError: the judge gave another number of answers.
    """
    open_duels = [Duel(g, i, j, tuple(rules.orders(g, i, j))) for g, i, j in pairs]
    asked = list(dict.fromkeys(question(duel, second) for duel in open_duels for second in duel.stood_second))
    answers = judge(asked) if asked else []
    if len(answers) != len(asked):
        raise ValueError(f"the judge gave {len(answers)} answers to {len(asked)} pairs")
    found = dict(zip(asked, answers, strict=True))
    return [_settled(duel, found) for duel in open_duels]


def question(duel: Duel, second: bool) -> Pair:
    """What the judge is shown."""
    pair = Pair(duel.group.request, duel.group.texts[duel.member], duel.group.texts[duel.against])
    return pair.swapped if second else pair


def _settled(duel: Duel, found: Mapping[Pair, PairScores | None]) -> Duel:
    shown = [(found[question(duel, second)], second) for second in duel.stood_second]
    scores = tuple(s.swapped if s is not None and second else s for s, second in shown)
    return Duel(duel.group, duel.member, duel.against, duel.stood_second, scores)
