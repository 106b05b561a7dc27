"""Every training completion as a record: what was asked, what came, from which weights, what it earned."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from lengthctl.records import RecordWriter
from lengthctl.train.adherence_log import TrainedRow

__all__ = ["RolloutLog"]


class RolloutLog:
    """Appends to `samples/rollouts.jsonl`: step, prompt, target, completion with ids and logprobs, reward."""

    def __init__(self, path: Path) -> None:
        self._writer = RecordWriter(path)

    def write(self, step: int, rows: Iterable[TrainedRow]) -> None:
        """One record a completion of the step that it trains."""
        for prompt_id, target, completion, reward in rows:
            self._writer.write(
                {
                    "step": step,
                    "prompt_id": prompt_id,
                    "target": target,
                    "text": completion.text,
                    **completion.origin(),
                    "reward": reward,
                }
            )
