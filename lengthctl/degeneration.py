"""Signs that a text reached its length by other means than writing: repetition, a missing end, padding, markup. Pure
text measures, in time that grows with the text alone, whatever it holds."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import compress, pairwise, repeat

__all__ = [
    "TextSigns",
    "blank_line_fraction",
    "distinct_n",
    "distinct_trigrams",
    "has_count_claim",
    "is_finished",
    "longest_repeat",
    "markup_fraction",
    "repetition",
    "seq_rep_n",
    "text_signs",
]

_WORD = re.compile(r"\w+")
_CLOSERS = "\"'\u201d\u2019)]}*_`>\u300d\u300f\u00bb"
_SENTENCE_MARKS = ".!?\u2026\u3002\uff01\uff1f\u061f\u0964"
_PAIRS = {"(": ")", "[": "]", "{": "}", "\u201c": "\u201d", "\u300c": "\u300d"}
_REPEAT_WORDS = 4000
"""Words at the end of a text in which the longest repeat is looked for: loops are at the end."""
_LETTERS = "".join(map(chr, range(1, _REPEAT_WORDS + 1)))
"""One for each of their distinct words."""

# each pattern begins with one class or letter, so that plain text is passed over fast, and repeats are bounded
_MARKS = re.compile("[*_~`|\u2500-\u257f\u2600-\u27bf\ufe0f\U0001f300-\U0001faff]")
_TAG = re.compile(r"<(?!/?think>)[/!]?[A-Za-z\-][^<>\n]{0,200}>")
_LINE_MARK = re.compile(r"[ \t]{0,8}(?:#{1,6}(?=[ \t])|[-+](?=[ \t])|\d{1,3}[.)](?=[ \t])|>+|[-=]{3,200}[ \t]{0,8}$)")
_LINE_MARK_STARTS = frozenset("#-+=>0123456789")
_UNITS = r"(?:words?|characters?|tokens?|sentences?)(?![a-z])"
_BRACKETED_COUNT = re.compile(rf"[(\[{{*_][^()\[\]{{}}*_\d\n]{{0,24}}\d[\d,.]{{0,7}}[ \t]{{0,2}}{_UNITS}")
_NAMED_COUNT = re.compile(r"count[*_]{0,2}[ \t]{0,2}(?:[:=]|is\b)[ \t*_~]{0,6}\d")


def distinct_n(words: Sequence[str], n: int) -> float | None:
    """Different n-grams over all of them, in (0, 1]; None for fewer than `n` words."""
    grams = _ngrams(words, n)
    return len(set(grams)) / len(grams) if grams else None


def seq_rep_n(words: Sequence[str], n: int) -> float | None:
    """Share of repeated n-grams, `1 - distinct_n`, in [0, 1); None for fewer than `n` words."""
    distinct = distinct_n(words, n)
    return None if distinct is None else 1 - distinct


def repetition(text: str, n: int = 3) -> float:
    """Share of repeated word n-grams: `1 - distinct / total`, in [0, 1); 0 for fewer than `n` words."""
    return seq_rep_n(_words(text), n) or 0.0


def longest_repeat(text: str) -> float:
    """Words of the longest stretch that occurs twice, over all words, in [0, 1); the two may overlap. 0 without words.

    Of a text of more than 4,000 words, the last 4,000 are looked at. Source of the measure: arXiv 2505.19439, A.4; that
    occurrences may overlap is ours.
    """
    words = _words(text)[-_REPEAT_WORDS:]
    triples = _ngrams(words, 3)
    return _longest_repeat(words, triples, Counter(triples))


def is_finished(text: str) -> bool:
    """The text ends in a sentence mark, and what it opened (brackets, quotes, code fences) is closed. Ours."""
    stripped = text.rstrip().rstrip(_CLOSERS)
    if not stripped or stripped[-1] not in _SENTENCE_MARKS:
        return False
    balanced = all(text.count(opening) == text.count(closing) for opening, closing in _PAIRS.items())
    return balanced and text.count("```") % 2 == 0


def markup_fraction(text: str) -> float:
    """Share of characters that are markup, in [0, 1]: marks of headings, lists, quotes, rules, tables, emphasis and
    code, HTML tags (but those of thinking), emoji. 0 for an empty text. Ours."""
    if not text:
        return 0.0
    plain = _TAG.sub("", text) if "<" in text else text
    marks = len(text) - len(plain) + len(_MARKS.findall(plain))
    for line in plain.split("\n"):
        if line.lstrip(" \t")[:1] in _LINE_MARK_STARTS and (found := _LINE_MARK.match(line)):
            marks += len(found.group().strip())
    return marks / len(text)


def blank_line_fraction(text: str) -> float:
    """Share of the lines between the first and the last word that are blank, in [0, 1); about a half for paragraphs of
    one line. 0 for an empty text. Ours."""
    lines = text.strip().split("\n")
    return sum(not line or line.isspace() for line in lines) / len(lines) if text.strip() else 0.0


def has_count_claim(text: str) -> bool:
    """The text tells its own length, as in "(312 words)" or "Word count: 312". A number of words in the run of a
    sentence is no claim. Ours."""
    lowered = text.lower()
    return _BRACKETED_COUNT.search(lowered) is not None or (
        "count" in lowered and _NAMED_COUNT.search(lowered) is not None
    )


@dataclass(frozen=True)
class TextSigns:
    """What a text shows of itself; shares lie in [0, 1]."""

    words: int
    """By the rule of `Unit.WORDS`."""
    repetition: float
    """See `repetition`, of trigrams."""
    longest_repeat: float
    """See `longest_repeat`."""
    mean_word_length: float
    """Characters a word; 0 without words."""
    markup: float
    """See `markup_fraction`."""
    blank_lines: float
    """See `blank_line_fraction`."""
    has_count_claim: bool
    """See `has_count_claim`."""
    is_finished: bool
    """See `is_finished`."""
    trigrams: frozenset[tuple[str, ...]]
    """The distinct ones, of its words in lower case."""


def text_signs(text: str) -> TextSigns:
    """All measures of one text; its words are found once."""
    words = _words(text)
    triples = _ngrams(words, 3)
    counts = Counter(triples)  # its keys have their hashes, which are what sets of triples cost
    last = words[-_REPEAT_WORDS:]
    at_end = triples[-(_REPEAT_WORDS - 2) :]
    return TextSigns(
        words=len(words),
        repetition=1 - len(counts) / len(triples) if triples else 0.0,
        longest_repeat=_longest_repeat(last, at_end, counts if len(at_end) == len(triples) else Counter(at_end)),
        mean_word_length=sum(map(len, words)) / len(words) if words else 0.0,
        markup=markup_fraction(text),
        blank_lines=blank_line_fraction(text),
        has_count_claim=has_count_claim(text),
        is_finished=is_finished(text),
        trigrams=frozenset(counts),
    )


def distinct_trigrams(texts: Sequence[TextSigns]) -> float | None:
    """Distinct word trigrams of several texts over all of theirs, in (0, 1]: 1 where no two have one in common, nor one
    twice. None where no text has three words."""
    total = sum(max(text.words - 2, 0) for text in texts)
    return len(frozenset().union(*(text.trigrams for text in texts))) / total if total else None


def _words(text: str) -> list[str]:
    if text.isascii():
        return _WORD.findall(text.lower())
    return list(map(str.lower, _WORD.findall(text)))  # outside ASCII a letter may become two, or go by its neighbours


def _ngrams(words: Sequence[str], n: int) -> list[tuple[str, ...]]:
    return list(zip(*(words[start:] for start in range(n)), strict=False))


def _longest_repeat(
    words: Sequence[str], triples: Sequence[tuple[str, ...]], counts: Mapping[tuple[str, ...], int]
) -> float:
    """Of at most 4,000 words, all triples of them, and how often each triple occurs."""
    if len(counts) == len(triples):
        pairs = _ngrams(words, 2)
        short = 2 if len(set(pairs)) < len(pairs) else int(len(set(words)) < len(words))
        return short / max(len(words), 1)
    # a repeat of three words or more starts at a triple that occurs twice: few suffixes are left to sort
    letters = dict(zip(dict.fromkeys(words), _LETTERS, strict=False))
    line = "".join(map(letters.__getitem__, words))
    starts = compress(range(len(triples)), map((1).__lt__, map(counts.__getitem__, triples)))
    suffixes = sorted(map(line.__getitem__, map(slice, starts, repeat(None))))
    best = 3
    for one, following in pairwise(suffixes):
        while one[: best + 1] == following[: best + 1]:  # suffixes differ in length, so this ends
            best += 1
    return best / len(words)
