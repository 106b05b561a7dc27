"""Why a row of instruction data is not used: one small pure function a reason. None means that nothing is wrong."""

from __future__ import annotations

import re
import zlib
from collections.abc import Callable
from enum import StrEnum

from lengthctl.data_gen.length_demands import find_length_demands
from lengthctl.degeneration import is_finished, repetition
from lengthctl.records import FinishReason

__all__ = ["DropReason", "asks_for_length", "compression", "empty", "repetitive", "too_long", "unfinished"]


class DropReason(StrEnum):
    """Why a row is left out; `meaning` says it to a reader of the dataset card."""

    NO_COMPLETION = "no_completion"
    NO_PROMPT = "no_prompt"
    NOT_TEXT = "not_text"
    EMPTY = "empty"
    LENGTH_DEMAND = "length_demand"
    CONTAMINATED = "contaminated"
    UNFINISHED = "unfinished"
    REPETITIVE = "repetitive"
    REFUSED = "refused"
    OTHER_LANGUAGE = "other_language"
    LEFTOVERS = "leftovers"
    LENGTH_UNSTATED = "length_unstated"
    LENGTH_MISSED = "length_missed"
    NO_TRUE_DEMAND = "no_true_demand"
    NO_REASONING = "no_reasoning"
    OPEN_REASONING = "open_reasoning"
    UNREADABLE_ANSWER = "unreadable_answer"
    WRONG_ANSWER = "wrong_answer"
    UNSUITABLE = "unsuitable"
    PLAN_UNREADABLE = "plan_unreadable"
    NO_GROWTH = "no_growth"
    BACKEND = "backend"
    OUTSIDE_BANDS = "outside_bands"
    TOO_LONG = "too_long"
    LEFT_OUT_SHORT = "left_out_short"
    EXACT_DUPLICATE = "exact_duplicate"
    NEAR_DUPLICATE = "near_duplicate"
    SAME_REQUEST = "same_request"
    UNJUDGED = "unjudged"
    LOW_QUALITY = "low_quality"
    OVER_QUOTA = "over_quota"

    @property
    def meaning(self) -> str:
        """One phrase."""
        return _MEANINGS[self]


_MEANINGS = {
    DropReason.NO_COMPLETION: "no completion, or an empty one",
    DropReason.NO_PROMPT: "no request by the user before the completion",
    DropReason.NOT_TEXT: "a turn that is no text (a tool call, half a surrogate pair) or of another role",
    DropReason.EMPTY: "a completion without a letter or digit",
    DropReason.LENGTH_DEMAND: "the prompt asks for a length itself",
    DropReason.CONTAMINATED: "the prompt holds one of the evaluation",
    DropReason.UNFINISHED: "the completion was cut, or ends inside a sentence",
    DropReason.REPETITIVE: "the completion repeats itself",
    DropReason.REFUSED: "the model declined",
    DropReason.OTHER_LANGUAGE: "prompt and completion are in different writing systems, and the prompt asks for none",
    DropReason.LEFTOVERS: "marks of a chat template, a plan or an unfilled form in the completion, or mostly markup",
    DropReason.LENGTH_UNSTATED: "the prompt does not state exactly one length",
    DropReason.LENGTH_MISSED: "the completion is too far from the length that the prompt states",
    DropReason.NO_TRUE_DEMAND: "no length demand is true of the completion",
    DropReason.NO_REASONING: "the completion does not reason before it answers",
    DropReason.OPEN_REASONING: "the completion's reasoning is never closed",
    DropReason.UNREADABLE_ANSWER: "the completion marks no final answer, or none that can be compared",
    DropReason.WRONG_ANSWER: "the completion's final answer is not that of the row",
    DropReason.UNSUITABLE: "no attempt passed the checks",
    DropReason.PLAN_UNREADABLE: "no plan could be read after all attempts",
    DropReason.NO_GROWTH: "no attempt was longer by the wanted factor",
    DropReason.BACKEND: "the engine or endpoint gave an error",
    DropReason.OUTSIDE_BANDS: "no class takes its length",
    DropReason.TOO_LONG: "more tokens than a training row may have",
    DropReason.LEFT_OUT_SHORT: "drawn to be left out, the more probably the shorter it is",
    DropReason.EXACT_DUPLICATE: "same prompt and completion as a row that is used, but for case and punctuation",
    DropReason.NEAR_DUPLICATE: "nearly the completion of a row that is used",
    DropReason.SAME_REQUEST: "another completion of the same or nearly the same prompt is used",
    DropReason.UNJUDGED: "the judge gave no grades",
    DropReason.LOW_QUALITY: "the quality is below the least one",
    DropReason.OVER_QUOTA: "its class was full",
}

_LIST_ITEM = re.compile(r"\s*(?:[-*+\u2022\u2013\u00b7|>]|\(?(?:\d{1,3}|[a-zA-Z]|[ivx]{1,4})[.):])\s*\S")
_BRACKETS = re.compile(r"[()\[\]{}]")
_SHORT_WORDS = 20
_OPEN_END = re.compile(
    r"(?:[,:\u2013\u2014-]|\b(?:a|an|the|and|or|but|of|to|in|on|at|for|with|by|from|as|is|are|was|were|that|which))$",
    re.IGNORECASE,
)
_HEAD_BYTES = 1 << 15


def empty(text: str) -> DropReason | None:
    """The completion has no letter and no digit."""
    return None if any(map(str.isalnum, text)) else DropReason.EMPTY


def unfinished(text: str, finish: FinishReason | None = None) -> DropReason | None:
    """The completion was cut, by `finish` where that is known: anything but the model's own end counts as cut, and so
    does a control's inside a sentence.

    Where it is not known, a text is finished when it ends in a sentence mark, a list item, a row of a table or a closed
    code block, or when its last line has at most 20 words and neither ends in a comma, colon, dash or a small word that
    cannot end a phrase (names, titles, formulas and signatures stand so). Ours, for English; a cut behind a whole line
    is not seen. Brackets are not looked at, as `degeneration.is_finished` does: people write "1)".
    """
    if finish is FinishReason.CLOSED:  # a control ended it, on a sentence where it could
        return None if is_finished(text) else DropReason.UNFINISHED
    if finish is not None:
        return None if finish is FinishReason.EOS else DropReason.UNFINISHED
    if text.count("```") % 2:
        return DropReason.UNFINISHED
    last = text.rstrip().rpartition("\n")[2].strip()
    if is_finished(_BRACKETS.sub("", last)) or last.endswith("```") or _LIST_ITEM.match(last):
        return None
    return DropReason.UNFINISHED if _OPEN_END.search(last) or len(last.split()) > _SHORT_WORDS else None


def repetitive(text: str, *, max_share: float = 0.3, max_compression: float = 5.0) -> DropReason | None:
    """The share of repeated word trigrams is above `max_share`, or the text compresses by more than `max_compression`.

    Ours. Prose of 50 to 2,000 words repeats 0 to 10 % of its trigrams and compresses by 1.2 to 2.8, long tables and
    code by up to 4.5. The second limit sees what has no words: repeated symbols, or a language without blanks.
    """
    if repetition(text) > max_share or compression(text) > max_compression:
        return DropReason.REPETITIVE
    return None


def compression(text: str) -> float:
    """Bytes of the text over those that zlib (level 6) needs for it, >= 0; the larger one of its first 32 KiB and its
    last, so that long texts compare with short ones."""
    data = text.encode("utf-8", "surrogatepass")
    ends = (data,) if len(data) <= _HEAD_BYTES else (data[:_HEAD_BYTES], data[-_HEAD_BYTES:])
    return max(len(part) / len(zlib.compress(part)) for part in ends)


def too_long(text: str, max_tokens: int, count: Callable[[str], int]) -> DropReason | None:
    """`count` gives the text more than `max_tokens`. Without the tokens that a chat template adds."""
    return DropReason.TOO_LONG if count(text) > max_tokens else None


def asks_for_length(prompt: str) -> DropReason | None:
    """The prompt names a length of its answer; see `length_demands`."""
    return DropReason.LENGTH_DEMAND if find_length_demands(prompt) else None
