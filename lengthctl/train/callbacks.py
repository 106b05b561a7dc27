"""What watches a training run: the metrics file and the live view."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

from transformers import TrainerCallback

from lengthctl.memory import memory_is_short, release_freed_memory, total_memory
from lengthctl.records import RecordWriter, read_records
from lengthctl.rundir import write_atomic

if TYPE_CHECKING:
    from lengthctl.progress import Bar

__all__ = ["InterruptCheckpoint", "LiveView", "MemoryRelief", "MetricsFile", "trim_records"]


class MetricsFile(TrainerCallback):  # type: ignore[misc]  # transformers is untyped here
    """Append every log of the trainer to `metrics.jsonl`, one record a step and split."""

    def __init__(self, path: Path) -> None:
        self._writer = RecordWriter(path)

    def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, Any] | None = None, **_: Any) -> None:
        """Write finite numbers; the summary that ends a training is left out."""
        if not logs or "train_runtime" in logs:
            return
        numbers = {k: v for k, v in logs.items() if isinstance(v, int | float) and math.isfinite(v)}
        is_eval = any(key.startswith("eval_") for key in numbers)
        plain = {key.removeprefix("eval_"): value for key, value in numbers.items()}
        self._writer.write({"step": state.global_step, "split": "eval" if is_eval else "train", **plain})

    def on_train_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Close the file."""
        self._writer.close()


class InterruptCheckpoint(TrainerCallback):  # type: ignore[misc]
    """Saves what was learned when a run is interrupted, so that at most the step under way is done again.

    `save` does nothing while the weights are between two steps of the optimizer: the last checkpoint counts then.
    """

    def __init__(self) -> None:
        self._is_whole = False

    def on_pre_optimizer_step(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """The weights are about to change."""
        self._is_whole = False

    def on_step_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """The step before is over, its log and evaluation too."""
        self._is_whole = state.global_step > 0

    def save(self, trainer: Any) -> int | None:
        """Write a checkpoint of the last whole step, unless there is one; returns that step."""
        step = int(trainer.state.global_step)
        folder = Path(trainer.args.output_dir) / f"checkpoint-{step}"
        if not self._is_whole or (folder / "trainer_state.json").is_file():
            return None
        trainer._save_checkpoint(trainer.model, trial=None)
        trainer.callback_handler.on_save(trainer.args, trainer.state, trainer.control)
        return step


class MemoryRelief(TrainerCallback):  # type: ignore[misc]
    """Gives freed memory back between steps while the machine is short of it: batches of many shapes leave blocks that
    fit no later one, and 600-token rows of a 135M model grew a process from 4 to 11 GiB in 190 steps."""

    def on_step_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Little is in use at this point."""
        if memory_is_short():
            release_freed_memory()


class LiveView(TrainerCallback):  # type: ignore[misc]
    """One progress line: step, reward or loss, deviation, tokens a second of rollout and training, memory of all
    processes."""

    def __init__(self, bar: Bar) -> None:
        self._bar = bar

    def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, Any] | None = None, **_: Any) -> None:
        """Show the numbers that matter."""
        if not logs or not ("reward" in logs or "loss" in logs):
            return
        deviation = next(
            (v for k, v in logs.items() if k.endswith("/mean_abs_relative_deviation") and "/target_" not in k), None
        )
        self._bar.update(
            state.global_step,
            total=state.max_steps,
            **({"reward": logs["reward"]} if "reward" in logs else {"loss": logs["loss"]}),
            deviation=deviation,
            rollout_tok_s=logs.get("speed/rollout_tokens_per_second"),
            train_tok_s=logs.get("speed/train_tokens_per_second"),
            memory_gib=total_memory() / 2**30,
        )


def trim_records(path: Path, last_step: int) -> None:
    """Drop records after `last_step`: a resumed run does those steps again.

    Raises:
        DataError: a line other than the last is torn.
    """
    if not path.exists():
        return
    kept = [record for _, record in read_records(path, allow_torn_tail=True) if record.get("step", 0) <= last_step]
    write_atomic(path, "".join(json.dumps(record) + "\n" for record in kept))
