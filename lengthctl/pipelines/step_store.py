"""Answers that are paid for once: an append-only file of finished calls, found again by what they depend on."""

from __future__ import annotations

import fcntl
import json
import os
import re
from contextlib import suppress
from pathlib import Path
from typing import Any

from lengthctl.decode.flow import Answer
from lengthctl.errors import RunFolderError
from lengthctl.records import SCHEMA, FinishReason

__all__ = ["STEPS_FILE", "STEPS_VERSION", "StepStore"]

STEPS_FILE = "steps.jsonl"
"""Its usual name in the folder of a command."""

STEPS_VERSION = 1
"""Of the records; enters every key."""

_START = b'{"schema": %d, "steps": ' % SCHEMA
_HEAD = re.compile(rb'\{"schema": (\d{1,4}), "steps": (\d{1,4}), "key": "([0-9a-f]{16})", ')
_REMEDY = "Name another folder, or remove the file: its calls are then made again"


class StepStore:
    """Answers by key. On disk as soon as `add` returns, so that no death of the process costs one; a torn last line is
    dropped. In memory are keys and places alone (about 200 bytes a call), texts are read when they are asked for.

    Nothing is changed in a file that is no step store.

    Args:
        path: the file, made where it is missing; locked for this process until `close`.

    Raises:
        RunFolderError: it is in use, of another version, no step store, or cannot be opened.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._places: dict[int, tuple[int, int]] = {}
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file = path.open("a+b")
        except OSError as error:
            raise RunFolderError(
                f"{path} cannot be opened ({error.strerror or error})", "Choose another folder"
            ) from error
        try:
            self._lock()
            self._end = self._read()
            self._file.truncate(self._end)
        except BaseException:
            self._file.close()
            raise

    def __len__(self) -> int:
        return len(self._places)

    def __contains__(self, key: str) -> bool:
        return int(key, 16) in self._places

    def get(self, key: str) -> Answer | None:
        """The answer that was kept under this key (16 hex digits); None where there is none.

        Raises:
            RunFolderError: its record is damaged.
        """
        place = self._places.get(int(key, 16))
        if place is None:
            return None
        line = os.pread(self._file.fileno(), place[1], place[0])
        try:
            kept = json.loads(line)["answer"]
            finish = FinishReason(kept["finish"])
            return Answer(str(kept["text"]), finish, int(kept["tokens"]), int(kept["prompt_tokens"]))
        except (ValueError, TypeError, KeyError) as error:
            raise RunFolderError(f"{self._path}: the record at byte {place[0]} is damaged", _REMEDY) from error

    def add(self, key: str, document: str, call: str, answer: Answer) -> None:
        """Keep an answer; one that is no text (finish ERROR), or whose key is held already, is not kept.

        Raises:
            OSError: it cannot be written; the file is as it was before.
        """
        number = int(key, 16)
        if answer.finish is FinishReason.ERROR or number in self._places:
            return
        kept: dict[str, Any] = {
            "text": answer.text,
            "finish": answer.finish,
            "tokens": answer.tokens,
            "prompt_tokens": answer.prompt_tokens,
        }
        record = {"schema": SCHEMA, "steps": STEPS_VERSION, "key": key, "document": document, "call": call}
        line = json.dumps({**record, "answer": kept}, ensure_ascii=False).encode("utf-8", "replace") + b"\n"
        try:
            written = 0
            while written < len(line):  # past the buffer, which would try a failed write again at the end
                written += os.write(self._file.fileno(), line[written:])
        except OSError:
            with suppress(OSError):
                self._file.truncate(self._end)
            raise
        self._places[number] = (self._end, len(line))
        self._end += len(line)

    def close(self) -> None:
        """Flush to disk, unlock and close; safe to call twice."""
        if self._file.closed:
            return
        os.fsync(self._file.fileno())
        self._file.close()

    def __enter__(self) -> StepStore:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _lock(self) -> None:
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise RunFolderError(
                f"{self._path} is in use by another command", "Wait for it, or name another folder"
            ) from error

    def _read(self) -> int:
        """Find every record; the byte behind the last whole one."""
        end = 0
        self._file.seek(0)
        for number, line in enumerate(self._file, 1):
            if not line.endswith(b"\n"):
                if not (line.startswith(_START) or _START.startswith(line)):
                    raise RunFolderError(f"{self._path}:{number} is no record of a step", _REMEDY)
                break
            found = _HEAD.match(line)
            if found is None:
                raise RunFolderError(f"{self._path}:{number} is no record of a step", _REMEDY)
            if (int(found[1]), int(found[2])) != (SCHEMA, STEPS_VERSION):
                told = f"{self._path}:{number} is of version {int(found[1])}.{int(found[2])} of the step store"
                raise RunFolderError(f"{told}, this program reads {SCHEMA}.{STEPS_VERSION}", _REMEDY)
            self._places.setdefault(int(found[3], 16), (end, len(line)))
            end += len(line)
        return end
