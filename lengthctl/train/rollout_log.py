"""Every training completion as a record: what was asked, what came, from which weights, what it earned."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from lengthctl.records import Completion, RecordWriter

__all__ = ["RolloutLog"]


class RolloutLog:
    """Appends to `samples/rollouts.jsonl`: step, prompt, target, completion with ids and logprobs, reward."""

    def __init__(self, path: Path) -> None:
        self._writer = RecordWriter(path)

    def write(
        self,
        step: int,
        rows: Sequence[Mapping[str, Any]],
        completions: Sequence[Completion],
        rewards: Sequence[float | None],
    ) -> None:
        """One record a completion of the step that it trains."""
        for row, completion, reward in zip(rows, completions, rewards, strict=True):
            self._writer.write(
                {
                    "step": step,
                    "prompt_id": row.get("prompt_id"),
                    "target": row.get("target"),
                    "text": completion.text,
                    **completion.origin(),
                    "reward": reward,
                }
            )
