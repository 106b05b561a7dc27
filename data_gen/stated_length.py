"""The one length that a request states for its answer, as a target: "a 2000-word essay", 不少于两千字.

Where `length_demands` finds whatever says something about a length, this reads it, and says why where there is no one
reading. Ours; that requests with exactly one length are the ones to learn lengths from is of Minimum Tuning, arXiv
2410.10210, whose search misses hyphens, thousands separators, blanks and longer Chinese numerals.
"""

from __future__ import annotations

from enum import StrEnum

from lengthctl.data_gen.length_mentions import Mention, find_mentions
from lengthctl.length import Relation, Target, Unit

__all__ = ["LONGEN_TOLERANCE", "Unstated", "find_stated_length"]

LONGEN_TOLERANCE = 0.2
"""Relative slack of "about" in LonGen (arXiv 2410.23933)."""
_ENDS = 10_000
"""Characters read at either end of a request: a length stands there, not inside the material between."""


class Unstated(StrEnum):
    """Why a request has no one length."""

    ABSENT = "absent"
    """It names none for its answer."""
    SEVERAL = "several"
    """It names several, and none can be taken for the whole."""
    PART = "part"
    """It names only that of a part, such as each section's."""


def find_stated_length(
    text: str, *, words: Unit = Unit.WORDS_MIXED, tolerance: float = LONGEN_TOLERANCE
) -> Target | Unstated:
    """The one length that a request states for its whole answer, or why there is none.

    "At least" with "at most" makes a range, and the same number said twice counts once. What is no length of the
    answer is left out, see `find_mentions`. Of a text of more than 20,000 characters the first and the last 10,000 are
    read.

    Args:
        text: the request.
        words: the unit of words, and of Chinese 字: by default a word or an ideograph each.
        tolerance: of "about", in (0, 1).
    """
    shown = text if len(text) <= 2 * _ENDS else f"{text[:_ENDS]}\n{text[-_ENDS:]}"
    mentions = list(dict.fromkeys(find_mentions(shown)))
    whole = _merged([mention for mention in mentions if not mention.is_part])
    if not mentions:
        return Unstated.ABSENT
    if not whole:
        return Unstated.PART
    if len(whole) > 1 or any(mention.is_part for mention in mentions):
        return Unstated.SEVERAL
    (found,) = whole
    unit = words if found.unit is Unit.WORDS else found.unit
    slack = tolerance if found.relation is Relation.ABOUT else None
    return Target(found.low, found.relation, unit, high=found.high, tolerance=slack)


def _merged(mentions: list[Mention]) -> list[Mention]:
    """The ends of a range as one, and without those that say less of the same number than another one does."""
    if len(mentions) == 2:
        low, high = sorted(mentions, key=lambda mention: mention.low)
        is_range = low.relation is Relation.AT_LEAST and high.relation is Relation.AT_MOST
        if is_range and low.unit is high.unit and low.low < high.low:
            return [Mention(low.low, high.low, Relation.RANGE, low.unit, is_part=False)]
    said = {(m.low, m.high, m.unit): m for m in mentions if m.relation is not Relation.EXACT}
    return list(dict.fromkeys(said.get((m.low, m.high, m.unit), m) for m in mentions))
