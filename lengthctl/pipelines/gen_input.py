"""The prompts of `lengthctl gen`: one on the command line, a file, or lines on the standard input."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TextIO

from lengthctl.errors import DataError
from lengthctl.length import Target, Unit
from lengthctl.pipelines.generation import GenItem, item_id
from lengthctl.pipelines.target_cells import parse_cell
from lengthctl.pipelines.text_files import MAX_LINE_BYTES, read_rows
from lengthctl.prompt_sources import as_messages
from lengthctl.registry import did_you_mean

__all__ = ["items_from_file", "items_from_lines", "items_from_prompts"]


def items_from_prompts(prompts: Sequence[str], target: Target | None) -> list[GenItem]:
    """Prompts as texts.

    Raises:
        DataError: an empty one.
    """
    return _items((({"prompt": p}, f"prompt {i}") for i, p in enumerate(prompts, 1)), "prompt", target, Unit.WORDS)


def items_from_file(path: Path, column: str, target: Target | None, unit: Unit = Unit.WORDS) -> list[GenItem]:
    """A file with a prompt a row: text or messages in `column`, and, if it is there, `target` and `id`.

    Raises:
        DataError: the file cannot be read, or a row has no prompt or a target that is none.
    """
    return _items(((row, f"{path}:{number}") for number, row in read_rows(path)), column, target, unit)


def items_from_lines(stream: TextIO, column: str, target: Target | None, unit: Unit = Unit.WORDS) -> list[GenItem]:
    """Lines of a stream: JSON objects as in a file, or each line one prompt.

    Raises:
        DataError: a line is too long, or no prompt.
    """
    return _items(_lines(stream), column, target, unit)


def _numbered(stream: TextIO) -> Iterator[tuple[int, str]]:
    try:
        yield from enumerate(stream, 1)
    except UnicodeDecodeError as error:
        raise DataError(f"standard input is not UTF-8 ({error.reason})", "Convert it, e.g. with iconv") from error


def _lines(stream: TextIO) -> Iterator[tuple[Mapping[str, Any], str]]:
    for number, line in _numbered(stream):
        where = f"standard input:{number}"
        if len(line) > MAX_LINE_BYTES:
            raise DataError(f"{where}: the line is longer than {MAX_LINE_BYTES >> 20} MiB", "Split or remove it")
        text = line.strip()
        if not text:
            continue
        if not text.startswith("{"):
            yield {"prompt": text}, where
            continue
        try:
            row = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise DataError(f"{where}: not valid JSON ({error})", "Mend or remove that line") from error
        yield row, where


def _items(
    rows: Iterable[tuple[Mapping[str, Any], str]], column: str, target: Target | None, unit: Unit
) -> list[GenItem]:
    items: dict[str, GenItem] = {}
    seen = Counter[str]()
    for row, where in rows:
        key = column if column in row else "prompt"
        if key not in row:
            raise DataError(f"{where}: no column {column!r}{did_you_mean(column, row)}", "Name it with --column")
        messages = as_messages(row[key], where)
        if any("\0" in message["content"] for message in messages):
            raise DataError(f"{where}: the prompt holds a NUL byte, which no text holds", "Mend or remove the row")
        own = target
        if target is None and row.get("target") is not None:
            try:
                own = parse_cell(row["target"], unit)
            except ValueError as error:
                raise DataError(f"{where}: {error}", "Mend the target, or name one length for all") from error
        name = str(row["id"]) if row.get("id") is not None else item_id(messages, own)
        if name in items and row.get("id") is not None:
            raise DataError(f"{where}: the id {name!r} stands twice", "Give each row its own, or none")
        seen[name] += 1
        name = name if seen[name] == 1 else f"{name}-{seen[name]}"
        items[name] = GenItem(name, messages, own)
    return list(items.values())
