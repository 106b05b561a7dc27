"""What `summary.json` of a training run holds."""

from __future__ import annotations

import shlex
import sys
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from lengthctl.config import config_digest
from lengthctl.evaluate.environment import environment
from lengthctl.evaluate.metrics import compare, summarise
from lengthctl.pipelines.held_out import Measured
from lengthctl.pipelines.problem_results import compare_answers, problem_summary, summarise_answers

if TYPE_CHECKING:
    from lengthctl.config import Config

__all__ = ["compare_sides", "minutes", "process_seconds", "run_summary", "side_summary"]


def process_seconds() -> float:
    """Seconds since this process was started."""
    import psutil

    return time.time() - float(psutil.Process().create_time())


def minutes(stages: Mapping[str, float]) -> dict[str, float]:
    """Minutes of each stage and of all, from seconds."""
    seconds = {**stages, "total": sum(stages.values())}
    return {name: round(value / 60, 3) for name, value in seconds.items()}


def side_summary(side: Measured, seed: int) -> dict[str, Any]:
    """`overall` and `by_target` of a side: how it keeps lengths or, where none is asked, how it solves problems.

    Raises:
        ValueError: nothing was measured.
    """
    if side.samples:
        return summarise([sample.scored for sample in side.samples], seed)
    return {"overall": summarise_answers(side.answers, seed)["overall"], "by_target": {}}


def compare_sides(base: Measured, other: Measured, seed: int) -> dict[str, Any]:
    """Change from one side to another of the same measures, paired.

    Raises:
        ValueError: the sides have nothing in common.
    """
    if base.samples:
        return compare([s.scored for s in base.samples], [s.scored for s in other.samples], seed)
    return {**compare_answers(base.answers, other.answers, seed), "by_target": {}}


def run_summary(config: Config, before: Measured, after: Measured, facts: Mapping[str, Any]) -> dict[str, Any]:
    """What was measured before and after on the same prompts and problems, the paired change, and what tells how it
    came about."""
    seed = config.run.seed
    answers = {"before": before.answers, "after": after.answers}
    return {
        "schema": 1,
        "before": side_summary(before, seed),
        "after": side_summary(after, seed),
        "change": compare_sides(before, after, seed),
        **(problem_summary(answers, {name: name for name in answers}, seed) if any(answers.values()) else {}),
        **facts,
        "seed": seed,
        "versions": environment()["versions"],
        "command": shlex.join(["lengthctl", *sys.argv[1:]]),
        "config_digest": config_digest(config),
        "config": config.model_dump(mode="json"),
    }
