"""Preference pairs by S_l and S_q, as LongWriter's DPO takes them, that don't teach length by themselves.

Source: LongWriter, arXiv 2408.07055: of several texts a prompt the best by both scores is chosen, another is rejected.
Ours: the thresholds, a quality from the text alone where no judge is asked, and the watch on the length difference:
where the chosen texts are the longer ones on the whole, DPO learns "longer", whatever it is asked.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from lengthctl.data_gen.preference_pairs import DEFAULT_RULES, score_pairs
from lengthctl.data_gen.preference_rules import Pair, PairRules, PairSet
from lengthctl.data_gen.preference_texts import PairDrop, Text
from lengthctl.data_gen.quality import writing_quality

__all__ = ["MOST_LEAN", "QualityPairs", "lean_of", "quality_pairs", "with_own_quality"]

MOST_LEAN = 0.1
"""Mean difference of chosen and rejected length that is let pass, as a share of the target. Ours."""


@dataclass(frozen=True)
class QualityPairs:
    """Pairs, and how much their chosen texts are longer than the rejected ones (`lean_of`)."""

    found: PairSet
    lean_before: float
    """Of all pairs that the scores give; 0 where there are none."""
    lean: float
    """Of those that are left."""

    @property
    def line(self) -> str:
        """For people, e.g. `chosen texts are longer by 4.1 % of the target on average (12.0 % before 7 pairs went)`."""
        word = "longer" if self.lean >= 0 else "shorter"
        went = self.found.dropped.get(PairDrop.BALANCE, 0)
        before = f" ({100 * self.lean_before:+.1f} % before {went} pairs went)" if went else ""
        return f"chosen texts are {word} by {100 * abs(self.lean):.1f} % of the target on average{before}"


def with_own_quality(texts: Iterable[Text]) -> list[Text]:
    """Each text with a quality: the one that it has, else `quality.writing_quality` of the text alone."""
    return [t if t.quality is not None else replace(t, quality=writing_quality(t.text)) for t in texts]


def quality_pairs(
    texts: Iterable[Text],
    rules: PairRules = DEFAULT_RULES,
    *,
    min_gap: float = 0.05,
    min_s_l: float = 0.8,
    most_lean: float = MOST_LEAN,
) -> QualityPairs:
    """`preference_pairs.score_pairs`, without texts that a control cut, and rebalanced where `rules.balance`.

    Args:
        texts: with `quality`; four a prompt in the paper.
        rules: see `score_pairs`.
        min_gap: least difference of the mean of S_l and S_q, in (0, 1].
        min_s_l: least S_l of the chosen text, in [0, 1].
        most_lean: see `rebalanced`.

    Raises:
        ValueError: an argument outside its range.
    """
    if not 0 <= most_lean < float("inf"):
        raise ValueError(f"most_lean is a share of the target from 0, found {most_lean}")
    given = list(texts)
    whole = [text for text in given if not text.is_cut]
    # the balance by number would drop pairs blindly: the lean says which ones tip the scales
    found = score_pairs(whole, replace(rules, balance=False), min_gap=min_gap, min_s_l=min_s_l)
    kept = rebalanced(found.pairs, most_lean) if rules.balance else list(found.pairs)
    dropped = Counter(found.dropped)
    dropped[PairDrop.UNFINISHED] += len(given) - len(whole)
    dropped[PairDrop.BALANCE] += len(found.pairs) - len(kept)
    pairs = replace(found, pairs=tuple(kept), dropped=dict(+dropped))
    return QualityPairs(pairs, lean_of(found.pairs), lean_of(kept))


def lean_of(pairs: Sequence[Pair]) -> float:
    """Mean of (chosen - rejected length) / target; above 0 the chosen texts are the longer ones. 0 for no pairs."""
    return sum(map(_lean, pairs)) / len(pairs) if pairs else 0.0


def rebalanced(pairs: Sequence[Pair], most: float = MOST_LEAN) -> list[Pair]:
    """The pairs in their order, without those that tip the scales most, until `lean_of` lies within +-`most`.

    Where every pair tips one way by more than that, all are kept: a model that never reaches its targets has no others,
    and to write longer is what it has to learn.
    """
    side = 1 if lean_of(pairs) > 0 else -1
    ordered = sorted(range(len(pairs)), key=lambda place: (side * _lean(pairs[place]), place))
    total = side * lean_of(pairs) * len(pairs)
    left = len(ordered)
    while left and total > most * left * (1 + 1e-12):
        left -= 1
        total -= side * _lean(pairs[ordered[left]])
    return [pairs[place] for place in sorted(ordered[:left])] if left else list(pairs)


def _lean(pair: Pair) -> float:
    target = pair.label.target
    return (pair.chosen.length - pair.rejected.length) / target.reference(pair.chosen.length)
