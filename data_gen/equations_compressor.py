"""Worked arithmetic shortened without a model: the equations that lead to the answer, and nothing else.

It reads the text alone. Time is linear in the length of the text. Ours.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from lengthctl.plain_answers import compare_plain

__all__ = ["Equation", "find_equations", "keep_equations"]

_NUMBER = r"\$?[-\u2212]?(?:\d{1,3}(?:,\d{3}){1,4}(?!\d)|\d{1,15})(?:\.\d{1,12})?"
_SIGN = r"(?:[-+*/\u2212\u00d7\u00f7\u00b7x]|plus|minus|times|multiplied\ by|divided\ by|over)"
_EQUATION = re.compile(
    rf"(?<![\w.,])(?P<left>{_NUMBER}(?:\s{{0,2}}{_SIGN}\s{{0,2}}{_NUMBER}){{1,8}})"
    rf"\s{{0,2}}(?:=|is|equals|makes|gives)\s{{0,2}}(?P<right>{_NUMBER})(?!\w|[.,]\d)"
)
_WORDS = {
    **{"plus": "+", "minus": "-", "times": "*", "multiplied by": "*", "divided by": "/", "over": "/"},
    **{"\u2212": "-", "\u00d7": "*", "x": "*", "\u00b7": "*", "\u00f7": "/"},
}
_WORD = re.compile("|".join(map(re.escape, _WORDS)))
_OPERANDS = re.compile(r"(?<![\d.])-?\d+(?:\.\d+)?")  # a minus behind a digit is a sign between two
# `48/2 = <<48/2=24>>24`: what GSM8K notes for a calculator repeats the equation around it.
_NOTE = re.compile(r"<<[^<>\n]{0,200}>>")
_CHECKS = re.compile(
    r"\b(?:to|let me|let's|double)[ -]check\b|\bcheck(?:ing)?:|\bverif(?:y|ied|ying|ication)\b|\bconfirm", re.IGNORECASE
)
_SENTENCE = re.compile(r"[^.!?\n]*(?:\.(?=\d)[^.!?\n]*)*[.!?\n]?")


@dataclass(frozen=True)
class Equation:
    """Numbers joined by signs, and what they come to, as written; not checked."""

    left: str
    right: str

    def __str__(self) -> str:
        return f"{self.left}={self.right}"

    @property
    def operands(self) -> tuple[str, ...]:
        """The numbers of the left side."""
        return tuple(_OPERANDS.findall(self.left))


def find_equations(text: str) -> list[Equation]:
    """The equations of a text in their order, in signs or words, without those of sentences that say that they check
    something. Blanks, currency and commas are left out."""
    found: list[Equation] = []
    for sentence in _SENTENCE.finditer(_NOTE.sub("", text)):
        if not _CHECKS.search(sentence.group()):
            matches = _EQUATION.finditer(sentence.group())
            found += [Equation(_plain(match["left"]), _plain(match["right"])) for match in matches]
    return found


def keep_equations(text: str, answer: str) -> str | None:
    """The equations of a text that the answer follows from, a line each; None where none comes to the answer.

    From the last one that comes to it backwards: an equation is kept where a later one that is kept uses its result,
    and for each such number the nearest one before it.
    """
    found = find_equations(text)
    last = next((i for i in reversed(range(len(found))) if compare_plain(answer, found[i].right)), None)
    if last is None:
        return None
    kept = [found[last]]
    wanted = set(found[last].operands)
    for equation in reversed(found[:last]):
        if equation.right in wanted:
            wanted.discard(equation.right)
            wanted |= set(equation.operands)
            kept.append(equation)
    return "\n".join(map(str, reversed(kept)))


def _plain(side: str) -> str:
    """Signs for words; no blanks, currency and commas."""
    signs = _WORD.sub(lambda match: _WORDS[match.group()], side)
    return "".join(signs.replace("$", "").replace(",", "").split())
