"""How a reward calls its judge."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from lengthctl.rewards.graded import is_evaluation

__all__ = ["judge_in_call"]

Question = TypeVar("Question")
Answer = TypeVar("Answer")


def judge_in_call(
    judge: Callable[[Sequence[Question]], Sequence[Answer]], columns: Mapping[str, Any]
) -> Callable[[Sequence[Question]], Sequence[Answer]]:
    """The judge, for one call of a reward with these columns. A judge with a method `in_step(step, is_evaluation=...)`
    is told the trainer's step, None where no trainer tells, and answers by what that returns; any other is taken as it
    is."""
    in_step = getattr(judge, "in_step", None)
    if in_step is None:
        return judge
    state = columns.get("trainer_state")
    step = None if state is None else int(state.global_step)
    told: Callable[[Sequence[Question]], Sequence[Answer]] = in_step(step, is_evaluation=is_evaluation(columns))
    return told
