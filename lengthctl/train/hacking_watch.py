"""Watches a run for a policy that games its reward, and says so once a cause, with what to do."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from transformers import TrainerCallback

from lengthctl.hacking import HackingSigns
from lengthctl.records import read_records

if TYPE_CHECKING:
    from lengthctl.progress import Narrator

__all__ = ["HackingWatch"]


class HackingWatch(TrainerCallback):  # type: ignore[misc]  # transformers is untyped here
    """Warns of the signs of `lengthctl.hacking`.

    Args:
        narrator: told of each finding.
        metrics: `metrics.jsonl` of a resumed run: its steps count, and what they showed is not told again.
    """

    def __init__(self, narrator: Narrator, metrics: Path | None = None) -> None:
        self._narrator = narrator
        self._signs = HackingSigns()
        if metrics is not None and metrics.is_file():
            for _, record in read_records(metrics, allow_torn_tail=True):
                if record.get("split") == "train":
                    self._signs.look(int(record.get("step", 0)), record)

    def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, Any] | None = None, **_: Any) -> None:
        """Look at the numbers of one step; an evaluation's have other names."""
        for finding in self._signs.look(state.global_step, logs or {}):
            self._narrator.say(f"warning, step {state.global_step}: {finding}")
