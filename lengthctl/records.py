"""Records: one JSON object a line, appended whole and flushed; a torn last line is work still owed."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from lengthctl.errors import DataError

__all__ = ["SCHEMA", "Completion", "FinishReason", "RecordWriter", "read_records"]

SCHEMA = 1
"""Version of the record layout; stands in every line as `schema`."""
_BLOCK = 1 << 16


class FinishReason(StrEnum):
    """Why a completion ended."""

    EOS = "eos"
    """The model ended it."""
    LIMIT = "limit"
    """The cap on completion tokens ended it: a truncation."""
    REWARD_CEILING = "reward_ceiling"
    """Stopped by us because its reward could not change any more."""
    CLOSED = "closed"
    """A control ended it where it wanted."""
    BUDGET = "budget"
    """Reasoning tokens were used up and an answer was forced."""
    ERROR = "error"
    """No usable completion; `Completion.error` says why."""


@dataclass(frozen=True)
class Completion:
    """What one request produced. `token_ids` hold the stop token; `text` does not.

    `logprobs` has one value a token (of the processed distribution), or is empty where the backend gives none.
    """

    request_id: str
    text: str
    token_ids: tuple[int, ...]
    logprobs: tuple[float, ...]
    finish: FinishReason
    weight_version: int = 0
    engine: str = ""
    error: str | None = None
    stopped_at: int | None = None
    """Tokens after which its reward could not change any more, as far as that was looked at."""
    reported_tokens: int = 0
    """Completion tokens as an endpoint tells them."""
    reported_prompt_tokens: int = 0
    """Prompt tokens as an endpoint tells them."""

    @property
    def tokens(self) -> int:
        """Completion tokens, as far as they are known."""
        return len(self.token_ids) or self.reported_tokens

    @property
    def is_truncated(self) -> bool:
        """The limit or we ended it, not the model."""
        return self.finish in (FinishReason.LIMIT, FinishReason.REWARD_CEILING)

    def origin(self) -> dict[str, Any]:
        """Fields of a record that say where it came from and how it ended; logprobs to four places."""
        return {
            "token_ids": list(self.token_ids),
            "logprobs": [round(value, 4) for value in self.logprobs],
            "finish": self.finish,
            "error": self.error,
            "stopped_at": self.stopped_at,
            "weight_version": self.weight_version,
            "engine": self.engine,
        }


class RecordWriter:
    """Append records to a JSONL file; safe to stop at any byte.

    Opening drops a torn last line, so that its item is done again.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        _drop_torn_tail(path)
        self._file = path.open("a", encoding="utf-8")

    def write(self, record: Mapping[str, Any]) -> None:
        """Append one record as a whole line and hand it to the operating system."""
        self._file.write(json.dumps({"schema": SCHEMA, **record}, ensure_ascii=False) + "\n")
        self._file.flush()

    def close(self) -> None:
        """Flush to disk and close."""
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()

    def __enter__(self) -> RecordWriter:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def read_records(path: Path, *, allow_torn_tail: bool = False) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield `(line number, record)`; blank lines are passed over.

    Args:
        path: a JSONL file, UTF-8; split on "\\n" only.
        allow_torn_tail: leave out an incomplete last line instead of raising.

    Raises:
        DataError: the file is missing, or a line is no JSON object.
    """
    try:
        file = path.open("rb")
    except OSError as error:
        raise DataError(f"{path}: {error.strerror or error}", "Check the path") from error
    with file:
        for number, raw in enumerate(file, 1):
            if not raw.strip():
                continue
            try:
                record = json.loads(raw)
            except (ValueError, RecursionError) as error:  # no JSON, no UTF-8, a number or a nesting without end
                if allow_torn_tail and not raw.endswith(b"\n"):
                    return
                raise DataError(f"{path}:{number}: not valid JSON ({error})", "Mend or remove that line") from error
            if not isinstance(record, dict):
                raise DataError(f"{path}:{number}: a JSON object is needed, found {type(record).__name__}")
            yield number, record


def _drop_torn_tail(path: Path) -> None:
    """From the end, a block at a time: the file may be larger than memory."""
    if not path.exists():
        return
    with path.open("rb+") as file:
        size = end = file.seek(0, os.SEEK_END)
        while end:
            start = max(0, end - _BLOCK)
            file.seek(start)
            line_end = file.read(end - start).rfind(b"\n")
            if line_end >= 0:
                end = start + line_end + 1
                break
            end = start
        if end < size:
            file.truncate(end)
