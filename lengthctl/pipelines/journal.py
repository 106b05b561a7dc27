"""Rows that are made once: a JSONL file that an interrupted command goes on with."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lengthctl.errors import RunFolderError
from lengthctl.records import SCHEMA, RecordWriter
from lengthctl.rundir import write_atomic

if TYPE_CHECKING:
    from lengthctl.config import Config

__all__ = ["Journal", "digest", "source_identity"]

_LINE_START = b'{"schema": '


def digest(*parts: Any) -> str:
    """16 hex digits of what a row depends on; each part is anything that JSON can write."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True, ensure_ascii=True).encode()).hexdigest()[:16]


def source_identity(config: Config) -> list[Any]:
    """What tells one source of completions from another: the model and its files' times, or the endpoint."""
    endpoint = config.rollout.endpoint
    if endpoint is not None:
        return [config.rollout.backend, endpoint.base_url, endpoint.model]
    name = Path(config.model.name).expanduser()
    files = sorted(name.glob("*.safetensors")) if name.is_dir() else []
    times = [[file.name, file.stat().st_mtime_ns, file.stat().st_size] for file in files]
    return [config.rollout.backend, config.model.model_dump(mode="json"), times]


class Journal:
    """Rows with an `id` and a `key`, the digest of all that they depend on. What stands in the file is kept byte for
    byte; a torn last line is dropped, and its row made again. Nothing is changed in a file that is no journal.

    Args:
        path: the file; None keeps nothing.
        keys: the rows that are wanted, by id, with their keys. Others of the file are refused.

    Raises:
        RunFolderError: the file holds rows of other settings, or is no journal.
    """

    def __init__(self, path: Path | None, keys: Mapping[str, str]) -> None:
        self._path = path
        self._lines: dict[str, str] = {}
        self._failed: dict[str, str] = {}
        self._writer: RecordWriter | None = None
        if path is None:
            return
        if path.exists():
            self._read(path, keys)
        self._writer = RecordWriter(path)  # it drops a torn last line

    def _read(self, path: Path, keys: Mapping[str, str]) -> None:
        *lines, torn = path.read_bytes().split(b"\n")
        if torn and not (torn.startswith(_LINE_START) or _LINE_START.startswith(torn)):
            raise RunFolderError(f"{path} is no file of this command", "Name another")
        for number, line in enumerate(lines, 1):
            row = _row(line)
            if row is None or keys.get(row["id"]) != row.get("key"):
                raise RunFolderError(
                    f"{path}:{number} is of another command, or of other settings",
                    "Name another file or folder, or remove it",
                )
            self._lines[row["id"]] = line.decode()

    def __contains__(self, row_id: str) -> bool:
        return row_id in self._lines

    def __len__(self) -> int:
        return len(self._lines)

    def add(self, row: Mapping[str, Any]) -> None:
        """Keep a row, on disk at once."""
        if self._writer is not None:
            self._writer.write(row)
        self._lines[row["id"]] = json.dumps({"schema": SCHEMA, **row}, ensure_ascii=False)

    def fail(self, row: Mapping[str, Any]) -> None:
        """A row that could not be made: told by `rows`, but not kept, so that it is tried again."""
        self._failed[row["id"]] = json.dumps({"schema": SCHEMA, **row}, ensure_ascii=False)

    def rows(self, order: Sequence[str]) -> list[dict[str, Any]]:
        """The rows of these ids that there are, in this order."""
        lines = {**self._failed, **self._lines}
        return [json.loads(lines[row_id]) for row_id in order if row_id in lines]

    def finish(self, order: Sequence[str]) -> None:
        """Put the file's rows in this order."""
        self.close()
        if self._path is not None:
            write_atomic(self._path, "".join(f"{self._lines[i]}\n" for i in order if i in self._lines))

    def close(self) -> None:
        """Flush and close; safe to call twice."""
        if self._writer is not None:
            self._writer.close()
            self._writer = None


def _row(line: bytes) -> dict[str, Any] | None:
    if not line.startswith(_LINE_START):
        return None
    try:
        row = json.loads(line)
    except ValueError:
        return None
    return row if isinstance(row, dict) and isinstance(row.get("id"), str) else None
