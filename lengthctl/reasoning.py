"""Reasoning formats: what of a completion is reasoning, what is answer, and which answer it settles on.

The only parser of the project: checking, evaluation and rewards read completions with these functions. Time is linear
in the length of the text, whatever the text is.
"""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import accumulate

__all__ = [
    "ANSWER_WINDOW",
    "THINK_TAGS",
    "AnswerFormat",
    "Reasoned",
    "ReasoningTokens",
    "ThinkTags",
    "count_reasoning_pieces",
    "count_reasoning_tokens",
    "opens_reasoning",
    "parse_reasoning",
    "without_reasoning",
]

ANSWER_WINDOW = 4000
"""Characters at the end of the answer in which the final answer is looked for. Ours."""


class AnswerFormat(StrEnum):
    """How a final answer is marked."""

    BOXED = "boxed"
    """`\\boxed{42}` or `\\fbox{42}`, braces nested; the last to open of those that are complete."""
    HASHES = "hashes"
    """GSM8K's `#### 42`."""
    ANSWER_LINE = "answer_line"
    """`Answer: 42`, `The answer is 42`."""


@dataclass(frozen=True)
class ThinkTags:
    """The texts that open and close reasoning."""

    opening: str = "<think>"
    closing: str = "</think>"

    def __post_init__(self) -> None:
        if not self.opening or not self.closing or self.opening == self.closing:
            raise ValueError("reasoning needs an opening and a closing tag, and two different ones")


THINK_TAGS = ThinkTags()
"""The tags of most reasoning models."""


@dataclass(frozen=True)
class Reasoned:
    """A completion taken apart.

    `reasoning` is what stands inside the tags, `answer` what follows the first closing tag outside of them (all of the
    text where there are no tags); several stretches are joined by line breaks. Text before the first opening tag is
    neither. `final` is the answer as written, and None where none is marked or reasoning is still open at the end
    (`is_closed` False): an answer inside open reasoning does not count.
    """

    reasoning: str
    answer: str
    final: str | None
    format: AnswerFormat | None
    is_closed: bool


@dataclass(frozen=True)
class ReasoningTokens:
    """Lengths in tokens. Total: all that is given, markers and stop token included. Reasoning: strictly between the
    markers. Answer: after the first closing marker and outside of reasoning. Tokens put in by a control count where
    they stand."""

    reasoning: int
    answer: int
    total: int
    is_closed: bool


def opens_reasoning(prompt: str, tags: ThinkTags = THINK_TAGS) -> bool:
    """The prompt ends inside reasoning: its template wrote the opening tag and did not close it."""
    return prompt.rfind(tags.opening) > prompt.rfind(tags.closing)


def parse_reasoning(text: str, *, starts_open: bool = False, tags: ThinkTags = THINK_TAGS) -> Reasoned:
    """Take a completion apart; see `Reasoned`.

    Args:
        text: the completion, special tokens that serve as tags included.
        starts_open: the prompt opened the reasoning (`opens_reasoning`). A closing tag without an opening one says the
            same, so this matters for completions that never close it.
        tags: the model's tags.
    """
    stretches = _stretches(_text_marks(text, tags), len(text), starts_open)
    reasoning = "\n".join(text[start:stop] for start, stop in stretches.reasoning)
    answer = "\n".join(text[start:stop] for start, stop in stretches.answer)
    if not stretches.is_closed:
        return Reasoned(reasoning, answer, None, None, is_closed=False)
    final, found = _final_answer(answer[-ANSWER_WINDOW:])
    return Reasoned(reasoning, answer, final, found, is_closed=True)


def without_reasoning(text: str, tags: ThinkTags = THINK_TAGS) -> str:
    """What a completion says to its reader: the text behind its reasoning, "" where it begins to reason and does not
    end, the whole of a text that does not reason. An opening tag within a text is part of it."""
    if tags.closing in text or text.lstrip().startswith(tags.opening):
        return parse_reasoning(text, tags=tags).answer
    return text


def count_reasoning_tokens(
    token_ids: Sequence[int],
    end: int | Sequence[int],
    start: int | Sequence[int] | None = None,
    *,
    starts_open: bool = False,
) -> ReasoningTokens:
    """Tokens of reasoning and answer, from the sampled ids and never from text that is encoded again.

    Args:
        token_ids: completion ids without prompt and padding.
        end: the end-of-thinking token, or its sequence of ids.
        start: the token or sequence that opens reasoning, if the model writes one.
        starts_open: as in `parse_reasoning`, which divides in the same way.

    Raises:
        ValueError: an empty marker.
    """
    closing, opening = _sequence(end), None if start is None else _sequence(start)
    stretches = _stretches(_token_marks(token_ids, opening, closing), len(token_ids), starts_open)
    reasoning, answer = (sum(b - a for a, b in part) for part in (stretches.reasoning, stretches.answer))
    return ReasoningTokens(reasoning, answer, len(token_ids), stretches.is_closed)


def count_reasoning_pieces(
    pieces: Sequence[str], *, starts_open: bool = False, tags: ThinkTags = THINK_TAGS
) -> ReasoningTokens:
    """The same for models that spell their tags in several tokens, which run into the text around them: by what each
    sampled token says, decoded alone. A token that touches a tag belongs to it.

    Args:
        pieces: a text a token.
        starts_open: as in `parse_reasoning`.
        tags: the model's tags.
    """
    ends = list(accumulate(map(len, pieces)))
    marks, last = [], 0
    for mark in _text_marks("".join(pieces), tags):
        start = max(last, bisect_right(ends, mark.start))
        last = max(start, bisect_left(ends, mark.stop) + 1)
        marks.append(_Mark(start, last, mark.is_opening))
    stretches = _stretches(marks, len(pieces), starts_open)
    reasoning, answer = (sum(b - a for a, b in part) for part in (stretches.reasoning, stretches.answer))
    return ReasoningTokens(reasoning, answer, len(pieces), stretches.is_closed)


@dataclass(frozen=True)
class _Mark:
    start: int
    stop: int
    is_opening: bool


@dataclass(frozen=True)
class _Stretches:
    reasoning: list[tuple[int, int]]
    answer: list[tuple[int, int]]
    is_closed: bool


def _stretches(marks: Iterable[_Mark], end: int, starts_open: bool) -> _Stretches:
    """Divide positions 0 to `end` at the marks, which come in order and do not overlap."""
    reasoning: list[tuple[int, int]] = []
    answer: list[tuple[int, int]] = []
    is_inside, was_opened, was_closed, position = starts_open, starts_open, False, 0
    for mark in marks:
        if mark.is_opening:
            if is_inside:
                continue  # a second opening tag is part of the reasoning
            if was_closed:
                answer.append((position, mark.start))
            is_inside = was_opened = True
        else:
            # A closing tag before any opening one: the prompt held the opening.
            (reasoning if is_inside or not was_opened else answer).append((position, mark.start))
            is_inside, was_opened, was_closed = False, True, True
        position = mark.stop
    (reasoning if is_inside else answer).append((position, end))
    return _Stretches(reasoning, answer, not is_inside)


def _text_marks(text: str, tags: ThinkTags) -> Iterable[_Mark]:
    pattern = re.compile(f"{re.escape(tags.opening)}|{re.escape(tags.closing)}")
    return (_Mark(m.start(), m.end(), m.group() == tags.opening) for m in pattern.finditer(text))


def _sequence(marker: int | Sequence[int]) -> tuple[int, ...]:
    ids = (marker,) if isinstance(marker, int) else tuple(marker)
    if not ids:
        raise ValueError("a marker needs at least one token id")
    return ids


def _token_marks(ids: Sequence[int], opening: tuple[int, ...] | None, closing: tuple[int, ...]) -> Iterable[_Mark]:
    position = 0
    while position < len(ids):
        for marker in (closing, opening):
            if marker and tuple(ids[position : position + len(marker)]) == marker:
                yield _Mark(position, position + len(marker), marker is opening)
                position += len(marker)
                break
        else:
            position += 1


_BRACES = re.compile(r"(?P<box>\\(?:boxed|fbox)\s{0,4}\{)|\\.|[{}]", re.DOTALL)
_HASHES = re.compile(r"(?<!#)####(?!#)[ \t]*(?P<value>[^\s][^\n]*)")
_ANSWER = re.compile(r"(?i)\banswer\*{0,3}\s{0,4}(?::|=|is\b)[\s:*]{0,8}(?P<value>[^\n]+)")
# The value ends with its sentence, or where a reason follows it: "42. So ...", "42, because ...".
_VALUE_END = re.compile(r"\.(?=\s|$)|,\s+(?=[A-Za-z]{2})")


def _final_answer(answer: str) -> tuple[str | None, AnswerFormat | None]:
    """A box wins over the other formats; of those the last in the text wins."""
    if (boxed := _last_box(answer)) is not None:
        return boxed, AnswerFormat.BOXED
    found: list[tuple[int, str, AnswerFormat]] = []
    for pattern, name in ((_HASHES, AnswerFormat.HASHES), (_ANSWER, AnswerFormat.ANSWER_LINE)):
        for match in pattern.finditer(answer):
            if value := _clean(match["value"]):
                found.append((match.start("value"), value, name))
    if not found:
        return None, None
    _, value, name = max(found, key=lambda item: item[0])
    return value, name


def _last_box(text: str) -> str | None:
    """Content of the complete box that opens last; blank boxes are passed over."""
    open_at: list[tuple[int, bool]] = []
    best_start, best = -1, None
    for match in _BRACES.finditer(text):
        if match["box"]:
            open_at.append((match.end(), True))
        elif match.group() == "{":
            open_at.append((match.end(), False))
        elif match.group() == "}" and open_at:
            start, is_box = open_at.pop()
            if is_box and start > best_start and (content := text[start : match.start()].strip()):
                best_start, best = start, content
    return best


def _clean(line: str) -> str:
    """The value at the start of a line, without emphasis, maths delimiters and what follows it."""
    value = line.strip(" \t*`_")
    for opening, closing in (("$", "$"), ("\\(", "\\)")):
        stop = value.find(closing, len(opening))
        if value.startswith(opening) and stop > len(opening) and not value[stop + len(closing) :][:1].isalnum():
            return value[len(opening) : stop].strip()
    end = _VALUE_END.search(value)
    return (value[: end.start()] if end else value).strip(" \t*`_")
