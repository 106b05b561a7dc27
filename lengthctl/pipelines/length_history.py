"""What earlier lengths tell the scheduler of a run."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from lengthctl.evaluate.length_table import read_lengths
from lengthctl.rollout.backend import Request
from lengthctl.rollout.prediction import LengthPredictor

if TYPE_CHECKING:
    from lengthctl.config import Config

__all__ = ["predictor_of"]


def predictor_of(config: Config) -> Callable[[], LengthPredictor]:
    """Makes predictors that know the table of `rollout.lengths`, or nothing.

    Raises:
        DataError: the table cannot be read.
    """
    if config.rollout.lengths is None:
        return LengthPredictor
    past = [row.past() for row in read_lengths(Path(config.rollout.lengths))]
    return partial(LengthPredictor.from_history, past, prompt_of=_prompt)


def _prompt(request: Request) -> str:
    """Requests of one prompt are one group, named by it."""
    return request.group
