"""An interrupt at a known moment of a training."""

from __future__ import annotations

from typing import Any

from transformers import TrainerCallback


class StopAfterSaving(TrainerCallback):
    """Ctrl-C once the checkpoint of a step is written."""

    def __init__(self, step: int) -> None:
        self.step = step

    def on_save(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        if state.global_step == self.step:
            raise KeyboardInterrupt
