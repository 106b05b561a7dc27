"""A trainer run from its last checkpoint, or from the start: what every way of training shares."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lengthctl.train.ranks import is_main, world_size

if TYPE_CHECKING:
    from lengthctl.progress import Narrator
    from lengthctl.rundir import RunFolder

__all__ = ["train_resumably"]


def train_resumably(
    run: RunFolder,
    narrator: Narrator,
    *,
    max_steps: int,
    average_last: int | None,
    build: Callable[[list[Any], Path | None], Any],
    companions: Mapping[str, int] | None = None,
) -> Any:
    """Train to the end and return the trainer.

    Args:
        run: where checkpoints, metrics and samples of training lie; what is newer than the last checkpoint is dropped.
        narrator: shows progress.
        max_steps: of the whole training, 0 or less where only the trainer knows.
        average_last: see `TrainConfig.average_last`.
        build: a trainer from its callbacks and the checkpoint that it goes on from.
        companions: files that a whole checkpoint has, each from a step on.

    Raises:
        KeyboardInterrupt: passed on, once the last whole step is saved.
    """
    from lengthctl.train.averaging import TAIL_FILE, TailAverage, first_averaged_step
    from lengthctl.train.callbacks import InterruptCheckpoint, LiveView, MemoryRelief, MetricsFile, trim_records
    from lengthctl.train.checkpoints import checkpoint_step, last_checkpoint, take_up

    needed = dict(companions or {})
    if average_last and max_steps > 0:
        needed[TAIL_FILE] = first_averaged_step(max_steps, average_last)
    checkpoint = last_checkpoint(run.checkpoints, needed)
    for path in (run.metrics, run.path / "samples" / "rollouts.jsonl") if is_main() else ():
        trim_records(path, checkpoint_step(checkpoint) if checkpoint else 0)
    average = TailAverage(average_last, checkpoint) if average_last else None
    interrupted = InterruptCheckpoint()
    with narrator.bar(max(max_steps, 0), "train") as bar:
        told = [MetricsFile(run.metrics), LiveView(bar)] if is_main() else []
        trainer = build([*told, MemoryRelief(), interrupted, *([average] if average else [])], checkpoint)
        try:
            if checkpoint is None or not take_up(trainer, checkpoint):
                trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
        except KeyboardInterrupt:
            # several processes are not stopped at the same place, and could wait for each other here
            step = interrupted.save(trainer) if world_size() == 1 else None
            if step is not None:
                narrator.say(f"interrupted: step {step} is saved")
            raise
    if average is not None:
        narrator.say(f"the model is the mean of the last {average.apply(trainer.model)} steps")
    return trainer
