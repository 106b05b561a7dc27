"""What `summary.json` of a training run holds."""

from __future__ import annotations

import shlex
import sys
import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from lengthctl.config import config_digest
from lengthctl.evaluate.environment import environment
from lengthctl.evaluate.metrics import compare, summarise
from lengthctl.pipelines.sampling import Sample

if TYPE_CHECKING:
    from lengthctl.config import Config

__all__ = ["minutes", "process_seconds", "run_summary"]


def process_seconds() -> float:
    """Seconds since this process was started."""
    import psutil

    return time.time() - float(psutil.Process().create_time())


def minutes(stages: Mapping[str, float]) -> dict[str, float]:
    """Minutes of each stage and of all, from seconds."""
    seconds = {**stages, "total": sum(stages.values())}
    return {name: round(value / 60, 3) for name, value in seconds.items()}


def run_summary(
    config: Config, before: Sequence[Sample], after: Sequence[Sample], facts: Mapping[str, Any]
) -> dict[str, Any]:
    """Adherence before and after on the same prompts, the paired change, and what tells how it came about."""
    first, last = [s.scored for s in before], [s.scored for s in after]
    return {
        "schema": 1,
        "before": summarise(first, config.run.seed),
        "after": summarise(last, config.run.seed),
        "change": compare(first, last, config.run.seed),
        **facts,
        "seed": config.run.seed,
        "versions": environment()["versions"],
        "command": shlex.join(["lengthctl", *sys.argv[1:]]),
        "config_digest": config_digest(config),
        "config": config.model_dump(mode="json"),
    }
