"""Whether completions answer right: one check for all rewards, with one set of processes and one cache."""

from __future__ import annotations

import functools
import os
from collections.abc import Mapping, Sequence
from typing import Any

from lengthctl.checking import AnswerChecker, Status
from lengthctl.rewards.answers import read_completions
from lengthctl.rewards.completions import Completions

__all__ = ["check_answers", "correct_column"]

_MOST_WORKERS = 4
_ANSWER_MISSING = "the column answer is missing; give each prompt its reference answer, or pass the column is_correct"


def correct_column(completions: Completions, columns: Mapping[str, Any]) -> list[bool | None]:
    """Is each completion's final answer right? None for a row without a reference answer.

    By the column `is_correct` where it is there, else the answer that `parse_reasoning` finds is checked against the
    column `answer`. An answer that cannot be checked (too long, a time-out) is not right.

    Raises:
        ValueError: neither of the two columns, one with another number of rows, or an answer that is no text.
        MissingDependencyError: an answer takes mathematics, and math-verify is not installed.
    """
    given = columns.get("is_correct")
    if given is not None:
        if len(given) != len(completions):
            raise ValueError(f"the column is_correct has {len(given)} rows for {len(completions)} completions")
        return [None if value is None else bool(value) for value in given]
    return check_answers([found.final for found in read_completions(completions, columns)], columns)


def check_answers(answers: Sequence[str | None], columns: Mapping[str, Any]) -> list[bool | None]:
    """Is each answer equal to the column `answer`? None for a row without one; an answer that is None is not right.

    Where TRL hands `log_metric`, the share of checks that failed or ran out of time is logged as `unchecked_answers`.

    Raises:
        ValueError: no column `answer`, or one with another number of rows, or a reference that is no text or number.
    """
    references = columns.get("answer")
    if references is None:
        raise ValueError(_ANSWER_MISSING)
    if len(references) != len(answers):
        raise ValueError(f"the column answer has {len(references)} rows for {len(answers)} completions")
    wanted = [_reference(value) for value in references]
    places = [place for place, reference in enumerate(wanted) if reference is not None]
    verdicts = _checker().check_many([(answers[place], wanted[place] or "") for place in places])
    right: list[bool | None] = [None] * len(answers)
    for place, verdict in zip(places, verdicts, strict=True):
        right[place] = verdict.status is Status.CORRECT
    if (log_metric := columns.get("log_metric")) is not None and verdicts:
        lost = sum(verdict.status in (Status.TIMEOUT, Status.ERROR) for verdict in verdicts)
        log_metric("unchecked_answers", lost / len(verdicts))
    return right


@functools.cache
def _checker() -> AnswerChecker:
    """Kept for the process; it starts its own processes when an answer first needs one."""
    return AnswerChecker(min(_MOST_WORKERS, os.cpu_count() or 1))


def _reference(value: object) -> str | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise ValueError(f"the column answer holds text or numbers, found {value!r:.80}")
    return str(value).strip() or None
