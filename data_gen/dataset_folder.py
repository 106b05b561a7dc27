"""The folder that every command for data of long texts leaves: JSONL and Parquet in TRL's form, counts, and a card.

Rows stream through: memory holds a few hundred of them, and a number a row. The same rows give the same bytes in both
data files; the card and `stats.json` tell the day, too.
"""

from __future__ import annotations

import json
from array import array
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any

from lengthctl import __version__
from lengthctl.data_gen.dataset_card import DatasetFacts, LabelFacts, SourceFacts, dataset_card, length_histogram
from lengthctl.data_gen.decisions import json_line, replaced_file
from lengthctl.data_gen.filters import DropReason
from lengthctl.data_gen.parquet_rows import RowSchema, write_parquet
from lengthctl.errors import DataError, RunFolderError
from lengthctl.length import Unit
from lengthctl.rundir import write_atomic, write_json

__all__ = ["KEPT_COLUMNS", "DatasetAbout", "DistinctIds", "Drops", "refuse_other_data", "write_dataset"]

KEPT_COLUMNS = ("language", "plan", "parts")
"""What rows of foreign sources keep beside the conversation; their other columns could hold anything."""

_JSONL, _PARQUET = "train.jsonl", "train.parquet"


@dataclass(frozen=True)
class DatasetAbout:
    """What a card says that no row tells."""

    title: str
    """Also names the kind of data: a folder that holds data of another title is refused."""
    about: str
    """What a row is, and how it was made: a paragraph of Markdown."""
    unit: Unit = Unit.WORDS_MIXED
    """What the column `words` counts."""
    seed: int = 0
    command: str = ""
    model: str | None = None
    """What wrote the texts; None where no model did."""
    settings: Mapping[str, Any] = field(default_factory=dict)
    tags: tuple[str, ...] = ()


class Drops:
    """What is left out while rows are made, by source and reason."""

    def __init__(self) -> None:
        self.counts: dict[str, Counter[DropReason]] = {}

    def add(self, source: str, reason: str, n: int = 1) -> None:
        """Count; the values of `decode.flow.Setback` are reasons too.

        Raises:
            ValueError: no reason that the card knows.
        """
        self.counts.setdefault(source, Counter())[DropReason(str(reason))] += n

    def told(self) -> str:
        """The reasons, the most frequent one first."""
        total = sum(self.counts.values(), Counter[DropReason]())
        return ", ".join(f"{reason} {n}" for reason, n in total.most_common())


class DistinctIds:
    """Ids of rows from anywhere: a source may give one to several of them."""

    def __init__(self) -> None:
        self._taken: set[int] = set()

    def of(self, source: str, name: str, digest: str) -> str | None:
        """The row's own id, or the digest of its content where the source has given that id to another row; None for
        content that the source has had before."""
        content, named = hash((source, digest, "content")), hash((source, name))
        if content in self._taken:
            return None
        found = digest if named in self._taken else name
        self._taken |= {content, named}
        return found


def write_dataset(
    out: Path,
    rows: Iterable[Mapping[str, Any]],
    about: DatasetAbout,
    *,
    drops: Drops | None = None,
    measured: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """`train.jsonl`, `train.parquet`, `stats.json` and `README.md`, put in place when all rows are there; what else is
    in the folder stays. Returns what `stats.json` holds.

    Rows keep their order, but for a few that come first because they alone fill a column: `datasets` takes a column
    that is null in its first 10 MB of JSONL for one that always is.

    Args:
        out: is made.
        rows: each with `prompt` and `completion` (lists of messages), `id`, `source`, and `words`, the length of the
            completion; `licence` and `target` are counted where they are. Objects are not empty.
        about: see there.
        drops: what became of the other rows; read after the last row.
        measured: further facts, such as calls and tokens; read after the last row.

    Raises:
        DataError: there is no row, or a column holds values of two kinds.
        RunFolderError: `out` holds data of another title.
        ValueError: a row lacks one of these, or two rows of a source have one id.
    """
    drops = drops or Drops()
    refuse_other_data(out, about.title)
    out.mkdir(parents=True, exist_ok=True)
    aside = out / ".rows.part"
    count, schema = _Count(), RowSchema()
    try:
        with aside.open("w", encoding="utf-8", newline="\n") as file:
            _set_aside(rows, file, count, schema)
        if not count.lengths:
            raise DataError(f"no row is left ({drops.told() or 'there were none'})", "Loosen the filters, or give more")
        with replaced_file(out / _JSONL) as jsonl:
            write_parquet(out / _PARQUET, _written(schema.in_order(aside), jsonl), schema)
    finally:
        with suppress(OSError):
            aside.unlink(missing_ok=True)
    facts = count.facts(about, drops, measured or {})
    stats = {**facts.to_row(), "measured": dict(measured or {})}
    write_json(out / "stats.json", stats)
    write_atomic(out / "README.md", dataset_card(facts))
    return stats


def refuse_other_data(out: Path, title: str) -> None:
    """Keep what another command made.

    Raises:
        RunFolderError: `out` holds data of another title.
    """
    path = out / "stats.json"
    if not path.exists():
        return
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except ValueError:
        found = None
    if not isinstance(found, dict) or found.get("title") != title:
        raise RunFolderError(f"{out} holds data of another kind", "Name another folder")


@dataclass
class _Count:
    """What is told of the rows."""

    used: Counter[str] = field(default_factory=Counter)
    asked: Counter[str] = field(default_factory=Counter)
    licences: dict[str, set[str]] = field(default_factory=dict)
    languages: set[str] = field(default_factory=set)
    lengths: array[int] = field(default_factory=lambda: array("Q"))
    names: set[int] = field(default_factory=set)

    def add(self, row: Mapping[str, Any]) -> None:
        """Count a row that is sound.

        Raises:
            ValueError: it is not.
        """
        _check_row(row)
        source = row["source"]
        name = hash((source, row["id"]))
        if name in self.names:
            raise ValueError(f"two rows of {source} have the id {row['id']!r}")
        self.names.add(name)
        self.used[source] += 1
        self.lengths.append(row["words"])
        target = row.get("target")
        self.asked["no length" if target is None else f"{target['relation']}, in {target['unit']}"] += 1
        self.licences.setdefault(source, set()).update([row["licence"]] if row.get("licence") else [])
        if isinstance(language := row.get("language"), str):
            self.languages.add(language)

    def facts(self, about: DatasetAbout, drops: Drops, measured: Mapping[str, Any]) -> DatasetFacts:
        """All that the card tells."""
        sources = []
        for source in sorted({*self.used, *drops.counts}):
            dropped = {reason: n for reason, n in drops.counts.get(source, Counter()).items() if n}
            rows = self.used[source] + sum(dropped.values())
            licences = tuple(sorted(self.licences.get(source, ())))
            sources.append(SourceFacts(source, rows, self.used[source], dropped, licences))
        made = {} if about.model is None else {"model": about.model}
        day = datetime.now(UTC).date().isoformat()
        return DatasetFacts(
            title=about.title,
            about=about.about,
            sources=tuple(sources),
            labels=tuple(LabelFacts(f"asked: {name}", n, n) for name, n in sorted(self.asked.items())),
            lengths=length_histogram(self.lengths),
            unit=str(about.unit),
            seed=about.seed,
            command=about.command,
            versions={"lengthctl": __version__},
            settings={**made, "date": day, **about.settings, **measured},
            files={"default": _PARQUET},
            tags=("long-text", *about.tags),
            languages=tuple(sorted(self.languages)),
        )


def _check_row(row: Mapping[str, Any]) -> None:
    for name in ("prompt", "completion"):
        turns = row.get(name)
        if not isinstance(turns, list) or not turns or any(set(turn) != {"role", "content"} for turn in turns):
            raise ValueError(f"{name} is a list of messages with role and content, found {str(turns)[:80]}")
    if not isinstance(row.get("id"), str) or not isinstance(row.get("source"), str):
        raise ValueError("a row names its id and source")
    if type(row.get("words")) is not int or row["words"] < 0:
        raise ValueError(f"words is a length, found {row.get('words')!r}")


def _set_aside(rows: Iterable[Mapping[str, Any]], file: IO[str], count: _Count, schema: RowSchema) -> None:
    """Write rows as they come."""
    for row in rows:
        count.add(row)
        try:
            file.write(json_line(row))
        except UnicodeEncodeError as error:
            raise DataError(f"row {row['id']}: half a surrogate pair, which is no text", "Leave the row out") from error
        schema.see(row)
    schema.settle()


def _written(rows: Iterable[tuple[str, Mapping[str, Any]]], file: IO[str]) -> Iterator[Mapping[str, Any]]:
    """The rows, each written to `file` on its way."""
    for line, row in rows:
        file.write(line)
        yield row
