"""What was decided about every row of a source, in a file: a killed command goes on behind the last whole line.

The file is JSON Lines: a header with the key of all settings that a decision depends on, then a line a row in the order
of the sources. It stays beside the data that it led to.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import IO, Any

from lengthctl.errors import RunFolderError
from lengthctl.records import SCHEMA, RecordWriter, read_records

__all__ = ["Decisions", "json_line", "replaced_file"]

_CHUNK = 1 << 20
_KEY = "decisions"


class Decisions:
    """The decisions in a file.

    Args:
        path: the file; made when missing.
        key: digest of the settings and versions that a decision depends on.

    Raises:
        RunFolderError: the file is of other settings, or of another command; nothing is changed then.
    """

    def __init__(self, path: Path, key: str) -> None:
        self._path = path
        lines = 0
        if path.exists() and path.stat().st_size:
            lines = _whole_lines(path)
            self._check_header(lines, key)
        self._kept = max(0, lines - 1)
        self._writer: RecordWriter | None = RecordWriter(path)  # it drops a torn last line
        if not lines:
            self._writer.write({_KEY: key})

    def _check_header(self, lines: int, key: str) -> None:
        remedy = f"Remove {self._path}, or name another folder"
        if not lines:
            start = f'{{"schema": {SCHEMA}, "{_KEY}": "'.encode()
            with self._path.open("rb") as file:
                head = file.read(len(start))
            if not (head.startswith(start) or start.startswith(head)):
                raise RunFolderError(f"{self._path} is no file of decisions", remedy)
            return
        _, header = next(read_records(self._path))
        if header.get(_KEY) != key:
            raise RunFolderError(f"{self._path} was written with other settings or versions", remedy)

    def record(self, rows: Iterable[Any], digest_of: Callable[[Any], str], decide: Callable[[Any], Any]) -> int:
        """Decide about every row that the file has nothing on; how many rows there are.

        Args:
            rows: of all sources, in the order of the last time.
            digest_of: content of a row, which must be that of the last time.
            decide: a JSON object a row; `digest` is added to it.

        Raises:
            RunFolderError: a row is not that of the last time, or rows are missing.
        """
        assert self._writer is not None
        earlier, number = self._earlier(), 0
        for number, row in enumerate(rows, 1):
            digest, kept = digest_of(row), next(earlier, None)
            if kept is None:
                self._writer.write({"digest": digest, **decide(row)})
            elif kept.get("digest") != digest:
                raise RunFolderError(
                    f"{self._path}: row {number} of the sources is not what it was", "Remove the file, and start again"
                )
        if number < self._kept:
            raise RunFolderError(
                f"{self._path} knows {self._kept} rows, the sources have {number}", "Remove the file, and start again"
            )
        self.close()
        return number

    def _earlier(self) -> Iterator[dict[str, Any]]:
        """The rows that the file has had when it was opened: it grows while this reads."""
        return (line for _, line in islice(read_records(self._path), 1, 1 + self._kept))

    def lines(self) -> Iterator[tuple[int, dict[str, Any]]]:
        """`(offset, decision)` of every row, for `at`."""
        with self._path.open("rb") as file:
            offset = len(file.readline())
            for line in file:
                yield offset, json.loads(line)
                offset += len(line)

    @contextmanager
    def reader(self) -> Iterator[Callable[[int], dict[str, Any]]]:
        """Gives the decision at an offset."""
        with self._path.open("rb") as file:

            def at(offset: int) -> dict[str, Any]:
                file.seek(offset)
                found: dict[str, Any] = json.loads(file.readline())
                return found

            yield at

    def close(self) -> None:
        """Flush; safe to call twice."""
        if self._writer is not None:
            self._writer.close()
            self._writer = None


def _whole_lines(path: Path) -> int:
    with path.open("rb") as file:
        return sum(chunk.count(b"\n") for chunk in iter(lambda: file.read(_CHUNK), b""))


@contextmanager
def replaced_file(path: Path) -> Iterator[IO[str]]:
    """A text file that takes its place when it is whole; a fault leaves the one that was there."""
    part = path.with_name(f".{path.name}.part")
    with part.open("w", encoding="utf-8", newline="\n") as file:
        yield file
    os.replace(part, path)


def json_line(row: Mapping[str, Any]) -> str:
    """A row of a JSONL file."""
    return json.dumps(row, ensure_ascii=False) + "\n"
