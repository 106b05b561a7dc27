"""Rows of JSON Lines, JSON, CSV and Parquet files from anywhere, within bounds of memory."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from lengthctl.errors import DataError, first_line
from lengthctl.records import read_records

__all__ = ["MAX_ARRAY_BYTES", "MAX_LINE_BYTES", "read_rows"]

MAX_LINE_BYTES = 8 << 20
"""Longest line, and longest cell of a Parquet file: over a million words, at worst some 400 MB of memory to score."""

MAX_ARRAY_BYTES = 64 << 20
"""Largest JSON file that is one array, which is read whole."""

Row = Mapping[str, Any]

_DELIMITERS = {".csv": ",", ".tsv": "\t"}
_CHUNK = 1 << 20


def read_rows(path: Path) -> Iterator[tuple[int, Row]]:
    """`(line number, row)`; of a Parquet file the number of the row, of an array its place, from 1.

    A cell that a CSV row lacks is None.

    Raises:
        DataError: the file is missing or of another kind, a line is torn, no UTF-8, or longer than the bound.
    """
    if not path.is_file():
        raise DataError(f"{path}: there is no such file", "Check the path")
    kind = path.suffix.lower()
    if kind == ".parquet":
        yield from _parquet_rows(path)
    elif kind == ".json" and _is_array(path):
        yield from _array_rows(path)
    elif kind in (".jsonl", ".json", ".ndjson"):
        _check_lines(path)
        yield from read_records(path)
    elif kind in _DELIMITERS:
        _check_lines(path)
        yield from _csv_rows(path, _DELIMITERS[kind])
    else:
        raise DataError(f"{path}: unknown kind of file", "Give a .jsonl, .json, .csv, .tsv or .parquet file")


def _check_lines(path: Path) -> None:
    """Before anything reads a line whole: none is longer than the bound, and there is no NUL byte."""
    number, length = 1, 0
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            for i, part in enumerate(chunk.split(b"\n")):
                number, length = (number + 1, 0) if i else (number, length)
                length += len(part)
                if length > MAX_LINE_BYTES:
                    bound = f"{MAX_LINE_BYTES >> 20} MiB"
                    raise DataError(f"{path}:{number}: the line is longer than {bound}", "Split or remove it")
                if b"\0" in part:
                    raise DataError(f"{path}:{number}: a NUL byte, which no text holds", "Mend or remove that line")


def _is_array(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(64).removeprefix(b"\xef\xbb\xbf").lstrip()[:1] == b"["


def _array_rows(path: Path) -> Iterator[tuple[int, Row]]:
    if path.stat().st_size > MAX_ARRAY_BYTES:
        bound = f"{MAX_ARRAY_BYTES >> 20} MiB"
        raise DataError(f"{path} is one array of more than {bound}", "Write it as JSON Lines, an object a line")
    try:
        rows = json.loads(path.read_bytes())
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path}: not valid JSON ({first_line(error)})", "Mend it, or write JSON Lines") from error
    for number, row in enumerate(rows, 1):
        if not isinstance(row, dict):
            raise DataError(f"{path}:{number}: a JSON object is needed, found {type(row).__name__}")
        yield number, row


def _csv_rows(path: Path, delimiter: str) -> Iterator[tuple[int, Row]]:
    csv.field_size_limit(MAX_LINE_BYTES)
    with path.open(encoding="utf-8-sig", newline="") as file:
        reader = csv.DictReader(file, delimiter=delimiter, strict=True)
        start = 1
        try:
            for row in reader:
                if None in row:
                    raise DataError(f"{path}:{start + 1}: more cells than the header names", "Quote the text")
                yield start + 1, row
                start = reader.line_num
        except (csv.Error, UnicodeDecodeError) as error:
            line = max(start, reader.line_num)
            raise DataError(f"{path}:{line}: not valid CSV in UTF-8 ({first_line(error)})", "Mend the file") from error


def _parquet_rows(path: Path) -> Iterator[tuple[int, Row]]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    number = 0
    try:
        with pq.ParquetFile(path) as file:
            for batch in file.iter_batches(batch_size=256):
                for row in batch.to_pylist():
                    number += 1
                    _check_cells(path, number, row)
                    yield number, row
    except (pa.ArrowException, OSError) as error:
        raise DataError(f"{path}: not a valid Parquet file ({first_line(error)})", "Write it again") from error


def _check_cells(path: Path, number: int, row: Row) -> None:
    long = [name for name, cell in row.items() if isinstance(cell, str) and len(cell) > MAX_LINE_BYTES]
    if long:
        bound = f"{MAX_LINE_BYTES >> 20} Mi characters"
        raise DataError(f"{path}:{number}: {long[0]!r} is longer than {bound}", "Split or remove the row")
