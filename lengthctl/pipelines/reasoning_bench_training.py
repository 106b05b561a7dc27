"""Methods of a bench that train: each in a process and a run folder of its own, gone on with where it was."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lengthctl.errors import LengthctlError, RunFolderError
from lengthctl.records import read_records
from lengthctl.rundir import RESOLVED_CONFIG, write_json

if TYPE_CHECKING:
    from lengthctl.pipelines.reasoning_bench_plan import TrainingJob
    from lengthctl.progress import Narrator

__all__ = ["RunCommand", "Trained", "TrainingFailedError", "read_trained", "run_lengthctl", "train_method"]

RunCommand = Callable[[Sequence[str]], int]
"""Runs `lengthctl` with these words, and gives its exit code."""
_INTERRUPTED = 130
_LAST_WORDS_S = 120.0
"""That an interrupted command gets to save what it has."""


class TrainingFailedError(LengthctlError, RuntimeError):
    """A method's data or training came to nothing; the other methods of the bench go on."""


@dataclass(frozen=True)
class Trained:
    """What the training of a method took."""

    seconds: float
    """Of all its commands and sittings, measuring before and after included; a sitting that was killed is missing."""
    train_minutes: float | None
    """Of the update steps with their rollouts, as the run's summary has them."""
    tokens: int | None
    """Trained on, or drawn and trained on, as the trainer counted them."""

    def to_row(self) -> dict[str, Any]:
        """A JSON object."""
        return asdict(self)


def run_lengthctl(words: Sequence[str]) -> int:
    """Run a command of ours in a process of its own; its results go to stderr, where its narration is.

    A process of its own gives all memory back, and one that is killed ends its method only. An interrupt is handed on,
    and waited for.
    """
    stderr = 2
    command = [sys.executable, "-m", "lengthctl", *words]
    # in a session of its own Ctrl-C does not reach it beside our signal: a second one would break off its last words
    process = subprocess.Popen(command, stdout=stderr, start_new_session=True)
    try:
        return process.wait()
    except BaseException:
        process.send_signal(signal.SIGTERM)
        try:
            with suppress(subprocess.TimeoutExpired):
                process.wait(_LAST_WORDS_S)
        finally:  # its time is up, or a second interrupt came: it must not train on alone
            process.kill()
            process.wait()
        raise


def train_method(job: TrainingJob, run: RunCommand, narrator: Narrator) -> Trained:
    """Make a method's data and train it, or what is left of that; nothing where it is done.

    Raises:
        TrainingFailedError: a command failed; what it said stands above.
        RunFolderError: the folder holds a training with other settings.
        KeyboardInterrupt: a command was interrupted.
    """
    file, key = _file(job), job.key
    kept = _kept(file)
    if kept is not None and kept["key"] != key:
        raise RunFolderError(
            f"{job.folder} was trained with other settings", f"Remove it and {file}, or name another --out"
        )
    spent = 0.0 if kept is None else float(kept["seconds"])
    if _is_finished(job.folder):
        return _trained(job, spent)
    write_json(file, {"key": key, "seconds": spent})
    for words in _owed(job):
        narrator.say(f"{job.method}, seed {job.seed}: lengthctl {' '.join(words)}")
        started = time.monotonic()
        try:
            code = run(words)
        finally:
            spent += time.monotonic() - started
            write_json(file, {"key": key, "seconds": spent})
        if code == _INTERRUPTED:
            raise KeyboardInterrupt
        if code:
            raise TrainingFailedError(f"`lengthctl {' '.join(words[:3])} ...` ended with exit code {code}")
    if not _is_finished(job.folder):
        raise TrainingFailedError(f"{job.folder} holds no model after its training")
    return _trained(job, spent)


def read_trained(job: TrainingJob) -> Trained | None:
    """What a finished training with these settings took; None where there is none."""
    kept = _kept(_file(job))
    if kept is None or kept["key"] != job.key or not _is_finished(job.folder):
        return None
    return _trained(job, float(kept["seconds"]))


def _owed(job: TrainingJob) -> list[tuple[str, ...]]:
    if (job.folder / RESOLVED_CONFIG).is_file():
        return [("train", "--resume", str(job.folder))]
    return [*job.before, ("train", job.recipe, *job.overrides)]


def _file(job: TrainingJob) -> Path:
    return job.folder.with_name(f"{job.folder.name}.bench.json")


def _kept(file: Path) -> dict[str, Any] | None:
    if not file.is_file():
        return None
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
        return {"key": str(found["key"]), "seconds": float(found["seconds"])}
    except (ValueError, KeyError, TypeError) as error:
        raise RunFolderError(f"{file} is torn", "Remove it") from error


def _is_finished(folder: Path) -> bool:
    return (folder / "summary.json").is_file() and (folder / "model").is_dir()


def _trained(job: TrainingJob, seconds: float) -> Trained:
    minutes = json.loads((job.folder / "summary.json").read_text(encoding="utf-8")).get("minutes", {}).get("train")
    tokens, metrics = None, job.folder / "metrics.jsonl"
    for _, record in read_records(metrics, allow_torn_tail=True) if metrics.is_file() else ():
        if record.get("split") == "train" and isinstance(record.get("num_tokens"), int | float):
            tokens = int(record["num_tokens"])
    return Trained(seconds, float(minutes) if isinstance(minutes, int | float) else None, tokens)
