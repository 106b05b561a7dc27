"""Which checkpoint a run goes on from, and how one that is already the last is taken up."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

__all__ = ["checkpoint_step", "last_checkpoint", "take_up"]


def checkpoint_step(checkpoint: Path) -> int:
    """Steps that were done when it was written."""
    return int(checkpoint.name.rpartition("-")[2])


def last_checkpoint(folder: Path, companions: Mapping[str, int] | None = None) -> Path | None:
    """The newest checkpoint that was written to its end; None where there is none.

    transformers writes the trainer's state last. `companions` are files that our callbacks add after it, each with the
    step from which on a checkpoint must have it.
    """
    wanted = {"trainer_state.json": 0, **(companions or {})}
    whole = [
        path
        for path in folder.glob("checkpoint-*")
        if all((path / name).is_file() for name, first in wanted.items() if checkpoint_step(path) >= first)
    ]
    return max(whole, key=checkpoint_step, default=None)


def take_up(trainer: Any, checkpoint: Path) -> bool:
    """Load a checkpoint of the last step and return True; False, with nothing done, where steps are still owed.

    transformers (5.17) trains one step more when it is resumed after the last.
    """
    from transformers import TrainerState

    state = TrainerState.load_from_json(str(checkpoint / "trainer_state.json"))
    steps = trainer.args.max_steps if trainer.args.max_steps > 0 else state.max_steps
    if state.global_step < steps:
        return False
    trainer._load_from_checkpoint(str(checkpoint))
    trainer.state = state
    trainer.callback_handler.on_train_begin(trainer.args, state, trainer.control)
    return True
