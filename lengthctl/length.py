"""What length is: units and their counters, targets, bands, deviations.

The only definition in the project: rewards, data, training and evaluation count with these functions.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from enum import StrEnum
from itertools import pairwise
from typing import Any, Protocol, assert_never

from lengthctl.registry import member_named

__all__ = [
    "Band",
    "BandKind",
    "Encoder",
    "Relation",
    "Target",
    "Unit",
    "abs_relative_deviation",
    "count_length",
    "deviation",
    "log_ratio",
    "relative_deviation",
    "ruler_band",
]


class Unit(StrEnum):
    """What is counted."""

    WORDS = "words"
    """Ruler's and IFEval's rule: matches of `\\w+` (Python's `re`), so "state-of-the-art" is 4."""
    WORDS_UNICODE = "words_unicode"
    """Unicode word segmentation (UAX #29): segments that hold a letter or a digit."""
    WORDS_SPLIT = "words_split"
    """Runs between white space."""
    WORDS_LIFEBENCH = "words_lifebench"
    """LIFEBench: Han characters plus matches of `\\b[a-zA-Z0-9'-]+\\b`."""
    WORDS_LONGWRITER = "words_longwriter"
    """LongWriter: Han characters (U+4E00 to U+9FFF) plus matches of `\\b[a-zA-Z]+\\b`."""
    WORDS_LONGEN = "words_longen"
    """Self-Lengthen's LonGen: CJK characters, CJK and full-width punctuation included, plus the rest split at space."""
    WORDS_MIXED = "words_mixed"
    """Ours, for mixed scripts: each ideograph or kana, plus runs between white space that hold a letter or digit."""
    CHARACTERS = "characters"
    """Unicode code points, white space included."""
    SENTENCES = "sentences"
    """Stretches that hold a letter or a digit and end in a sentence mark or at the end of the text."""
    TOKENS = "tokens"
    """Tokens of a given tokenizer, without special tokens."""


class Encoder(Protocol):
    """The part of a Hugging Face tokenizer that counting needs."""

    def encode(self, text: str, *, add_special_tokens: bool) -> list[int]:
        """Token ids of a text."""
        ...


_WORD = re.compile(r"\w+")
_LIFEBENCH = re.compile(r"[\u4e00-\u9fff]|\b[a-zA-Z0-9'-]+\b")
_LONGWRITER = re.compile(r"[\u4e00-\u9fff]|\b[a-zA-Z]+\b")
_LONGEN = re.compile(r"[\u4e00-\u9fff\u3000-\u303f\uff00-\uffef]")
_IDEOGRAPH_OR_KANA = re.compile(r"[\u3041-\u3096\u30a1-\u30fa\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff]")
_SENTENCE_END = re.compile(r"[.!?\u2026]+[\"'\u201d\u2019)\]]*(?=\s|$)|[\u3002\uff01\uff1f]+[\u300d\u300f\u201d]*")


def _count_words_unicode(text: str) -> int:
    import regex  # a C extension, only needed for this unit

    boundaries = [match.start() for match in regex.finditer(r"\b", text, flags=regex.WORD)]
    edges = sorted({0, *boundaries, len(text)})
    return sum(any(c.isalnum() for c in text[a:b]) for a, b in pairwise(edges))


def _count_with_rest(text: str, single: re.Pattern[str], rest_counts: Callable[[str], bool]) -> int:
    """Characters that match `single`, plus the runs between white space of what is left."""
    return len(single.findall(text)) + sum(map(rest_counts, single.sub(" ", text).split()))


def _count_sentences(text: str) -> int:
    return sum(_WORD.search(part) is not None for part in _SENTENCE_END.split(text))


_COUNTERS: dict[Unit, Callable[[str], int]] = {
    Unit.WORDS: lambda text: len(_WORD.findall(text)),  # half the time of counting an iterator
    Unit.WORDS_UNICODE: _count_words_unicode,
    Unit.WORDS_SPLIT: lambda text: len(text.split()),
    Unit.WORDS_LIFEBENCH: lambda text: sum(1 for _ in _LIFEBENCH.finditer(text)),
    Unit.WORDS_LONGWRITER: lambda text: sum(1 for _ in _LONGWRITER.finditer(text)),
    Unit.WORDS_LONGEN: lambda text: _count_with_rest(text, _LONGEN, bool),
    Unit.WORDS_MIXED: lambda text: _count_with_rest(text, _IDEOGRAPH_OR_KANA, lambda run: any(map(str.isalnum, run))),
    Unit.CHARACTERS: len,
    Unit.SENTENCES: _count_sentences,
}


def count_length(text: str, unit: Unit | str = Unit.WORDS, tokenizer: Encoder | None = None) -> int:
    """Length of a text in `unit`, an integer >= 0.

    Raises:
        ValueError: unknown unit, or `tokens` without a tokenizer.
    """
    unit = Unit(unit)
    if unit is Unit.TOKENS:
        if tokenizer is None:
            raise ValueError("the unit tokens needs a tokenizer")
        return len(tokenizer.encode(text, add_special_tokens=False))
    return _COUNTERS[unit](text)


@dataclass(frozen=True)
class Band:
    """Lengths that count as a hit: `low <= length <= high`, both ends inside; `high` may be infinite."""

    low: int
    high: float

    def __post_init__(self) -> None:
        if not 0 <= self.low <= self.high:
            raise ValueError(f"a band needs 0 <= low <= high, found [{self.low}, {self.high}]")

    def __contains__(self, length: float) -> bool:
        return self.low <= length <= self.high

    def nearest(self, length: float) -> float:
        """The length inside the band that is closest to `length`."""
        return min(max(length, self.low), self.high)


class Relation(StrEnum):
    """How a length relates to what was asked."""

    EXACT = "exact"
    AT_MOST = "at_most"
    AT_LEAST = "at_least"
    RANGE = "range"
    ABOUT = "about"


@dataclass(frozen=True)
class Target:
    """A requested length.

    `value` is the number asked for (of a range: its lower end), `high` the upper end of a range, `tolerance` the
    relative slack of `about`. Round-trips through `to_row` / `parse`, so that it fits a dataset column.

    Raises:
        ValueError: a value below 1, a range without or with a lower upper end, a tolerance outside (0, 1).
    """

    value: int
    relation: Relation = Relation.EXACT
    unit: Unit = Unit.WORDS
    high: int | None = None
    tolerance: float | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "relation", member_named(Relation, self.relation))
        object.__setattr__(self, "unit", member_named(Unit, self.unit))
        if type(self.value) is not int or self.value < 1:
            raise ValueError(f"a target needs a whole length of at least 1, found {self.value!r}")
        if self.high is not None and type(self.high) is not int:
            raise ValueError(f"the upper end of a range is a whole number, found {self.high!r}")
        if (self.relation is Relation.RANGE) != (self.high is not None):
            raise ValueError("`high` belongs to a range, and a range needs it")
        if self.high is not None and self.high < self.value:
            raise ValueError(f"a range needs low <= high, found {self.value} to {self.high}")
        if (self.relation is Relation.ABOUT) != (self.tolerance is not None):
            raise ValueError("`tolerance` belongs to `about`, and `about` needs it")
        if self.tolerance is not None and not 0 < self.tolerance < 1:
            raise ValueError(f"a tolerance lies between 0 and 1, found {self.tolerance}")

    @property
    def band(self) -> Band:
        """The lengths that satisfy the request."""
        match self.relation:
            case Relation.EXACT:
                return Band(self.value, self.value)
            case Relation.AT_MOST:
                return Band(1, self.value)
            case Relation.AT_LEAST:
                return Band(self.value, math.inf)
            case Relation.RANGE:
                assert self.high is not None
                return Band(self.value, self.high)
            case Relation.ABOUT:
                assert self.tolerance is not None
                slack = self.value * self.tolerance
                return Band(math.ceil(self.value - slack - 1e-9), math.floor(self.value + slack + 1e-9))
            case _:
                assert_never(self.relation)

    def reference(self, length: float) -> float:
        """The length that a deviation is measured from: the value asked for, or the nearest allowed one."""
        if self.relation in (Relation.EXACT, Relation.ABOUT):
            return float(self.value)
        return self.band.nearest(length)

    @property
    def label(self) -> str:
        """Short name for tables and metric keys, e.g. `50`, `<=50`, `>=50`, `50-80`, `~50`."""
        match self.relation:
            case Relation.EXACT:
                return str(self.value)
            case Relation.AT_MOST:
                return f"<={self.value}"
            case Relation.AT_LEAST:
                return f">={self.value}"
            case Relation.RANGE:
                return f"{self.value}-{self.high}"
            case Relation.ABOUT:
                return f"~{self.value}"
            case _:
                assert_never(self.relation)

    def to_row(self) -> dict[str, Any]:
        """A flat dict for a dataset column or a record; `parse` reads it back."""
        return {key: (str(v) if isinstance(v, StrEnum) else v) for key, v in asdict(self).items()}

    @classmethod
    def parse(cls, value: Target | Mapping[str, Any] | int) -> Target:
        """A target from itself, its row, or a bare number of words.

        Raises:
            ValueError: not a target.
        """
        if isinstance(value, Target):
            return value
        if isinstance(value, bool) or not isinstance(value, int | Mapping):
            raise ValueError(f"a target is a number or a mapping, found {value!r}")
        if isinstance(value, int):
            return cls(value)
        return cls(**{key: v for key, v in value.items() if v is not None})


def deviation(length: float, target: Target) -> float:
    """Signed deviation in the target's unit: length minus the reference; negative is too short."""
    return length - target.reference(length)


def relative_deviation(length: float, target: Target) -> float:
    """Signed deviation divided by the reference; -1 for an empty text."""
    reference = target.reference(length)
    return (length - reference) / reference


def abs_relative_deviation(length: float, target: Target) -> float:
    """Absolute relative deviation, >= 0."""
    return abs(relative_deviation(length, target))


def log_ratio(length: float, target: Target, smoothing: float = 1.0) -> float:
    """`ln((length + s) / (reference + s))`: symmetric in factors, finite for an empty text when `s` > 0. Ours."""
    return math.log((length + smoothing) / (target.reference(length) + smoothing))


class BandKind(StrEnum):
    """Ruler's two bands."""

    PRECISE = "pm"
    FLEXIBLE = "fm"


# Ruler's bands are open below, (lo, hi]; lengths are integers, so they are stored closed as [lo + 1, hi].
# Source: arXiv 2409.18943 Table 1, and src/utils/config.py of its repository.
_RULER: dict[int, tuple[Band, Band]] = {
    10: (Band(1, 20), Band(1, 20)),
    30: (Band(21, 40), Band(21, 40)),
    50: (Band(41, 60), Band(41, 60)),
    80: (Band(71, 90), Band(61, 100)),
    150: (Band(131, 170), Band(101, 200)),
    300: (Band(281, 320), Band(201, 400)),
    500: (Band(451, 550), Band(401, 600)),
    700: (Band(631, 770), Band(601, 800)),
}


def ruler_band(target: Target, kind: BandKind) -> Band:
    """The band in which a length counts as PM or FM.

    Ruler's own table for its targets in words. Elsewhere [ours]: half-open like Ruler's, +-max(10, 10 %) for PM and
    +-max(10, 25 %) for FM around the value; "at most", "at least" and ranges use their own band for both.
    """
    if target.relation not in (Relation.EXACT, Relation.ABOUT):
        if target.relation is Relation.AT_LEAST and target.value == 801:
            return Band(801, math.inf)
        return target.band
    if target.unit is Unit.WORDS and target.value in _RULER:
        return _RULER[target.value][0 if kind is BandKind.PRECISE else 1]
    slack = max(10, math.floor(target.value * (0.10 if kind is BandKind.PRECISE else 0.25)))
    return Band(max(1, target.value - slack + 1), target.value + slack)
