"""The run folder: where everything of a run lies, who may use it, and how files are replaced whole or not at all."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from lengthctl.config import Config, explained_yaml, parse_yaml
from lengthctl.errors import RunFolderError

__all__ = ["RESOLVED_CONFIG", "RunFolder", "lock_folder", "replacing", "write_atomic", "write_json"]

RESOLVED_CONFIG = "config.resolved.yaml"
"""The file that makes a folder a run: its whole config, defaults filled in."""


_RESULTS = ("summary.json", "report.html")
_CONTENTS = (
    *(RESOLVED_CONFIG, "env.json", "error.txt", "metrics.jsonl", "prompts.json", "stages.json", *_RESULTS),
    *("adapter", "checkpoints", "model", "samples"),
)
"""All that a run writes; nothing else is ever removed."""
_OF_A_START = {".lock", "env.json", "error.txt", "prompts.json", "stages.json"}
"""What a start leaves that failed before the run began."""


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Where to write what takes the place of a file behind the block: a reader sees the old file or the new one, and
    what cannot be written leaves nothing. The folder is made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.part")
    try:
        yield part
        os.replace(part, path)
    except OSError:
        part.unlink(missing_ok=True)
        raise


def write_atomic(path: Path, text: str) -> None:
    """`replacing` with a text."""
    with replacing(path) as part:
        part.write_text(text, encoding="utf-8")


def write_json(path: Path, value: Any) -> None:
    """`write_atomic` of an indented JSON document."""
    write_atomic(path, json.dumps(value, indent=2, ensure_ascii=False) + "\n")


class RunFolder:
    """An open run folder, locked for this process until `close`; a trainer process that joins one holds no lock."""

    def __init__(self, path: Path, lock: IO[str] | None, config: Config | None = None) -> None:
        self.path = path
        self._lock = lock
        self._config = config
        self._more_steps = False
        self.checkpoints = path / "checkpoints"
        self.metrics = path / "metrics.jsonl"
        self.model_dir = path / "model"
        self.report = path / "report.html"
        self.summary = path / "summary.json"
        self.stages = path / "stages.json"

    @classmethod
    def create(cls, config: Config, name: str, *, clean: bool = False) -> RunFolder:
        """A new folder for a config; `clean` removes what an earlier run has written there. It counts as used from
        `begin` on.

        Raises:
            RunFolderError: the folder is used, or another process holds it.
        """
        path = Path(config.run.dir) / (config.run.name or name)
        used = (path / RESOLVED_CONFIG).exists()
        entries = set() if used or not path.is_dir() else {entry.name for entry in path.iterdir()}
        if foreign := sorted(entries - _OF_A_START):
            raise RunFolderError(f"{path} holds files of others ({foreign[0]})", "Choose another run.name or run.dir")
        run = cls(path, lock_folder(path), config)
        if used and not clean:
            run.close()
            raise RunFolderError(
                f"{path} holds a run",
                f"Go on with `--resume {path}`, empty it with `--clean`, or choose another run.name",
            )
        for name in _CONTENTS if used else _OF_A_START - {".lock"}:
            entry = path / name
            if entry.is_dir() and not entry.is_symlink():
                shutil.rmtree(entry)
            else:
                entry.unlink(missing_ok=True)
        return run

    @classmethod
    def resume(cls, path: Path, config: Config) -> RunFolder:
        """A used folder, to go on under the same config; only `trainer.max_steps` may be raised. Nothing is changed
        before `begin`.

        Raises:
            RunFolderError: no run there, in use, or another config; the difference is shown.
        """
        file = path / RESOLVED_CONFIG
        if not file.is_file():
            raise RunFolderError(f"{path} holds no run", "Start one with `lengthctl train CONFIG`")
        run = cls(path, lock_folder(path), config)
        found = _flat(parse_yaml(file.read_text(encoding="utf-8"), str(file)))
        wanted = _flat(config.model_dump(mode="json", by_alias=True))
        steps = "trainer.max_steps"
        place = {"run.dir", "run.name"}  # the folder itself was named
        changed = sorted(k for k in {*found, *wanted} - place if found.get(k) != wanted.get(k))
        refused = [k for k in changed if k != steps or (wanted.get(k) or 0) < (found.get(k) or 0)]
        if refused:
            run.close()
            shown = "; ".join(f"{k}: {found.get(k)!r} -> {wanted.get(k)!r}" for k in refused[:5])
            raise RunFolderError(
                f"{path} was started with another config ({shown})", "Only trainer.max_steps may be raised on resume"
            )
        run._more_steps = steps in changed
        return run

    @property
    def is_finished(self) -> bool:
        """Its results are there, and no more steps are asked for."""
        return self.summary.is_file() and not self._more_steps

    def begin(self) -> None:
        """All that a start can fail at is past: keep the config, and drop the results of fewer steps."""
        if self._config is not None:
            write_atomic(self.path / RESOLVED_CONFIG, explained_yaml(self._config))
        for name in _RESULTS if self._more_steps else ():
            (self.path / name).unlink(missing_ok=True)

    def close(self) -> None:
        """Let others use the folder."""
        if self._lock is not None:
            self._lock.close()


def lock_folder(path: Path, other: str = "choose another run.name") -> IO[str]:
    """Make a folder where it is missing, and hold it for this process until the file is closed.

    Args:
        path: the folder.
        other: what else the user can do when it is in use.

    Raises:
        RunFolderError: it cannot be made, or another process holds it.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RunFolderError(f"{path} cannot be made ({error.strerror})", "Choose another place") from error
    file = (path / ".lock").open("a+", encoding="utf-8")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        file.seek(0)
        owner = file.read().strip() or "another process"
        file.close()
        raise RunFolderError(f"{path} is in use by process {owner}", f"Wait for it, or {other}") from error
    file.truncate(0)
    file.write(str(os.getpid()))
    file.flush()
    return file


def _flat(value: Any, prefix: str = "") -> dict[str, Any]:
    if isinstance(value, dict):
        return {k: v for key, item in value.items() for k, v in _flat(item, f"{prefix}{key}.").items()}
    return {prefix.rstrip("."): value}
