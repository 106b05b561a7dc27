"""Rows that are made once: a JSONL file that an interrupted command goes on with."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from lengthctl.errors import RunFolderError
from lengthctl.records import SCHEMA, RecordWriter
from lengthctl.rundir import write_atomic

__all__ = ["Journal", "digest"]


def digest(*parts: Any) -> str:
    """16 hex digits of what a row depends on; each part is anything that JSON can write."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True, ensure_ascii=True).encode()).hexdigest()[:16]


class Journal:
    """Rows with an `id` and a `key`, the digest of all that they depend on. What stands in the file is kept byte for
    byte; a torn last line is dropped, and its row made again.

    Args:
        path: the file; None keeps nothing.
        keys: the rows that are wanted, by id, with their keys.

    Raises:
        RunFolderError: the file holds rows of other settings, or is no journal.
    """

    def __init__(self, path: Path | None, keys: Mapping[str, str]) -> None:
        self._path = path
        self._lines: dict[str, str] = {}
        self._writer = None if path is None else RecordWriter(path)  # it drops a torn last line
        if path is not None:
            for number, line in enumerate(path.read_bytes().decode("utf-8", "replace").split("\n")[:-1], 1):
                row = _row(line)
                if row is None or row.get("id") not in keys or row.get("key") != keys[row["id"]]:
                    self.close()
                    raise RunFolderError(
                        f"{path}:{number} is of another command, or of other settings",
                        "Name another file or folder, or remove it",
                    )
                self._lines[row["id"]] = line

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
        """A row that could not be made: told, but not kept on disk, so that it is tried again."""
        self._lines[row["id"]] = json.dumps({"schema": SCHEMA, **row}, ensure_ascii=False)

    def rows(self, order: Sequence[str]) -> list[dict[str, Any]]:
        """The rows of these ids that there are, in this order."""
        return [json.loads(self._lines[row_id]) for row_id in order if row_id in self._lines]

    def finish(self, order: Sequence[str]) -> None:
        """All is done: put the file's rows in this order."""
        self.close()
        if self._path is not None:
            write_atomic(self._path, "".join(f"{self._lines[i]}\n" for i in order if i in self._lines))

    def close(self) -> None:
        """Flush and close; safe to call twice."""
        if self._writer is not None:
            self._writer.close()
            self._writer = None


def _row(line: str) -> dict[str, Any] | None:
    try:
        row = json.loads(line)
    except ValueError:
        return None
    return row if isinstance(row, dict) and isinstance(row.get("id"), str) else None
