"""Long texts among general ones: all of the former, and a few rows of the latter for each, in one shuffled file.

Source: LongWriter (arXiv 2408.07055) takes 30 general rows for each long one, Minimum Tuning (arXiv 2410.10210) 20.
Ours: the choice and the order are by a hash of seed and content, so neither the order of the sources nor an
interruption changes them. Rows stream through; memory holds about 200 bytes for each row that is used.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from heapq import heappush, heappushpop
from pathlib import Path
from typing import Any

from lengthctl.data_gen.dataset_folder import KEPT_COLUMNS, DatasetAbout, DistinctIds, Drops, write_dataset
from lengthctl.data_gen.decisions import json_line
from lengthctl.data_gen.decontamination import Contamination
from lengthctl.data_gen.filters import DropReason
from lengthctl.data_gen.instruction_data import Instruction, Instructions
from lengthctl.errors import DataError
from lengthctl.length import Target, Unit, count_length
from lengthctl.prompts import stable_hash

__all__ = ["MixSettings", "mix_data"]

_ABOUT = (
    "Conversations in TRL's prompt-completion form: long texts among general ones. `part` says which of the two a row "
    "is, `source`, `licence` and `id` where it comes from, `words` how long its completion is."
)


@dataclass(frozen=True)
class MixSettings:
    """How rows are mixed.

    Raises:
        ValueError: a ratio below 0.
    """

    ratio: float = 20.0
    """General rows for each long one, >= 0; fewer where the sources have fewer."""
    seed: int = 0

    def __post_init__(self) -> None:
        if not 0 <= self.ratio < float("inf"):
            raise ValueError(f"a ratio is a number from 0, found {self.ratio}")


def mix_data(
    long: Sequence[Instructions],
    general: Sequence[Instructions],
    settings: MixSettings,
    out: Path,
    *,
    contamination: Contamination | None = None,
    command: str = "",
    on_row: Callable[[int], None] | None = None,
) -> dict[str, Any]:
    """Write the mixture into `out` as `write_dataset` does; what `stats.json` holds. The same rows and settings give
    the same data, in whatever order the sources have them.

    Args:
        long: every row of theirs is used, once.
        general: rows that `settings.ratio` has no room for are left out.
        settings: see there.
        out: a folder; made when missing.
        contamination: prompts of an evaluation, which no row may hold.
        command: as it was called, for the card.
        on_row: told the number of rows read, each of which is read twice.

    Raises:
        DataError: a source cannot be read, changes while it is, or no row is left.
        RunFolderError: `out` holds other data.
        ValueError: two sources of one name.
    """
    names = [source.source for source in (*long, *general)]
    if len(set(names)) != len(names):
        raise ValueError(f"two sources have the same name: {', '.join(names)}")
    mixture = _Mixture(long, general, settings, contamination, on_row)
    measured: dict[str, Any] = {}
    about = DatasetAbout(
        "Long texts mixed with general ones",
        _ABOUT,
        seed=settings.seed,
        command=command,
        settings={"general_for_each_long": settings.ratio, "evaluation_prompts_kept_out": len(contamination or ())},
        tags=("mixture",),
    )
    return write_dataset(out, mixture.rows(out, measured), about, drops=mixture.drops, measured=measured)


@dataclass
class _Mixture:
    long: Sequence[Instructions]
    general: Sequence[Instructions]
    settings: MixSettings
    contamination: Contamination | None
    on_row: Callable[[int], None] | None
    drops: Drops = field(default_factory=Drops)
    read: int = 0

    def rows(self, out: Path, measured: dict[str, Any]) -> Iterator[dict[str, Any]]:
        """The chosen rows in their order; `measured` is filled before the first."""
        chosen: dict[int, int] = {}  # rank by the row's number
        ranks: set[int] = set()
        for number, rank, row in self.usable(self.long, 0):
            if rank in ranks:
                self.drops.add(row.source, DropReason.EXACT_DUPLICATE)
            else:
                ranks.add(rank)
                chosen[number] = rank
        room, first_general = round(self.settings.ratio * len(chosen)), self.read
        measured["long"] = len(chosen)
        chosen |= self.few(room, ranks, first_general)
        measured["general"] = len(chosen) - measured["long"]
        out.mkdir(parents=True, exist_ok=True)
        aside = out / f".mix-{os.getpid()}.part"
        try:
            yield from self.shuffled(aside, chosen, first_general)
        finally:
            with suppress(OSError):
                aside.unlink(missing_ok=True)

    def usable(self, sources: Sequence[Instructions], number: int) -> Iterator[tuple[int, int, Instruction]]:
        """Number, rank and content of rows, those aside that hold a prompt of the evaluation."""
        for source in sources:
            for row in source:
                self.tell()
                number += 1
                if self.contamination is not None and self.contamination.hit(row.messages[-1]["content"]):
                    self.drops.add(row.source, DropReason.CONTAMINATED)
                else:
                    yield number, self.rank(row), row
            for reason, n in source.dropped.items():
                self.drops.add(source.source, reason, n)

    def few(self, room: int, ranks: set[int], number: int) -> dict[int, int]:
        """The `room` general rows of the lowest ranks: their ranks by their numbers."""
        heap: list[tuple[int, int, str]] = []
        for at, rank, row in self.usable(self.general, number):
            if rank in ranks:
                self.drops.add(row.source, DropReason.EXACT_DUPLICATE)
                continue
            entry = (-rank, at, row.source)
            if len(heap) < room:
                heappush(heap, entry)
                ranks.add(rank)
                continue
            out = heappushpop(heap, entry) if heap else entry
            if out != entry:
                ranks.add(rank)
                ranks.discard(-out[0])
            self.drops.add(out[2], DropReason.OVER_QUOTA)
        return {at: -rank for rank, at, _ in heap}

    def shuffled(self, aside: Path, chosen: Mapping[int, int], first_general: int) -> Iterator[dict[str, Any]]:
        """Second pass: the rows aside, then in the order of their ranks."""
        offsets: list[tuple[int, int]] = []
        ids = DistinctIds()
        number = 0
        with aside.open("wb") as file:
            for source in (*self.long, *self.general):
                for row in source:
                    number += 1
                    self.tell()
                    if number not in chosen:
                        continue
                    if self.rank(row) != chosen[number]:
                        raise DataError(f"{source.source} changed while it was read", "Start again")
                    offsets.append((chosen[number], file.tell()))
                    part = "long" if number <= first_general else "general"
                    file.write(json_line(_built(row, part, ids)).encode())
        if len(offsets) < len(chosen):
            raise DataError("a source changed while it was read", "Start again")
        with aside.open("rb") as read:
            for _, offset in sorted(offsets):
                read.seek(offset)
                yield json.loads(read.readline())

    def rank(self, row: Instruction) -> int:
        """By what a row says."""
        return stable_hash(f"{self.settings.seed}|{row.digest}")

    def tell(self) -> None:
        """Of another row that was read."""
        self.read += 1
        if self.on_row is not None:
            self.on_row(self.read)


def _built(row: Instruction, part: str, ids: DistinctIds) -> dict[str, Any]:
    return {
        "prompt": [dict(message) for message in row.messages],
        "completion": [{"role": "assistant", "content": row.completion}],
        "id": ids.of(row.source, row.id, row.digest) or row.digest,
        "target": _target(row.columns.get("target")),
        "words": count_length(row.completion, Unit.WORDS_MIXED),
        "source": row.source,
        "licence": row.licence,
        "part": part,
        **{name: row.columns[name] for name in KEPT_COLUMNS if row.columns.get(name) is not None},
    }


def _target(value: object) -> dict[str, Any] | None:
    """A length that a row asks for; None for a column of another meaning."""
    try:
        return None if value is None else Target.parse(value).to_row()  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return None
