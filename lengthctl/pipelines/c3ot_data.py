"""`lengthctl data c3ot`: rows that reason at length, each beside a short form that was checked, under conditions.

Long rows are read one by one and shortened many at a time; every answer of the compressor is kept, so an interrupted
command repeats no finished call. The same rows and answers give the same data, in an order by hash.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from itertools import chain, islice
from pathlib import Path
from typing import IO, Any

from lengthctl.conditions import conditions_digest
from lengthctl.data_gen.c3ot_rows import Ablation, RowLengths, build_c3ot_rows, corpus_compression, row_rank
from lengthctl.data_gen.compression import Compressed, CompressionSettings, Compressor, compress, compress_by_equations
from lengthctl.data_gen.dataset_folder import DatasetAbout, DistinctIds, Drops, write_dataset
from lengthctl.data_gen.decisions import json_line, replaced_file
from lengthctl.data_gen.decontamination import Contamination
from lengthctl.data_gen.filters import DropReason
from lengthctl.data_gen.instruction_data import Instructions
from lengthctl.data_gen.reasoned_rows import CheckAnswer, ReasonedRow, read_reasoned
from lengthctl.decode.flow import Flow, FlowFailedError
from lengthctl.errors import DataError
from lengthctl.pipelines.document_room import run_documents
from lengthctl.pipelines.room import Document, Room

__all__ = ["TITLE", "C3oTSettings", "ReasonedSources", "build_c3ot_data", "c3ot_documents"]

REJECTED = "rejected.jsonl"
"""Beside the data: a line for each row without a short form, or with versions of it that were not taken."""

TITLE = "Long and short reasoning under conditions"
"""Of the data."""
_ABOUT = (
    "Conversations in TRL's prompt-completion form that reason before they answer. `condition` says whether a row's "
    "reasoning is the long one of the source or a short form of it, `reasoning_length` and `long_length` how long the "
    "two are, counted in `length_unit`. A short form is used only where the checked answer still follows from it; a "
    "long row stays where its short twin fell. `rejected.jsonl` tells why."
)


@dataclass(frozen=True)
class C3oTSettings:
    """How the data are made."""

    ablation: Ablation = Ablation.NONE
    compression: CompressionSettings = field(default_factory=CompressionSettings)
    seed: int = 0
    """Of the order of the rows."""


class ReasonedSources:
    """The rows that have reasoning and a checked answer, in the order of the sources; the others are counted.

    Args:
        sources: each is read once an iteration.
        check: of answers.
        contamination: prompts of an evaluation, which no row may hold.
        limit: at most so many usable rows of each source.
    """

    def __init__(
        self,
        sources: Sequence[Instructions],
        check: CheckAnswer,
        *,
        contamination: Contamination | None = None,
        limit: int | None = None,
    ) -> None:
        self.drops = Drops()
        self.names = [source.source for source in sources]
        self._sources, self._check, self._contamination, self._limit = sources, check, contamination, limit

    def __iter__(self) -> Iterator[ReasonedRow]:
        """Every row that can be used.

        Raises:
            DataError: a source cannot be read, or none has such a row.
        """
        self.drops = Drops()
        rows = chain.from_iterable(islice(self._usable(source), self._limit) for source in self._sources)
        first = next(rows, None)
        if first is None:
            raise DataError(
                f"{', '.join(self.names)}: no row has reasoning and an answer that can be read ({self.drops.told()})",
                "Give completions with <think> tags, or worked steps that end in a line like `#### 42`",
            )
        return chain([first], rows)

    def _usable(self, source: Instructions) -> Iterator[ReasonedRow]:
        ids = DistinctIds()
        for row in source:
            found: ReasonedRow | DropReason
            if self._contamination is not None and self._contamination.hit(row.messages[-1]["content"]):
                found = DropReason.CONTAMINATED
            elif (name := ids.of(row.source, row.id, row.digest)) is None:
                found = DropReason.EXACT_DUPLICATE
            else:
                found = read_reasoned(replace(row, id=name), self._check)
            if isinstance(found, DropReason):
                self.drops.add(source.source, found)
            else:
                yield found
        for reason, n in source.dropped.items():
            self.drops.add(source.source, reason, n)


@dataclass(frozen=True)
class _RowDocument(Document[Compressed]):
    row: ReasonedRow | None = None


def c3ot_documents(
    rows: Iterable[ReasonedRow], settings: C3oTSettings, compressor: Compressor
) -> Iterator[Document[Compressed]]:
    """A document a row, for `run_documents` and `dry_run`."""
    for row in rows:
        flow: Callable[[], Flow[Compressed]] = partial(compress, row, settings.ablation.conditions, compressor)
        yield _RowDocument(f"{row.source}#{row.id}", flow, row=row)


def build_c3ot_data(
    sources: ReasonedSources,
    settings: C3oTSettings,
    compressor: Compressor,
    out: Path,
    *,
    room: Room | None = None,
    unit: str = "characters",
    command: str = "",
) -> dict[str, Any]:
    """Write the rows of the sources and their short forms into `out` as `write_dataset` does; what `stats.json` holds.

    Args:
        sources: see there.
        settings: see there.
        compressor: with `settings.compression`.
        out: a folder; made when missing.
        room: what the compressor's calls are made in; None: the equations of the long form are its short form.
        unit: what `compressor.count` counts.
        command: as it was called, for the card.

    Raises:
        DataError: a source cannot be read, or no row is left.
        RunFolderError: `out` holds other data.
        EndpointError, EngineError, FailureBudgetError: the model is gone; finished calls are kept.
        ValueError: numbered levels without a model.
    """
    if room is None and settings.ablation is Ablation.LEVELS:
        raise ValueError("equations have no levels: a model shortens to them")
    out.mkdir(parents=True, exist_ok=True)
    measured: dict[str, Any] = {}
    drops = Drops()
    made = _Making(sources, settings, compressor, RowLengths(compressor.count, unit), room, drops, measured)
    about = DatasetAbout(
        TITLE,
        _ABOUT,
        seed=settings.seed,
        command=command,
        model=None if room is None else room.model_name,
        settings={
            "ablation": str(settings.ablation),
            "compressor": "equations" if room is None else "model",
            **asdict(settings.compression),
            "conditions": conditions_digest(),
        },
        tags=("reasoning",),
    )
    return write_dataset(out, made.rows(out), about, drops=drops, measured=measured)


@dataclass
class _Making:
    """Rows on their way to a file aside, and then in the order of their ranks."""

    sources: ReasonedSources
    settings: C3oTSettings
    compressor: Compressor
    lengths: RowLengths
    room: Room | None
    drops: Drops
    measured: dict[str, Any]
    offsets: list[tuple[int, int]] = field(default_factory=list)
    sums: dict[str, tuple[int, int]] = field(default_factory=dict)
    counts: Counter[str] = field(default_factory=Counter)
    faults: Counter[str] = field(default_factory=Counter)

    def rows(self, out: Path) -> Iterator[dict[str, Any]]:
        """All of them; `measured` and `drops` are filled before the first."""
        aside = out / ".c3ot.part"
        try:
            with aside.open("wb") as file, replaced_file(out / REJECTED) as rejected:
                self.make(file, rejected)
            self.tell()
            with aside.open("rb") as read:
                for _, offset in sorted(self.offsets):
                    read.seek(offset)
                    yield json.loads(read.readline())
        finally:
            with suppress(OSError):
                aside.unlink(missing_ok=True)

    def make(self, file: IO[bytes], rejected: IO[str]) -> None:
        """Shorten every row."""
        is_shortened = bool(self.settings.ablation.conditions)
        if self.room is None or not is_shortened:
            for row in self.sources:
                made = compress_by_equations(row, self.compressor) if is_shortened else Compressed({})
                self.take(row, made, file, rejected)
            return

        def see(document: Document[Compressed], found: Compressed | FlowFailedError) -> None:
            assert isinstance(document, _RowDocument)
            assert document.row is not None
            self.take(document.row, found, file, rejected)

        # how many versions fail is what is measured here: only a backend that fails ends the command
        room = replace(self.room, setback_budget=1.0)
        documents = c3ot_documents(self.sources, self.settings, self.compressor)
        report = run_documents(documents, room, on_result=see, ordered=True, title="reasoning")
        self.measured.update(report.totals())

    def take(self, row: ReasonedRow, made: Compressed | FlowFailedError, file: IO[bytes], rejected: IO[str]) -> None:
        """Keep a row's forms; what was not taken goes to `rejected`."""
        entry: dict[str, Any] = {"id": row.id, "source": row.source}
        if isinstance(made, FlowFailedError):
            self.drops.add(row.source, made.setback)
            rejected.write(json_line({**entry, "setback": str(made.setback), "detail": made.detail}))
            made = Compressed({})
        elif made.faults:
            self.faults.update(map(str, made.count_faults().elements()))
            faults = {name: list(map(str, found)) for name, found in made.faults.items()}
            rejected.write(json_line({**entry, "is_used": bool(made.shorts), "faults": faults}))
            if not made.shorts:
                self.drops.add(row.source, DropReason.UNSUITABLE)
        for one in build_c3ot_rows(row, made.shorts, self.settings.ablation, self.lengths):
            long, short = self.sums.get(one["condition"], (0, 0))
            self.sums[one["condition"]] = (long + one["long_length"], short + one["reasoning_length"])
            self.counts[one["condition"]] += 1
            self.offsets.append((row_rank(self.settings.seed, one), file.tell()))
            file.write(json_line(one).encode())

    def tell(self) -> None:
        """What is measured over all rows."""
        for source, reasons in self.sources.drops.counts.items():
            for reason, n in reasons.items():
                self.drops.add(source, reason, n)
        shorter = {name: corpus_compression([pair]) for name, pair in sorted(self.sums.items())}
        self.measured.update(
            {
                "length_unit": self.lengths.unit,
                "rows_by_condition": dict(sorted(self.counts.items())),
                "compression": {name: None if v is None else round(v, 4) for name, v in shorter.items()},
                "versions_not_taken": dict(sorted(self.faults.items())),
            }
        )
