"""Length distributions as files: Parquet of ours, and what CASTILLO publishes.

CASTILLO's columns (arXiv 2505.16881, public code of the data set) keep their names; sampling stands in `temp` and
`top_p` of each row as there, and in the metadata of the file.
"""

from __future__ import annotations

import csv
import json
import operator
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lengthctl.errors import DataError, first_line
from lengthctl.evaluate.distribution import PromptLengths, length_stats, measure_lengths
from lengthctl.length import Target
from lengthctl.records import read_records
from lengthctl.rundir import replacing

if TYPE_CHECKING:
    import pyarrow

__all__ = ["SCHEMA", "read_lengths", "write_lengths"]

SCHEMA = 1
"""Version of the table's layout; stands in its metadata."""

_NEEDED = ("prompt_id", "model", "output_sizes")
_READ = (*_NEEDED, "dataset", "input_size", "target", "at_limit", "looping", "degenerate")
_OTHER_NAMES = {"output_sizes": "lengths", "input_size": "prompt_tokens"}
"""Names in comma-separated reductions of CASTILLO, whose lengths have blanks between them."""


def write_lengths(
    path: Path,
    rows: Iterable[Mapping[str, Any]],
    *,
    model: str,
    temperature: float,
    top_p: float,
    limit: int | None,
) -> list[PromptLengths]:
    """Measure sample records and write the table as Parquet, whole or not at all; returns its rows.

    The file's metadata say schema, unit, model, temperature, top_p, limit and that deviations are of the population.

    Raises:
        DataError: a record lacks a field, or there are none.
    """
    import pyarrow.parquet as pq

    table = measure_lengths(rows, model=model, limit=limit)
    if not table:
        raise DataError("no completions whose lengths could be written", "See why they failed in their records")
    lines = [{**_line(row), "temp": temperature, "top_p": top_p} for row in table]
    about = {
        "schema": SCHEMA,
        "unit": "tokens",
        "model": model,
        "temperature": temperature,
        "top_p": top_p,
        "limit": limit,
        "std": "population",
    }
    with replacing(path) as part:
        pq.write_table(_table(lines, about), part)
    return table


def _line(row: PromptLengths) -> dict[str, Any]:
    stats = {**row.stats.__dict__, "output_sizes": list(row.stats.output_sizes)}
    target = None if row.target is None else json.dumps(row.target.to_row())
    return {**row.__dict__, **stats, "target": target}


def _table(lines: list[dict[str, Any]], about: Mapping[str, Any]) -> pyarrow.Table:
    import pyarrow as pa

    shares = pa.struct([(name, pa.float64()) for name in ("p25", "p50", "p75", "p99")])
    texts = [(name, pa.string()) for name in ("prompt_id", "model", "dataset", "target")]
    counts = ("input_size", "n", "shortest", "longest", "at_limit", "looping", "degenerate")
    numbers = ("output_mean", "output_std", "variation", "median", "mad", "temp", "top_p")
    schema = pa.schema(
        [
            *texts,
            *((name, pa.int64()) for name in counts),
            *((name, pa.float64()) for name in numbers),
            ("output_sizes", pa.list_(pa.int64())),
            ("output_percentiles", shares),
        ]
    )
    metadata = {key: json.dumps(value) for key, value in about.items()}
    return pa.Table.from_pylist(lines, schema=schema.with_metadata(metadata))


def read_lengths(source: str | Path, *, split: str = "test", limit: int | None = None) -> list[PromptLengths]:
    """A table of ours, or CASTILLO's: a .parquet, .json, .jsonl or .csv file, or a hub id.

    Args:
        split: of a hub id.
        limit: cap on completion tokens where the table does not count what reached it.

    Raises:
        DataError: missing file or column, a row that does not fit, a newer layout.
    """
    out = []
    for number, row in enumerate(_read_rows(source, split), 1):
        row |= {name: row[other] for name, other in _OTHER_NAMES.items() if name not in row and other in row}
        _check(source, row)
        try:
            out.append(_parse(row, limit))
        except (TypeError, ValueError, KeyError) as error:
            raise DataError(
                f"{source}: row {number} does not fit ({first_line(error)})", "Mend or remove it"
            ) from error
    if not out:
        raise DataError(f"{source} has no rows")
    return out


def _check(source: str | Path, columns: Iterable[Any]) -> None:
    there = [str(name) for name in columns]
    if missing := [name for name in _NEEDED if name not in there]:
        raise DataError(
            f"{source} has no column {', '.join(missing)}; it has {', '.join(there)}",
            "Give a table of `lengthctl eval` or of CASTILLO",
        )


def _parse(row: Mapping[str, Any], limit: int | None) -> PromptLengths:
    sizes = row["output_sizes"]
    whole = [int(size) for size in sizes.split()] if isinstance(sizes, str) else [operator.index(n) for n in sizes]
    counted: dict[str, Any] = {
        name: int(row[name]) for name in ("at_limit", "looping", "degenerate") if row.get(name) is not None
    }
    return PromptLengths(
        prompt_id=str(row["prompt_id"]),
        model=str(row["model"]),
        stats=replace(length_stats(whole, limit), **counted),
        dataset=str(row.get("dataset") or ""),
        input_size=int(row["input_size"]) if row.get("input_size") not in (None, "") else None,
        target=Target.parse(json.loads(row["target"])) if row.get("target") else None,
    )


def _read_rows(source: str | Path, split: str) -> list[dict[str, Any]]:
    path = Path(source).expanduser()
    try:
        match path.suffix.lower():
            case ".parquet":
                return _read_parquet(path)
            case ".csv":
                with path.open(encoding="utf-8", newline="") as file:
                    return list(csv.DictReader(file))
            case ".jsonl":
                return [row for _, row in read_records(path)]
            case ".json":
                rows = json.loads(path.read_text(encoding="utf-8"))
                return [dict(row) for row in rows]
            case _:
                import datasets

                data = datasets.load_dataset(str(source), split=split)
                _check(source, data.column_names)
                return [dict(row) for row in data.select_columns([n for n in data.column_names if n in _READ])]
    except DataError:
        raise
    except Exception as error:  # pyarrow's and the hub's own types, which are no common base
        raise DataError(
            f"{source} cannot be read ({first_line(error)})", "Check the path, or the hub id and your connection"
        ) from error


def _read_parquet(path: Path) -> list[dict[str, Any]]:
    import pyarrow.parquet as pq

    table = pq.read_table(path)
    found = json.loads((table.schema.metadata or {}).get(b"schema", b"1"))
    if not isinstance(found, int) or found > SCHEMA:
        raise DataError(f"{path} has layout {found}; this version reads up to {SCHEMA}", "Use a newer lengthctl")
    rows: list[dict[str, Any]] = table.to_pylist()
    return rows
