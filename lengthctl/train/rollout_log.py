"""Every training completion as a record: what was asked, what came, from which weights, what it earned and moved."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from lengthctl.records import RecordWriter
from lengthctl.train.step_row import PARTS, StepRow

__all__ = ["RolloutLog"]

_ODD_CHARACTERS = 200


class RolloutLog:
    """Appends to `samples/rollouts.jsonl`: step, group, prompt, target, completion with ids and logprobs, reward with
    its parts, advantage, and whether it was trained."""

    def __init__(self, path: Path) -> None:
        self._writer = RecordWriter(path)

    def write(self, step: int, rows: Iterable[StepRow]) -> None:
        """One record a completion of the step that it trains."""
        for row in rows:
            self._writer.write(_record(step, row))


def _record(step: int, row: StepRow) -> dict[str, Any]:
    told = {name: _plain(value) for name, value in row.columns.items() if not name.startswith(PARTS)}
    return {
        "step": step,
        "group": row.group,
        "prompt_id": row.prompt_id,
        "prompt": _plain(row.prompt),
        "target": row.target,
        "level": row.level,
        "text": row.completion.text,
        **row.completion.origin(),
        "reward": row.reward,
        "parts": row.parts,
        "advantage": row.advantage,
        "is_trained": row.advantage is not None,
        "is_resampled": row.is_resampled,
        "is_correct": row.is_correct,
        **({"told": told} if told else {}),
    }


def _plain(value: Any) -> Any:
    """The value, where JSON holds it; else how it prints, cut: what a user's reward tells must not stop the run."""
    try:
        json.dumps(value, allow_nan=False)
    except (TypeError, ValueError, RecursionError):
        return repr(value)[:_ODD_CHARACTERS]
    return value
