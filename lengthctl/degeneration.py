"""Signs that a text reached its length by other means than writing: repetition, a missing end. Pure text measures."""

from __future__ import annotations

import re

__all__ = ["is_finished", "repetition"]

_WORD = re.compile(r"\w+")
_CLOSERS = "\"'\u201d\u2019)]}*_`>\u300d\u300f\u00bb"
_SENTENCE_MARKS = ".!?\u2026\u3002\uff01\uff1f\u061f\u0964"
_PAIRS = {"(": ")", "[": "]", "{": "}", "\u201c": "\u201d", "\u300c": "\u300d"}


def repetition(text: str, n: int = 3) -> float:
    """Share of repeated word n-grams: `1 - distinct / total`, in [0, 1); 0 for fewer than `n` words."""
    words = [match.group().lower() for match in _WORD.finditer(text)]
    total = len(words) - n + 1
    if total < 1:
        return 0.0
    return 1 - len({tuple(words[i : i + n]) for i in range(total)}) / total


def is_finished(text: str) -> bool:
    """The text ends in a sentence mark, and what it opened (brackets, quotes, code fences) is closed. Ours."""
    stripped = text.rstrip().rstrip(_CLOSERS)
    if not stripped or stripped[-1] not in _SENTENCE_MARKS:
        return False
    balanced = all(text.count(opening) == text.count(closing) for opening, closing in _PAIRS.items())
    return balanced and text.count("```") % 2 == 0
