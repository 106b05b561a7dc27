"""Rows that reason before they answer, taken apart: what stands before the reasoning, the reasoning, and the answer.

Two forms: reasoning between think tags, and worked steps whose last lines mark the answer (`#### 42`, a box, an answer
line). Time is linear in the length of the text.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from lengthctl.checking import Status, Verdict
from lengthctl.data_gen.filters import DropReason
from lengthctl.data_gen.instruction_data import Instruction
from lengthctl.prompts import Message
from lengthctl.reasoning import THINK_TAGS, parse_reasoning

__all__ = ["CheckAnswer", "ReasonedRow", "Solution", "read_reasoned", "read_solution", "split_steps"]

CheckAnswer = Callable[[str | None, str], Verdict]
"""Final answer and reference answer to a verdict, as `AnswerChecker.check_answer`."""

_REASONING_COLUMNS = ("reasoning", "reasoning_content", "thinking")
_TAGS = (THINK_TAGS.opening, THINK_TAGS.closing)
_ANSWER_LINES = 50
"""Lines at the end of worked steps among which the answer is looked for."""


@dataclass(frozen=True)
class Solution:
    """A completion: `head + reasoning + tail`, byte for byte. `tail` holds the answer and, with tags, closes them."""

    head: str
    reasoning: str
    tail: str
    final: str
    """The answer that the tail settles on."""
    form: Literal["tags", "steps"]

    def with_reasoning(self, reasoning: str) -> str:
        """The completion with other reasoning before the same answer."""
        return f"{self.head}{reasoning}{self.tail if reasoning or self.form == 'tags' else self.tail.lstrip()}"


@dataclass(frozen=True)
class ReasonedRow:
    """A question with its solution."""

    id: str
    messages: tuple[Message, ...]
    solution: Solution
    source: str
    licence: str | None = None

    @property
    def question(self) -> str:
        """The user's last turn."""
        return self.messages[-1]["content"]


def read_reasoned(row: Instruction, check: CheckAnswer) -> ReasonedRow | DropReason:
    """A row of instruction data, or why it cannot be used: no reasoning, tags that never close, no answer that can be
    read, or another one than its column `answer` says. Columns `reasoning`, `reasoning_content` or `thinking` are put
    between tags in front of a completion that has none."""
    text = row.completion
    thought = next((row.columns[c] for c in _REASONING_COLUMNS if isinstance(row.columns.get(c), str)), None)
    if thought is not None and thought.strip() and not any(tag in text for tag in _TAGS):
        text = f"{THINK_TAGS.opening}\n{thought.strip()}\n{THINK_TAGS.closing}\n{text}"
    found = read_solution(text)
    if isinstance(found, DropReason):
        return found
    reference = row.columns.get("answer")
    if reference is not None and not isinstance(reference, str | int | float):
        return DropReason.UNREADABLE_ANSWER  # a list, say: to take the row at its own word would hide a wrong one
    named = str(reference) if reference is not None and str(reference).strip() else found.final
    status = check(found.final, named).status
    if status is Status.WRONG:
        return DropReason.WRONG_ANSWER
    if status is not Status.CORRECT:
        return DropReason.UNREADABLE_ANSWER
    return ReasonedRow(row.id, row.messages, found, row.source, row.licence)


def read_solution(text: str) -> Solution | DropReason:
    """A completion taken apart, or why it cannot be."""
    if any(tag in text for tag in _TAGS):
        return _between_tags(text)
    parts = split_steps(text)
    if parts is None:
        return DropReason.UNREADABLE_ANSWER
    reasoning, tail, final = parts
    if not reasoning.strip():
        return DropReason.NO_REASONING
    return Solution("", reasoning, tail, final, "steps")


def split_steps(text: str) -> tuple[str, str, str] | None:
    """Worked steps, the lines from the one on that marks the answer, and that answer; None where none is marked.

    The blanks between the two belong to the lines of the answer.
    """
    final = parse_reasoning(text).final
    if final is None:
        return None
    starts = [0, *(m.end() for m in re.finditer(r"\n", text))][-_ANSWER_LINES:]
    for start in reversed(starts):
        if parse_reasoning(text[start:]).final == final:
            reasoning = text[:start].rstrip()
            return reasoning, text[len(reasoning) :], final
    return None


def _between_tags(text: str) -> Solution | DropReason:
    """One stretch of reasoning; a text without an opening tag begins inside it, since its template wrote that."""
    opening, closing = _TAGS
    parsed = parse_reasoning(text)
    if not parsed.is_closed:
        return DropReason.OPEN_REASONING
    begin = text.find(opening)
    end = text.find(closing)
    start = begin + len(opening) if 0 <= begin < end else 0
    if end < 0 or any(tag in text[end + len(closing) :] for tag in _TAGS):
        return DropReason.LEFTOVERS
    inside = text[start:end]
    reasoning = inside.strip()
    if not reasoning:
        return DropReason.NO_REASONING
    if parsed.final is None:
        return DropReason.UNREADABLE_ANSWER
    at = start + inside.index(reasoning)
    return Solution(text[:at], reasoning, text[at + len(reasoning) :], parsed.final, "tags")
