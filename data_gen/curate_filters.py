"""Why a row of long texts is not used, beyond `filters`: one small pure function a reason. None: nothing is wrong."""

from __future__ import annotations

import re
import zlib
from typing import TypeVar

from lengthctl.data_gen.filters import DropReason
from lengthctl.degeneration import has_count_claim, markup_fraction, seq_rep_n
from lengthctl.judging import is_refusal
from lengthctl.length import Target
from lengthctl.normal_text import normal_words
from lengthctl.scoring import s_l
from lengthctl.writing_system import writing_system

__all__ = ["leftovers", "length_missed", "other_language", "refused", "repetitive_part"]

S = TypeVar("S", str, list[str])

_TEMPLATE = re.compile(
    r"<\|[a-z_]{2,24}\|>|\[/?INST\]|<</?SYS>>|</?s>(?=\s|$)|<(?:start|end)_of_turn>"
    r"|(?m:^)#{2,4} (?:Instruction|Response):|\{\{[ \w.]{1,40}\}\}",
)
"""Marks of chat templates, and unfilled places of a form."""
_PLAN_LINE = re.compile(
    r"(?im)^[\s*#>-]{0,8}(?:paragraph|section|part|step|\u6bb5\u843d|\u7b2c)\s?\d{1,3}\s?\u6bb5?[\s*]{0,4}[-\u2013\u2014:\uff1a]"
    r"[^\n]{0,200}(?:word count|main point|\u5b57\u6570|\u4e3b\u8981\u5185\u5bb9)"
)
_NAMES_A_LANGUAGE = re.compile(
    r"translat|\b(?:in|into|to|auf|en)\s(?:\w+\s)?(?:english|chinese|mandarin|japanese|korean|russian|arabic|hebrew|greek|hindi"
    r"|thai|german|french|spanish)\b|\u7ffb\u8bd1|\u7ffb\u8b6f|\u8bd1\u6210|\u8b6f\u6210|[\u82f1\u4e2d\u65e5\u97e9\u97d3\u4fc4\u6cd5\u5fb7]"
    r"[\u6587\u8bed\u8a9e]|\u7ffb\u8a33|\u82f1\u8a9e",
    re.IGNORECASE,
)
_WINDOW_WORDS, _WINDOW_GRAM, _LONG_GRAM = 500, 4, 10
_WINDOW_CHARACTERS = 4000


def length_missed(length: int, target: Target, *, least: float = 0.8) -> DropReason | None:
    """S_l of the length, in the target's unit, is below `least`, in [0, 1]. Source: Minimum Tuning (2410.10210)."""
    slack = 1e-9  # 3,200 words for 2,000 score 80 by the formula, and a little less in floating point
    return DropReason.LENGTH_MISSED if s_l(length, target) < least - slack else None


def refused(text: str) -> DropReason | None:
    """The completion is short and begins as refusals do."""
    return DropReason.REFUSED if is_refusal(text.strip()) else None


def other_language(request: str, text: str) -> DropReason | None:
    """Request and completion are in different writing systems, and the request names no language. Languages of one
    writing system are not told apart. Ours."""
    asked, found = writing_system(request), writing_system(text)
    if asked is None or found is None or asked is found:
        return None
    if asked.has_ideographs and found.has_ideographs:  # a Japanese request may be of ideographs alone
        return None
    return None if _NAMES_A_LANGUAGE.search(request) else DropReason.OTHER_LANGUAGE


def leftovers(text: str, *, max_markup: float = 0.25) -> DropReason | None:
    """The completion holds marks of a chat template or a form, lines of a plan with their word count, or a claim about
    its own length, or more than `max_markup` of its characters are markup. Ours."""
    if _TEMPLATE.search(text) or _PLAN_LINE.search(text) or has_count_claim(text):
        return DropReason.LEFTOVERS
    return DropReason.LEFTOVERS if markup_fraction(text) > max_markup else None


def repetitive_part(
    text: str, *, max_window: float = 0.25, max_long: float = 0.05, max_compression: float = 5.0
) -> DropReason | None:
    """Some part of the completion repeats itself, however good the rest is. Ours.

    Args:
        text: of any length; time grows with it alone.
        max_window: highest share of repeated 4-grams (of ideographs 6-grams) in any window of 500 words.
        max_long: highest share of repeated 10-grams (of ideographs 15-grams) in the whole text: blocks that come again
            far from where they stood. Unlike short ones, they do not come with mere length.
        max_compression: highest factor by which any window of 4,000 characters compresses (zlib, level 6).
    """
    words = normal_words(text)
    stretch = 3 if _has_ideographs(text) else 2  # an English word is about one and a half ideographs
    for window in _windows(words, _WINDOW_WORDS):
        if (seq_rep_n(window, _WINDOW_GRAM * stretch // 2) or 0.0) > max_window:
            return DropReason.REPETITIVE
    if (seq_rep_n(words, _LONG_GRAM * stretch // 2) or 0.0) > max_long:
        return DropReason.REPETITIVE
    parts = (part.encode("utf-8", "surrogatepass") for part in _windows(text, _WINDOW_CHARACTERS))
    is_loop = any(len(part) / len(zlib.compress(part)) > max_compression for part in parts)
    return DropReason.REPETITIVE if is_loop else None


def _has_ideographs(text: str) -> bool:
    system = writing_system(text)
    return system is not None and system.has_ideographs


def _windows(whole: S, size: int) -> list[S]:
    """One behind the other; what is left over at the end stands in a last one of full size, which overlaps."""
    starts = list(range(0, max(1, len(whole) - size + 1), size))
    if starts[-1] + size < len(whole):
        starts.append(len(whole) - size)
    return [whole[start : start + size] for start in starts]
