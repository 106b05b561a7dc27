"""Is a text that a model wrote fit to learn from: it ends, repeats nothing, and does not talk about its own revision.

Source: Self-Lengthen (arXiv 2410.23933), its two checks joined into one that works for English and Chinese (ours). In
time that grows with the text alone.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum

from lengthctl.data_gen.filters import empty
from lengthctl.degeneration import is_finished, seq_rep_n
from lengthctl.length import Unit, count_length

__all__ = ["Flaw", "WrittenRules", "check_response", "ends_whole"]

_EMPHASIS = "*_~`"
_CLOSING = frozenset("\"'\u201d\u2019)]}>\u300d\u300f\u300b\u3011\uff09\u00bb")
_TOKEN = re.compile(
    r"[\u3041-\u3096\u30a1-\u30fa\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff]"
    r"|[^\s\u3041-\u3096\u30a1-\u30fa\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff]+"
)
_GRAM, _HAN_GRAM = 10, 13
_META = re.compile(
    r"\b(?:revised|revision|rewritten|(?:expanded|extended)\s+version)\b"
    r"|\u4fee\u6539\u540e|\u4fee\u8ba2\u7248|\u6539\u5199\u540e|\u6269\u5199\u540e|\u6269\u5c55\u7248|\u6269\u5145\u7248",
    re.IGNORECASE,
)
_META_WORDS = 15
_META_CHARACTERS = 400
"""A longer line has more than 15 words, or is no line of words."""


class Flaw(StrEnum):
    """Why a text is not learned from."""

    EMPTY = "empty"
    """No letter and no digit."""
    META = "meta"
    """Its first or last line tells that it is a revision."""
    END = "end"
    """It ends inside a sentence."""
    REPEAT = "repeat"
    """Stretches of it come twice."""


@dataclass(frozen=True)
class WrittenRules:
    """How strict the check is.

    Raises:
        ValueError: `max_rep` outside 0 to 1.
    """

    end_mark: bool = True
    """A text has to end as texts do. False for models of a few hundred million parameters, which seldom do."""
    max_rep: float = 0.0
    """Share of repeated n-grams (10 words, or 13 ideographs) that is passed, 0 to 1; 0.3 for such models."""

    def __post_init__(self) -> None:
        if not 0 <= self.max_rep <= 1:
            raise ValueError(f"max_rep lies between 0 and 1, found {self.max_rep}")


def check_response(text: str, rules: WrittenRules | None = None) -> Flaw | None:
    """The first flaw of a text, in the order of `Flaw`; None for a sound one."""
    rules = rules or WrittenRules()
    if empty(text):
        return Flaw.EMPTY
    if _is_about_revision(text):
        return Flaw.META
    if rules.end_mark and not ends_whole(text):
        return Flaw.END
    return Flaw.REPEAT if _repeated_share(text) > rules.max_rep else None


def ends_whole(text: str) -> bool:
    """The last character, marks of emphasis and code left out, ends a sentence or closes a quote or bracket. A comma,
    colon, semicolon or dash does not. Unlike `degeneration.is_finished`, quotes may be left open within."""
    last = text.rstrip().rstrip(_EMPHASIS).rstrip()[-1:]
    return last in _CLOSING or is_finished(last)


def _is_about_revision(text: str) -> bool:
    lines = text.strip().split("\n")
    return any(
        len(line) <= _META_CHARACTERS
        and _META.search(line) is not None
        and count_length(line, Unit.WORDS_MIXED) <= _META_WORDS
        for line in {lines[0], lines[-1]}
    )


def _repeated_share(text: str) -> float:
    """Of n-grams of single ideographs and runs between white space; 0 for fewer than n."""
    tokens = _TOKEN.findall(text)
    ideographs = sum(len(token) == 1 and not token.isascii() and token.isalpha() for token in tokens)
    return seq_rep_n(tokens, _HAN_GRAM if 2 * ideographs >= len(tokens) else _GRAM) or 0.0
