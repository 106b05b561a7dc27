"""Rows that supervised training reads besides instruction data: pairs in TRL's preference form, and plain texts."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from lengthctl.errors import DataError

__all__ = ["read_pairs", "read_texts"]

Rows = Iterable[tuple[str, Mapping[str, Any]]]
"""`(where, row)`, as `read_rows` gives them."""

_PAIR = ("prompt", "chosen", "rejected")


def read_pairs(rows: Rows) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """The rows, each with messages in `prompt`, `chosen` and `rejected`.

    Raises:
        DataError: one is of another form; `where` begins the message.
    """
    remedy = "Give pairs as `lengthctl data pairs` writes them"
    for where, row in rows:
        if missing := [key for key in _PAIR if not isinstance(row.get(key), list)]:
            raise DataError(f"{where}: no messages in {', '.join(missing)}", remedy)
        for key in _PAIR:
            if (fault := _fault(row[key], "user" if key == "prompt" else "assistant")) is not None:
                raise DataError(f"{where}: {key} {fault}", remedy)
        yield where, row


def _fault(messages: Sequence[Any], last: str) -> str | None:
    for message in messages:
        if not isinstance(message, Mapping) or not all(isinstance(message.get(k), str) for k in ("role", "content")):
            return "is no list of messages with role and content, both texts"
    if not messages:
        return "is empty"
    if messages[-1]["role"] != last:
        return f"ends with the role {messages[-1]['role']!r}, and {last} is needed"
    return None


def read_texts(rows: Rows) -> Iterator[tuple[str, str]]:
    """`(where, text)` of rows with a column `text`.

    Raises:
        DataError: a row without one.
    """
    for where, row in rows:
        if not isinstance(text := row.get("text"), str):
            raise DataError(f"{where}: no `text`", "data.form = text learns from a column `text`")
        yield where, text
