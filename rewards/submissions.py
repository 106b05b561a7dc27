"""Texts as a judge grades them, each by itself."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from lengthctl.judging import Rubric

__all__ = ["Grades", "Submission", "TextJudge", "ask_texts"]


@dataclass(frozen=True)
class Submission:
    """A text to grade, and the request that it answers."""

    request: str
    text: str

    @property
    def parts(self) -> tuple[str, str]:
        """As a rubric's message takes them."""
        return self.request, self.text


Grades = Mapping[str, float]
"""By dimension of the rubric, on its scale."""
TextJudge = Callable[[Sequence[Submission]], Sequence[Grades | None]]
"""Grades of each text, in order; None where there is no verdict."""


def ask_texts(rubric: Rubric, generate: Callable[[Sequence[str]], Sequence[str | None]]) -> TextJudge:
    """A judge from anything that answers messages: one text a message, None where none came."""

    def judge(submissions: Sequence[Submission]) -> list[Grades | None]:
        messages = [rubric.message(one.parts) for one in submissions]
        return [_read(rubric, text, message) for text, message in zip(generate(messages), messages, strict=True)]

    return judge


def _read(rubric: Rubric, text: str | None, message: str) -> Grades | None:
    try:
        return None if text is None else rubric.read(text, message)
    except ValueError:
        return None
