"""Rows of JSON as a Parquet file: the types of all rows are known before the first is written."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lengthctl.errors import DataError, first_line

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["RowSchema", "write_parquet"]

_BATCH = 256


class RowSchema:
    """The types of rows, learned as they pass, and which few rows hold them all. Rows are numbered from 0."""

    def __init__(self) -> None:
        self._types: pa.Schema | None = None
        self._waiting: list[Mapping[str, Any]] = []
        self._seen = 0
        self._telling: list[int] = []

    def see(self, row: Mapping[str, Any]) -> None:
        """Learn from a row.

        Raises:
            DataError: its types do not go with those of earlier rows.
        """
        self._waiting.append(row)
        if len(self._waiting) == _BATCH:
            self.settle()

    def settle(self) -> None:
        """Learn from the rows that wait; call it after the last."""
        if self._waiting and self._with(self._waiting) != self._types:
            for number, row in enumerate(self._waiting, self._seen):
                types = self._with([row])
                if types != self._types:
                    self._types = types
                    self._telling.append(number)
        self._seen += len(self._waiting)
        self._waiting = []

    def _with(self, rows: Sequence[Mapping[str, Any]]) -> pa.Schema:
        """The types of these and of all earlier rows."""
        import pyarrow as pa

        try:
            found = pa.Table.from_pylist(list(rows)).schema if len(rows) == 1 else _types_of(rows)
            known = [] if self._types is None else [self._types]
            return pa.unify_schemas([*known, found], promote_options="permissive")
        except (pa.ArrowException, OverflowError) as error:
            where = f"rows {self._seen + 1} to {self._seen + len(self._waiting)}"
            raise DataError(f"{where} hold values of two kinds in a column ({first_line(error)})") from error

    @property
    def types(self) -> pa.Schema:
        """Of all rows seen.

        Raises:
            ValueError: there were none.
        """
        if self._types is None:
            raise ValueError("no row was seen")
        return self._types

    def in_order(self, path: Path) -> Iterator[tuple[str, Mapping[str, Any]]]:
        """Lines of a JSONL file of these rows and what they say: first those that hold all types, then the others."""
        first = set(self._telling)
        for is_first in (True, False):
            with path.open(encoding="utf-8", newline="\n") as file:
                for number, line in enumerate(file):
                    if (number in first) == is_first:
                        yield line, json.loads(line)
                    if is_first and number >= self._telling[-1]:
                        break


def _types_of(rows: Sequence[Mapping[str, Any]]) -> pa.Schema:
    """Of several rows: `from_pylist` looks at the first one's columns only."""
    import pyarrow as pa

    names = dict.fromkeys(name for row in rows for name in row)
    return pa.schema([(name, pa.array([row.get(name) for row in rows]).type) for name in names])


def write_parquet(path: Path, rows: Iterable[Mapping[str, Any]], schema: RowSchema) -> None:
    """A Parquet file of rows that `schema` has seen; whole or not at all. Few rows are in memory at a time.

    Raises:
        DataError: Parquet has no type for a column, such as objects that are all empty.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    part, left = path.with_name(f".{path.name}.part"), iter(rows)
    try:
        with pq.ParquetWriter(part, schema.types) as writer:
            while batch := list(islice(left, _BATCH)):
                writer.write_table(pa.Table.from_pylist(batch, schema=schema.types))
    except pa.ArrowException as error:
        raise DataError(
            f"{path} cannot be written ({first_line(error)})", "Leave that column out of the rows"
        ) from error
    os.replace(part, path)
