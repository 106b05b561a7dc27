"""What earlier lengths tell the scheduler of a run."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from lengthctl.evaluate.length_table import read_lengths
from lengthctl.rollout.backend import Request
from lengthctl.rollout.prediction import LengthPredictor, prompt_key

if TYPE_CHECKING:
    from lengthctl.config import Config

__all__ = ["predictor_of"]


def predictor_of(config: Config, *, by_group: bool) -> Callable[[], LengthPredictor]:
    """Makes predictors that know the table of `rollout.lengths`, or nothing.

    Args:
        config: `rollout.lengths` is read.
        by_group: requests are grouped by their prompt's id, by which the table is joined; else only what the table
            tells of targets and of prompts of a size is used.

    Raises:
        DataError: the table cannot be read.
    """
    if config.rollout.lengths is None:
        return LengthPredictor
    past = [row.past() for row in read_lengths(Path(config.rollout.lengths))]
    return partial(LengthPredictor.from_history, past, prompt_of=_group if by_group else prompt_key)


def _group(request: Request) -> str:
    return request.group
