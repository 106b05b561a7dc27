"""What makes two texts a preference pair, and which of the possible pairs are taken. Ours."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from typing import Literal

from lengthctl.data_gen.preference_texts import PairDrop, Text
from lengthctl.length import Band, BandKind, Target, Unit, log_ratio, ruler_band
from lengthctl.mlt import MetaToken, MltTable
from lengthctl.prompts import WORDINGS, check_wording, stable_hash
from lengthctl.scoring import hit_band

__all__ = ["DEFAULT_RULES", "Label", "Pair", "PairKind", "PairRules", "PairSet", "choose_pairs"]


class PairKind(StrEnum):
    """By what a pair prefers one text."""

    ADHERENCE = "adherence"
    """Both were written for the target; one hit it."""
    HINDSIGHT = "hindsight"
    """The target is the length that one of them has."""
    SCORE = "score"
    """S_l and S_q together, as LongWriter."""


@dataclass(frozen=True)
class Label:
    """How a pair asks for a length: the target, the lengths that hit it, and the token if one asks."""

    target: Target
    band: Band
    token: MetaToken | None = None

    def distance(self, length: int) -> float:
        """Absolute `length.log_ratio` from the target, >= 0; 0.1 is about 10 %."""
        return abs(log_ratio(length, self.target))


@dataclass(frozen=True)
class PairRules:
    """The choices that all kinds of pairs share.

    Raises:
        ValueError: a value outside its range, an unknown band, a wording without `{request}` or `{length}`.
    """

    seed: int = 0
    """Every draw is a hash of this and of what is drawn. With the seed and wordings of the run that sampled, prompts
    are worded as they were there."""
    margin: float = 0.1
    """How much farther the rejected text is from the target than the chosen one, in `Label.distance`, > 0. 0.1: where
    a text of 100 words hits a target of 100, one of 112 or 91 can be rejected, one of 110 cannot. Below about ten units
    a single one is as much: raise it for short targets."""
    band: Literal["hit", "pm", "fm"] = "hit"
    """The lengths that hit: `scoring.hit_band`, or Ruler's precise or flexible ones. A token has the last two only, and
    its precise one for `hit`."""
    per_prompt: int = 1
    """Most pairs of one kind for a request with one length, >= 1."""
    balance: bool = True
    """Within each target, as many pairs prefer the longer text as the shorter one, where there are both; those of a
    target with one sort only are all kept, and show in the statistics. Hindsight pairs come in twos, one each way."""
    matched: bool = False
    """Of the possible pairs of a prompt, take those whose texts repeat themselves most alike, not those of a hash."""
    clean_rejected: bool = True
    """The rejected text too is finished and not repetitive, so that nothing but length is preferred."""
    table: MltTable | None = None
    """Ask by these meta length tokens, in front of both completions; None: ask in words."""
    wordings: tuple[str, ...] = WORDINGS
    """Forms of the demand in words; a hash draws one a prompt."""

    def __post_init__(self) -> None:
        if not 0 < self.margin < float("inf") or self.per_prompt < 1:
            raise ValueError(f"needs 0 < margin and 1 <= per_prompt, found {self.margin} and {self.per_prompt}")
        if self.band not in ("hit", "pm", "fm"):
            raise ValueError(f"a band is hit, pm or fm, found {self.band!r}")
        if not self.wordings:
            raise ValueError("at least one wording is needed")
        for wording in self.wordings:
            check_wording(wording)

    def label_for_target(self, target: Target) -> Label | None:
        """How this target is asked; None where no token does."""
        if self.table is None:
            return Label(target, hit_band(target) if self.band == "hit" else ruler_band(target, BandKind(self.band)))
        try:
            return self._label_of(self.table.token_for_target(target))
        except ValueError:  # another unit, or lengths out of reach
            return None

    def label_for_length(self, length: int, unit: Unit, targets: Sequence[Target] = ()) -> Label | None:
        """How the length of a text is asked for in hindsight: by the token that a text of it is trained with; or by the
        nearest of `targets` that it hits; or, without those, by itself. None: by nothing."""
        if length < 1:
            return None
        if self.table is not None:
            token = self.table.token_for_text(length) if unit is self.table.unit else None
            labels = [] if token is None else [self._label_of(token)]
        else:
            wanted = [target for target in targets if target.unit is unit] if targets else [Target(length, unit=unit)]
            labels = [label for target in wanted if (label := self.label_for_target(target)) is not None]
        hit = [label for label in labels if length in label.band]
        return min(hit, key=lambda label: (label.distance(length), repr(label.target)), default=None)

    def _label_of(self, token: MetaToken) -> Label:
        return Label(token.target, token.fm if self.band == "fm" else token.pm, token)


DEFAULT_RULES = PairRules()


@dataclass(frozen=True)
class Pair:
    """Two texts for one request, one of which is preferred when the length of `label` is asked."""

    kind: PairKind
    label: Label
    chosen: Text
    rejected: Text
    margin: float
    """Of adherence and hindsight the difference of their `Label.distance`, of scores that of the scores; > 0."""

    @property
    def prompt_id(self) -> str:
        """Of the request; of two ids the first in order, so that mirrored pairs share it."""
        return min(self.chosen.prompt_id, self.rejected.prompt_id)

    @property
    def longer(self) -> int:
        """1 where the chosen text is the longer one, -1 where it is the shorter one, else 0."""
        return (self.chosen.length > self.rejected.length) - (self.chosen.length < self.rejected.length)

    @cached_property
    def unlikeness(self) -> float:
        """Absolute difference of the shares of repeated trigrams, in [0, 1)."""
        return abs(self.chosen.repetition - self.rejected.repetition)

    def rank(self, rules: PairRules) -> tuple[float, int, tuple[str, ...]]:
        """The order in which pairs are taken: by likeness where that is wanted, then by hash."""
        parts = (str(rules.seed), self.kind, repr(self.label.target), *self.chosen.order, *self.rejected.order)
        return (self.unlikeness if rules.matched else 0.0, stable_hash("|".join(parts)), parts)


@dataclass(frozen=True)
class PairSet:
    """Pairs of one kind, and how many texts, prompts and pairs were left out for what."""

    kind: PairKind
    pairs: tuple[Pair, ...]
    dropped: Mapping[PairDrop, int]


def choose_pairs(prompts: Iterable[Sequence[Pair]], rules: PairRules, dropped: Counter[PairDrop]) -> list[Pair]:
    """At most `per_prompt` of the possible pairs of each prompt, balanced within each target if the rules say so.

    Args:
        prompts: for each request with one label, all of its possible pairs; empty for none.
        rules: see there.
        dropped: counts prompts without pair, and pairs that the balance cost.
    """
    by_label: dict[Label, list[list[Pair]]] = {}
    for possible in prompts:
        if not possible:
            dropped[PairDrop.NO_PAIR] += 1
            continue
        ranked = sorted(possible, key=lambda pair: pair.rank(rules))
        by_label.setdefault(ranked[0].label, []).append(ranked)
    taken = []
    for groups in by_label.values():
        pairs = _take(groups, rules)
        kept = _balanced(pairs, rules) if rules.balance else pairs
        dropped[PairDrop.BALANCE] += len(pairs) - len(kept)
        taken += kept
    return sorted(taken, key=lambda pair: pair.rank(rules))


def _take(groups: list[list[Pair]], rules: PairRules) -> list[Pair]:
    """Prompts that can only tip the balance one way come first, so that the others can make up for them; within a
    prompt, texts that are used least."""
    taken: list[Pair] = []
    lead = 0
    for group in sorted(groups, key=lambda group: (len({pair.longer for pair in group}), group[0].rank(rules))):
        uses: Counter[tuple[str, ...]] = Counter()
        rest = list(enumerate(group))
        for _ in range(min(rules.per_prompt, len(group))):
            tip = (lead > 0) - (lead < 0) if rules.balance else 0
            best = min(rest, key=lambda item: (tip * item[1].longer, _used(item[1], uses), item[0]))
            rest.remove(best)
            taken.append(best[1])
            uses.update([best[1].chosen.order, best[1].rejected.order])
            lead += best[1].longer
    return taken


def _used(pair: Pair, uses: Counter[tuple[str, ...]]) -> int:
    return uses[pair.chosen.order] + uses[pair.rejected.order]


def _balanced(pairs: list[Pair], rules: PairRules) -> list[Pair]:
    sides = {side: [pair for pair in pairs if pair.longer == side] for side in (-1, 1)}
    most = min(map(len, sides.values()))
    if not most:
        return pairs
    kept = [pair for side in sides.values() for pair in sorted(side, key=lambda p: p.rank(rules))[:most]]
    return kept + [pair for pair in pairs if pair.longer == 0]
