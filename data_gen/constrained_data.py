"""A data set whose prompts ask for the lengths that their completions have: `constraints.constrained`, row by row."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict
from itertools import islice
from pathlib import Path
from typing import Any

from lengthctl.data_gen.constraints import ConstraintSettings, constrained
from lengthctl.data_gen.dataset_folder import KEPT_COLUMNS, DatasetAbout, DistinctIds, Drops, write_dataset
from lengthctl.data_gen.decontamination import Contamination
from lengthctl.data_gen.filters import DropReason
from lengthctl.data_gen.instruction_data import WHOLE, Reading, read_rows
from lengthctl.length import Encoder
from lengthctl.normal_text import content_digest

__all__ = ["build_constrained_data"]

_COLUMNS = ("prompt", "completion", "id", "target", "demand", "length", "words", "source", "licence", *KEPT_COLUMNS)
_ABOUT = (
    "Conversations in TRL's prompt-completion form. The prompt asks for a length, about, as a range, at least or at "
    "most, that the completion has: the demand was made from the length that was counted. `target` is what is asked, "
    "`demand` its words, `length` the completion's length in the target's unit. After Self-Lengthen (arXiv 2410.23933)."
)


def build_constrained_data(
    sources: Sequence[str],
    settings: ConstraintSettings,
    out: Path,
    *,
    reading: Reading = WHOLE,
    limit: int | None = None,
    contamination: Contamination | None = None,
    tokenizer: Encoder | None = None,
    command: str = "",
    on_row: Callable[[int], None] | None = None,
) -> dict[str, Any]:
    """Write the rows into `out` as `write_dataset` does; what `stats.json` holds. A row's demand does not depend on
    the others. One row is in memory at a time.

    Args:
        sources: files or hub ids with texts of any known shape.
        settings: see there.
        out: a folder; made when missing.
        reading: which part of hub datasets, and names of columns.
        limit: rows of each source at most.
        contamination: prompts of an evaluation, which no row may hold.
        tokenizer: for a unit of tokens.
        command: as it was called, for the card.
        on_row: told the number of rows read.

    Raises:
        DataError: a source cannot be read, or no row is left.
        RunFolderError: `out` holds other data.
    """
    drops, measured = Drops(), Counter[str]()
    ids = DistinctIds()

    def rows() -> Iterator[dict[str, Any]]:
        read = 0
        for source in sources:
            for _, row in islice(read_rows(source, reading), limit):
                read += 1
                made = constrained(row, settings, tokenizer=tokenizer, source=source, columns=reading.columns)
                kept = made if isinstance(made, DropReason) else _finished(made, ids, contamination)
                if isinstance(kept, DropReason):
                    drops.add(source if isinstance(made, DropReason) else made["source"], kept)
                else:
                    measured["prompts_that_said_it_already"] += kept["demand"] is None
                    yield kept
                if on_row is not None:
                    on_row(read)

    about = DatasetAbout(
        "Texts and the lengths that they have",
        _ABOUT,
        seed=settings.seed,
        command=command,
        settings={name: value for name, value in _plain(asdict(settings)).items() if name != "seed"},
        tags=("length-control",),
    )
    return write_dataset(out, rows(), about, drops=drops, measured=measured)


def _finished(
    row: dict[str, Any], ids: DistinctIds, contamination: Contamination | None
) -> dict[str, Any] | DropReason:
    """The row with an id of its own and known columns alone."""
    asked = row["prompt"][-1]["content"]
    if contamination is not None and contamination.hit(asked):
        return DropReason.CONTAMINATED
    text = row["completion"][0]["content"]
    name = ids.of(row["source"], row["id"], content_digest(row["prompt"], text))
    if name is None:
        return DropReason.EXACT_DUPLICATE
    return {key: row[key] for key in _COLUMNS if key in row} | {"id": name}


def _plain(value: Mapping[str, Any]) -> dict[str, Any]:
    """Keys and values as JSON writes them."""
    return {
        str(key): _plain(v) if isinstance(v, Mapping) else list(map(str, v)) if isinstance(v, tuple) else v
        for key, v in value.items()
    }
