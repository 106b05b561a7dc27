"""Whole numbers in English as requests write them: 2000, 2,000, 2.5k, "two thousand five hundred". Pure. Ours."""

from __future__ import annotations

import re
from fractions import Fraction

__all__ = ["ENGLISH_NUMBER", "parse_english_number"]

_SMALL = (
    *("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve"),
    *("thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen"),
)
_TENS = ("twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety")
_VALUES = {name: value for value, name in enumerate(_SMALL)} | {name: 10 * n for n, name in enumerate(_TENS, 2)}
_POWERS = {"hundred": 100, "thousand": 1000, "million": 10**6}
_ANY = "|".join(sorted([*_VALUES, *_POWERS], key=len, reverse=True))
_DIGITS = r"(?:\d{1,3}(?:,\d{3}){1,2}(?!\d)|\d{1,7}(?:\.\d{1,3})?)"
ENGLISH_NUMBER = (
    rf"(?:{_DIGITS}(?:\s?k\b|\s(?:hundred|thousand|million)\b)?|(?:(?:half )?an?\s)?(?:{_ANY})\b"
    rf"(?:(?:[ -]|\sand\s)(?:{_ANY})\b){{0,8}})"
)
"""Pattern of a number; for a search that ignores case."""

_SHAPE = re.compile(rf"({_DIGITS})\s?(k|hundred|thousand|million)?", re.IGNORECASE)
_LARGEST = 10**9


def parse_english_number(text: str) -> int | None:
    """The number that a text stands for, 0 to 10**9; None for a text that is none, or for no whole number."""
    plain = text.strip().lower()
    found = _SHAPE.fullmatch(plain)
    if found is None:
        return _spelled(re.split(r"[\s-]+", plain)) if len(plain) <= 120 else None
    power = _POWERS.get(found[2] or "", 1000 if found[2] else 1)
    value = Fraction(found[1].replace(",", "")) * power
    return int(value) if value.denominator == 1 and value <= _LARGEST else None


def _spelled(words: list[str]) -> int | None:
    """Of words: "a hundred and fifty", "twenty-five hundred", "half a million"."""
    share = Fraction(1)
    if words[:1] == ["half"]:
        share, words = Fraction(1, 2), words[1:]
    if words[:1] in (["a"], ["an"]) and words[1:2] and words[1] in _POWERS:
        words = ["one", *words[1:]]
    total, section, last = 0, 0, None
    for word in words:
        if word == "and" and last is not None:
            continue
        if word in _VALUES:
            value = _VALUES[word]
            below = last is None or last in _POWERS or (last in _TENS and 0 < value < 10)
            if not below:
                return None
            section += value
        elif word == "hundred" and 0 < section < 100:
            section *= 100
        elif word in _POWERS and word != "hundred" and section:
            total, section = total + section * _POWERS[word], 0
        else:
            return None
        last = word
    number = (total + section) * share
    return int(number) if last is not None and number.denominator == 1 and number <= _LARGEST else None
