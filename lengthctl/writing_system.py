"""In which writing system a text is, as far as its letters tell. Pure; looks at the ends of long texts only. Ours."""

from __future__ import annotations

import re
from enum import StrEnum
from typing import Literal

__all__ = ["WritingSystem", "language_of", "wording_language", "writing_system"]


class WritingSystem(StrEnum):
    """Of most letters of a text."""

    LATIN = "latin"
    HAN = "han"
    """Chinese; Japanese without kana cannot be told from it."""
    KANA = "kana"
    """Japanese: kana, and the ideographs beside them."""
    HANGUL = "hangul"
    CYRILLIC = "cyrillic"
    GREEK = "greek"
    ARABIC = "arabic"
    HEBREW = "hebrew"
    DEVANAGARI = "devanagari"
    THAI = "thai"

    @property
    def has_ideographs(self) -> bool:
        """Words are not parted by blanks, and an ideograph is about two thirds of an English word."""
        return self in (WritingSystem.HAN, WritingSystem.KANA)


_LETTERS = {
    WritingSystem.LATIN: re.compile("[A-Za-z\u00c0-\u00d6\u00d8-\u00f6\u00f8-\u024f\u1e00-\u1eff]"),
    WritingSystem.HAN: re.compile("[\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff]"),
    WritingSystem.KANA: re.compile("[\u3041-\u3096\u30a1-\u30fa]"),
    WritingSystem.HANGUL: re.compile("[\uac00-\ud7af\u1100-\u11ff]"),
    WritingSystem.CYRILLIC: re.compile("[\u0400-\u0481\u048a-\u052f]"),
    WritingSystem.GREEK: re.compile("[\u0386\u0388-\u03f5\u03f7-\u03ff]"),
    WritingSystem.ARABIC: re.compile("[\u0620-\u064a\u0671-\u06d3\u0750-\u077f]"),
    WritingSystem.HEBREW: re.compile("[\u05d0-\u05ea]"),
    WritingSystem.DEVANAGARI: re.compile("[\u0904-\u0939\u0958-\u0961]"),
    WritingSystem.THAI: re.compile("[\u0e01-\u0e30\u0e40-\u0e46]"),
}
_LETTERS_OF_A_WORD = 3
"""Letters of an alphabet that weigh as much as one ideograph or syllable: a few names in Latin letters do not make a
Chinese text English."""
_SYLLABLES = frozenset({WritingSystem.HAN, WritingSystem.KANA, WritingSystem.HANGUL})
_LANGUAGES = {
    WritingSystem.HAN: "zh",
    WritingSystem.KANA: "ja",
    WritingSystem.HANGUL: "ko",
    WritingSystem.GREEK: "el",
    WritingSystem.HEBREW: "he",
    WritingSystem.THAI: "th",
}
"""Writing systems that nearly always stand for one language."""
_ENGLISH = frozenset(("the", "of", "and", "to", "is", "that", "with", "for", "this", "are", "from", "you", "your"))
_ENGLISH_SHARE = 0.08
"""Of English prose, these words are about a fifth; of other languages in Latin letters, below a twentieth."""
_KANA_SHARE = 0.1
_END = 4000
"""Characters looked at, at either end of a text."""


def writing_system(text: str) -> WritingSystem | None:
    """The one that most of its letters belong to; None for a text without a letter of those known.

    Three letters of an alphabet weigh as much as one ideograph, and a text with kana for at least a tenth of its
    ideographs is Japanese. Of a text of more than 8,000 characters the first and the last 4,000 are looked at.
    """
    shown = text if len(text) <= 2 * _END else text[:_END] + text[-_END:]
    if shown.isascii():
        return WritingSystem.LATIN if _LETTERS[WritingSystem.LATIN].search(shown) else None
    counts = {system: len(letters.findall(shown)) for system, letters in _LETTERS.items()}
    kana, han = counts[WritingSystem.KANA], counts[WritingSystem.HAN]
    if kana >= max(1.0, _KANA_SHARE * han):
        counts[WritingSystem.KANA], counts[WritingSystem.HAN] = kana + han, 0
    weights = {system: n * (_LETTERS_OF_A_WORD if system in _SYLLABLES else 1) for system, n in counts.items()}
    best = max(weights, key=weights.__getitem__)
    return best if weights[best] else None


def language_of(text: str) -> str | None:
    """The code (ISO 639-1) of its language where that is plain: English by its small words, Chinese, Japanese, Korean,
    Greek, Hebrew and Thai by their letters; None for all else."""
    system = writing_system(text)
    if system is not WritingSystem.LATIN:
        return None if system is None else _LANGUAGES.get(system)
    words = re.findall("[A-Za-z]+", text[:_END])
    small = sum(word.lower() in _ENGLISH for word in words)
    return "en" if words and small >= _ENGLISH_SHARE * len(words) else None


def wording_language(text: str) -> Literal["en", "zh"]:
    """The language in which something is best put beside a text: Chinese for Chinese, English for all others."""
    return "zh" if writing_system(text) is WritingSystem.HAN else "en"
