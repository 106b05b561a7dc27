"""A text made in several calls, written as a generator: what it asks for next hangs on what it was answered.

A flow yields the calls that it wants at once, is sent their answers in the same order, and returns its result. It knows
no backend: one that makes data is run for many documents at a time (`pipelines/document_room.py`), with every answer
kept; one that is a control is run in a text's place (`decode/agentwrite_control.py`).
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeVar

from lengthctl.length import Target
from lengthctl.prompts import Message
from lengthctl.records import FinishReason

__all__ = ["Answer", "Call", "Flow", "FlowFailedError", "Setback"]

R = TypeVar("R")


@dataclass(frozen=True)
class Call:
    """One text that a flow wants."""

    name: str
    """Distinct within the document, and the same in every run: `plan/0`, `write/3/1` (the fourth paragraph, second
    attempt). The seed of the call hangs on it."""
    messages: tuple[Message, ...]
    max_tokens: int
    """Limit of the answer, `prefill` not counted."""
    target: Target | None = None
    """Its length, for a control that steers the call; None leaves it alone."""
    prefill: str = ""
    """First words of the answer, given; the model goes on behind them."""
    temperature: float | None = None
    """None: as the run is set."""


@dataclass(frozen=True)
class Answer:
    """What a call was answered."""

    text: str
    """Without `prefill`."""
    finish: FinishReason
    tokens: int = 0
    """Drawn for it, tries of a control counted; 0 where unknown."""
    prompt_tokens: int = 0
    """Read for it; 0 where unknown."""
    error: str | None = None
    """Why there is no text, with `finish` ERROR."""


class Setback(StrEnum):
    """Why a document came to nothing."""

    PLAN_UNREADABLE = "plan_unreadable"
    """No plan could be read after all attempts."""
    REFUSED = "refused"
    """The model declined."""
    EMPTY = "empty"
    """Nothing was written."""
    UNSUITABLE = "unsuitable"
    """Something was written, and no attempt passed the checks."""
    REPETITIVE = "repetitive"
    """All attempts repeat themselves or an earlier part."""
    UNFINISHED = "unfinished"
    """All attempts end in the limit or inside a sentence."""
    LEFTOVERS = "leftovers"
    """All attempts tell of themselves: that they are a revision."""
    NO_GROWTH = "no_growth"
    """No attempt is longer by the wanted factor."""
    TOO_LONG = "too_long"
    """The conversation does not fit the model's context."""
    BACKEND = "backend"
    """The engine or endpoint gave an error for a call."""


class FlowFailedError(Exception):
    """A document's end without a result."""

    def __init__(self, setback: Setback, detail: str = "") -> None:
        super().__init__(f"{setback}: {detail}" if detail else str(setback))
        self.setback = setback
        self.detail = detail


Flow = Generator[Sequence[Call], Sequence[Answer], R]
"""A document on its way to a result; raises `FlowFailedError` where there is none."""
