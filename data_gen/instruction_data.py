"""Instruction data from anywhere, row by row: what was asked and the completion, whatever the columns are called."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from lengthctl.data_gen.filters import DropReason
from lengthctl.data_gen.row_shapes import parse_row
from lengthctl.errors import DataError, first_line
from lengthctl.hub_rows import load_split
from lengthctl.normal_text import content_digest
from lengthctl.prompts import Message
from lengthctl.records import FinishReason, read_records
from lengthctl.row_columns import Columns

if TYPE_CHECKING:
    from lengthctl.config import DataConfig

__all__ = ["WHOLE", "Columns", "Instruction", "Instructions", "Reading", "Rows", "read_instructions", "read_rows"]


@dataclass(frozen=True)
class Reading:
    """Which part of a source is read, and where its rows keep what."""

    subset: str | None = None
    """Config name of a hub dataset."""
    split: str = "train"
    """Of a hub dataset."""
    columns: Columns | None = None
    """Names of columns, instead of the known shapes."""

    @classmethod
    def of(cls, data: DataConfig) -> Reading:
        """As a recipe's section `data` asks; pairs and plain texts have no columns to name."""
        return cls(data.subset, data.split, data.named_columns)


WHOLE = Reading()
"""The rows of a file, or the training split of a dataset, in any known shape."""

_LONGEST_CELL = 8 << 20
"""Characters of a CSV cell, over a million words; Python's own limit, 131,072, is less than a text of 30,000."""


@dataclass(frozen=True)
class Instruction:
    """A conversation up to the user's last turn, and what followed."""

    id: str
    """The row's own, else `digest`."""
    messages: tuple[Message, ...]
    completion: str
    source: str
    licence: str | None = None
    columns: Mapping[str, Any] = field(default_factory=dict)
    """The row's other columns."""
    finish: FinishReason | None = None
    """Why the completion ended, where that is known: of a model's own texts."""

    @property
    def digest(self) -> str:
        """32 hex digits of prompt and completion; neither id nor source."""
        return content_digest([[m["role"], m["content"]] for m in self.messages], self.completion)

    def with_id(self) -> Instruction:
        """Itself; where it has no id, with its digest as id."""
        return self if self.id else replace(self, id=self.digest)


class Rows(Protocol):
    """Where rows come from and how one is read; `hindsight` has another kind."""

    def read(self) -> Iterator[tuple[str, Mapping[str, Any]]]:
        """`(where, row)`; `where` is `FILE:LINE` or `ID:ROW`, from 1."""
        ...

    def parse(self, row: Mapping[str, Any], where: str) -> Instruction | DropReason:
        """The row, or why it is none."""
        ...


class Instructions:
    """The rows of one source; each iteration reads them anew, one in memory at a time.

    `dropped` counts the rows that are none, by reason; it is complete when an iteration has ended.
    """

    def __init__(self, source: str, rows: Rows) -> None:
        self.source = source
        self.dropped: Counter[DropReason] = Counter()
        self._rows = rows

    def __iter__(self) -> Iterator[Instruction]:
        """Every row that can be used.

        Raises:
            DataError: the source is missing or torn, has columns of no known shape, no row, or none with a completion.
        """
        self.dropped.clear()
        found = 0
        for where, row in self._rows.read():
            made = self._rows.parse(row, where)
            if isinstance(made, DropReason):
                self.dropped[made] += 1
            else:
                found += 1
                yield made
        if found:
            return
        if not self.dropped:
            raise DataError(f"{self.source} has no rows")
        if set(self.dropped) == {DropReason.NO_COMPLETION}:
            raise DataError(f"{self.source}: data without completions", "Name their column, or give other data")
        told = ", ".join(f"{reason} {n}" for reason, n in self.dropped.items())
        raise DataError(f"{self.source}: no row can be used ({told})")


@dataclass(frozen=True)
class _InstructionRows:
    source: str
    reading: Reading
    name: str
    licence: str | None
    held: Iterable[tuple[str, Mapping[str, Any]]] | None = None

    def read(self) -> Iterator[tuple[str, Mapping[str, Any]]]:
        return read_rows(self.source, self.reading) if self.held is None else iter(self.held)

    def parse(self, row: Mapping[str, Any], where: str) -> Instruction | DropReason:
        parsed = parse_row(row, self.reading.columns, where)
        if isinstance(parsed, DropReason):
            return parsed
        licence = parsed.licence or self.licence
        made = Instruction(parsed.id or "", parsed.messages, parsed.completion, self.name, licence, parsed.columns)
        return made.with_id()


def read_instructions(
    source: str | Path,
    reading: Reading = WHOLE,
    *,
    name: str | None = None,
    licence: str | None = None,
    rows: Iterable[tuple[str, Mapping[str, Any]]] | None = None,
) -> Instructions:
    """Rows of a .jsonl, .csv or .parquet file or of a hub dataset; nothing is read before they are iterated.

    Known shapes: TRL's `messages`, or `prompt` with `completion` (texts or lists of messages); ShareGPT's
    `conversations`; Alpaca, Dolly and Self-Instruct (`instruction` with `output` or `response`, and `input`, `context`
    or `instances`); `input` with `output`; `question` with `answer`. The last turn of the assistant is the completion;
    what stands before it is the prompt, and what stands behind it is left out. Rows without a completion or a prompt,
    and those with turns that are no text, are dropped and counted.

    Args:
        source: a path, or a hub id, which is streamed.
        reading: which part of a hub dataset, and names of columns.
        name: what the rows give as their source; `source` when None.
        licence: of rows that do not name their own.
        rows: what `read_rows` gave of the source, where it was read already.
    """
    text = str(source)
    return Instructions(name or text, _InstructionRows(text, reading, name or text, licence, rows))


def read_rows(source: str | Path, reading: Reading = WHOLE) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """`(where, row)` of a .jsonl, .csv or .parquet file or of a hub dataset, one in memory at a time.

    `where` is `SOURCE:LINE`; of Parquet and the hub the number of the row, from 1.

    Raises:
        DataError: the source is missing or torn.
    """
    path = Path(source).expanduser()
    kind = path.suffix.lower()
    if kind in (".jsonl", ".json", ".ndjson"):
        rows: Iterator[tuple[int, Mapping[str, Any]]] = read_records(path)
    elif kind == ".csv":
        rows = _csv_rows(path)
    else:
        rows = _parquet_rows(path) if kind == ".parquet" else _hub_rows(str(source), reading)
    return ((f"{source}:{number}", row) for number, row in rows)


def _csv_rows(path: Path) -> Iterator[tuple[int, Mapping[str, Any]]]:
    """By the line that a row ends in. A cell that a row lacks is None."""
    csv.field_size_limit(max(csv.field_size_limit(), _LONGEST_CELL))
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file, strict=True)
            try:
                for row in reader:
                    if None in row:
                        raise DataError(f"{path}:{reader.line_num}: more cells than the header names", "Quote the text")
                    yield reader.line_num, row
            except (csv.Error, UnicodeDecodeError) as error:
                where = f"{path}:{reader.line_num}"
                raise DataError(f"{where}: not valid CSV in UTF-8 ({first_line(error)})", "Mend the file") from error
    except OSError as error:
        raise DataError(f"{path}: {error.strerror or error}", "Check the path") from error


def _parquet_rows(path: Path) -> Iterator[tuple[int, Mapping[str, Any]]]:
    import datasets

    try:
        yield from enumerate(datasets.load_dataset("parquet", data_files=str(path), split="train", streaming=True), 1)
    except Exception as error:  # of fsspec, pyarrow: they share no type
        raise DataError(f"{path} cannot be read ({first_line(error)})", "Check the path") from error


def _hub_rows(source: str, reading: Reading) -> Iterator[tuple[int, Mapping[str, Any]]]:
    data = load_split(source, reading.subset, reading.split, streaming=True)
    try:
        yield from enumerate(data, 1)
    except Exception as error:  # of the hub, the network, fsspec, pyarrow: they share no type
        remedy = "Check the path, or the hub id and your connection"
        raise DataError(f"{source} cannot be read ({first_line(error)})", remedy) from error
