"""Answers that are compared without mathematics: equal texts and plain numbers, exactly."""

from __future__ import annotations

import re
from fractions import Fraction

__all__ = ["compare_plain"]

_SIGNS = {"\u2212": "-", "\u2013": "-"}
_SPACING = re.compile(r"\\[,;:! ]|\\(?:left|right|displaystyle)(?![A-Za-z])")
_TEXT = re.compile(r"\\(?:text|textbf|mathrm|mbox)\{([^{}]*)\}")
_NUMBER = r"(?P<sign>[-+]?)\s*(?:\\?\$)?\s*(?P<whole>[0-9]{1,3}(?:,[0-9]{3})+|[0-9]*)(?:\.(?P<decimals>[0-9]+))?"
_LATEX_FRACTION = r"\\frac\{\s*(?P<a>-?[0-9]+)\s*\}\{\s*(?P<b>-?[0-9]+)\s*\}"
_FRACTION = rf"(?P<outer>[-+]?)\s*(?:{_LATEX_FRACTION}|(?P<c>[0-9]+)\s*/\s*(?P<d>[0-9]+))"
_UNIT = r"\s*(?P<percent>\\?%)?(?P<unit>(?:\s+[A-Za-z]{2,})*)\s*\.?"
_VALUE = re.compile(f"(?:{_NUMBER}){_UNIT}")
_FRACTION_VALUE = re.compile(f"(?:{_FRACTION}){_UNIT}")
_LEFT_SIDE = re.compile(r"[A-Za-z]|[-+*/()0-9x\u00d7\u00f7. ]+")
_THOUSANDS = re.compile(r"(?<=[0-9])(?:\\[,! ]|\{,\})(?=[0-9]{3})")
_IDLE_SPACE = re.compile(r"(?<![0-9]) | (?![0-9])")
# Words after a number that are not its unit: they change the value.
_NO_UNIT = re.compile(
    r"(?i)\b(?:pi|tau|exp|ln|log|sin|cos|tan|sqrt|root|plus|minus|times|over|divided|by|mod|choose|factorial|squared|cubed"
    r"|to|and|or|hal(?:f|ves)|thirds?|quarters?|hundred|thousand|million|billion|trillion|dozen|percent|th)\b"
)


def compare_plain(reference: str, answer: str) -> bool | None:
    """Are the two equal? None where telling takes mathematics.

    Numbers are whole, decimal or a fraction of whole numbers, with thousands commas, a dollar sign, a percent sign
    (`50%` is 50 or 1/2) or a unit in words; of `x = 42` and `40 + 2 = 42` the right side counts. Compared exactly:
    0.333333 is not 1/3. An answer without digits and LaTeX commands is no number. Ours. Meant for bounded texts.
    """
    ours, theirs = _tidy(reference), _tidy(answer)
    if _IDLE_SPACE.sub("", ours) == _IDLE_SPACE.sub("", theirs):  # a space between digits tells 1 1/2 from 11/2
        return True
    expected = _numbers(ours)
    if not expected:
        return None
    if found := _numbers(theirs):
        return bool(expected & found)
    return None if re.search(r"[0-9\\]", theirs) else False


def _tidy(text: str) -> str:
    for other, sign in _SIGNS.items():
        text = text.replace(other, sign)
    text = text.replace("\\dfrac", "\\frac").replace("\\tfrac", "\\frac")
    text = _TEXT.sub(r" \1 ", _SPACING.sub(" ", _THOUSANDS.sub("", text)))
    return " ".join(text.strip(" \t\n$").removesuffix(".").split())


def _numbers(text: str) -> set[Fraction]:
    """The values a text may stand for: none, one, or two of a percentage."""
    left, equals, right = text.rpartition("=")
    if equals:
        if not all(_LEFT_SIDE.fullmatch(side.strip()) for side in left.split("=")):
            return set()
        text = right.strip()
    if match := _VALUE.fullmatch(text):
        digits = match["whole"].replace(",", ""), match["decimals"] or ""
        if not any(digits):
            return set()
        value = Fraction(int("".join(digits)), 10 ** len(digits[1])) * (-1 if match["sign"] == "-" else 1)
    elif match := _FRACTION_VALUE.fullmatch(text):
        top, bottom = int(match["a"] or match["c"]), int(match["b"] or match["d"])
        if bottom == 0:
            return set()
        value = Fraction(top, bottom) * (-1 if match["outer"] == "-" else 1)
    else:
        return set()
    if _NO_UNIT.search(match["unit"]):
        return set()
    return {value, value / 100} if match["percent"] else {value}
