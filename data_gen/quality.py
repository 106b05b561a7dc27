"""How good a text is as far as it tells itself: variety, repetition, an end, paragraphs; with S_l and a judge's S_q
where there are any. For choosing among texts, not for reporting: a dull text without a fault scores full.

Source of the measures: distinct-n and seq-rep-n as usual in the field; equal windows, weights and bounds are ours.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from lengthctl.degeneration import distinct_n, is_finished, seq_rep_n
from lengthctl.length import Target, Unit, count_length
from lengthctl.normal_text import normal_words
from lengthctl.scoring import s_l
from lengthctl.writing_system import writing_system

__all__ = ["Quality", "measure_quality", "writing_quality"]

_WINDOW = 200
"""Words of a window in which variety is measured: distinct-n falls with the number of words, so it compares at equal
numbers only."""
_WORST_REPETITION = 0.5
"""Share of repeated n-grams from which on a text is worth nothing there."""
_LONGEST_PARAGRAPH = 400
"""Words of a paragraph that still reads as one."""
_GRAM, _HAN_GRAM = 4, 6
"""Words of an n-gram; of ideographs, as an English word is about one and a half of them."""
_PARAGRAPHS = re.compile(r"\n\s*\n|\n(?=\s*(?:[-*#]|\d{1,3}[.)]))")


@dataclass(frozen=True)
class Quality:
    """What a text is worth; each in [0, 1], 1 is best."""

    variety: float
    """Mean distinct-2 of its windows of 200 words; of a shorter text as a whole."""
    freshness: float
    """1 without a repeated 4-gram (of ideographs 6-gram), falling to 0 at a share of one half."""
    ending: float
    """1 for a text that ends as texts do, else 0."""
    structure: float
    """Share of its words in paragraphs of up to 400 words."""
    s_l: float | None
    """Length score; None without a target."""
    s_q: float | None
    """A judge's quality score; None without."""

    @property
    def writing(self) -> float:
        """Mean of the four that the text itself shows."""
        return (self.variety + self.freshness + self.ending + self.structure) / 4

    @property
    def value(self) -> float:
        """Mean of S_l, where there is one, and of the judge's score, in whose place `writing` stands where there is
        none: LongBench-Write's (S_l + S_q) / 2."""
        quality = self.writing if self.s_q is None else self.s_q
        return quality if self.s_l is None else (self.s_l + quality) / 2


def measure_quality(
    text: str, target: Target | None = None, *, length: int | None = None, s_q: float | None = None
) -> Quality:
    """All measures of a text.

    Args:
        text: a completion.
        target: what was asked for.
        length: in the target's unit; counted when None.
        s_q: a judge's score, in [0, 1].

    Raises:
        ValueError: a target in tokens without `length`.
    """
    words = normal_words(text)
    system = writing_system(text)
    n = _HAN_GRAM if system is not None and system.has_ideographs else _GRAM
    repeated = seq_rep_n(words, n) or 0.0
    length_score = None
    if target is not None:
        length_score = s_l(count_length(text, target.unit) if length is None else length, target)
    return Quality(
        variety=_variety(words),
        freshness=max(0.0, 1 - repeated / _WORST_REPETITION) if words else 0.0,
        ending=float(is_finished(text)),
        structure=_structure(text),
        s_l=length_score,
        s_q=s_q,
    )


def writing_quality(text: str) -> float:
    """`Quality.writing` of a text, in [0, 1]; 0 for one without a word."""
    return measure_quality(text).writing


def _variety(words: Sequence[str]) -> float:
    windows = [words[start : start + _WINDOW] for start in range(0, len(words) - _WINDOW + 1, _WINDOW)] or [words]
    found = [distinct_n(window, 2) for window in windows]
    return sum(share if share is not None else float(bool(words)) for share in found) / len(found)


def _structure(text: str) -> float:
    sizes = [count_length(part, Unit.WORDS_MIXED) for part in _PARAGRAPHS.split(text)]
    total = sum(sizes)
    return sum(size for size in sizes if size <= _LONGEST_PARAGRAPH) / total if total else 0.0
