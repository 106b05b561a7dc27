"""Ruler's training data from instruction data: each completion behind the meta length token of its own length.

Rows are measured and filtered one by one (`decisions.jsonl` keeps what was found, so that a killed command goes on),
then chosen by a hash up to a quota a token, and written with a dataset card. Memory does not grow with the texts: about
30 bytes for each row that passes the filters and 4 KB for each that is used.

Source: arXiv 2409.18943, section 4.2 and Algorithm 1, and src/data_process/build_training_dataset.py of its code.
Theirs: the ranges, the cap, the fill in order, where the token stands. Ours: all filters but the range, the choice by
hash, near-duplicates, decontamination, the model's own texts, openings, forms of the request, the worded control.
"""

from __future__ import annotations

import importlib.metadata
import json
from array import array
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lengthctl import __version__
from lengthctl.data_gen.balance import Candidates, fill_quotas
from lengthctl.data_gen.dataset_card import DatasetFacts, LabelFacts, SourceFacts, dataset_card, length_histogram
from lengthctl.data_gen.dataset_folder import refuse_other_data
from lengthctl.data_gen.decisions import Decisions, json_line, replaced_file
from lengthctl.data_gen.decontamination import Contamination
from lengthctl.data_gen.filters import DropReason
from lengthctl.data_gen.instruction_data import Instruction, Instructions
from lengthctl.data_gen.near_duplicates import Fingerprint, NearDuplicates
from lengthctl.data_gen.openings import WithOpenings
from lengthctl.data_gen.ruler_measure import RulerMeasure
from lengthctl.data_gen.ruler_rows import RowSet, build_base_row, build_set_row, choose_form
from lengthctl.data_gen.ruler_settings import RulerSettings
from lengthctl.errors import DataError
from lengthctl.length import Encoder
from lengthctl.mlt_table import MltTable
from lengthctl.normal_text import content_digest
from lengthctl.rundir import write_atomic, write_json

__all__ = ["RulerSettings", "build_ruler_data"]

_FILES = {kind: "train.jsonl" if kind is RowSet.MLT else f"{kind}.jsonl" for kind in RowSet}
_TITLE = "Instruction data with meta length tokens"
_ABOUT = (
    "Conversations in TRL's prompt-completion form. Each completion begins with the meta length token (MLT) of its own "
    "length, as in Ruler (arXiv 2409.18943); the prompt does not name a length. `mlt` is the token, `length` the "
    "completion's length without it, `source`, `licence` and `id` say where the row comes from."
)
_SETS_ABOUT = {
    "vanilla": " `vanilla` has the same rows without tokens.",
    "worded": " `worded` asks for the length in the prompt, in words.",
    "marked": " `marked` has the token as plain text at the end of the prompt.",
}


def build_ruler_data(
    sources: Sequence[Instructions],
    table: MltTable,
    settings: RulerSettings,
    out: Path,
    *,
    contamination: Contamination | None = None,
    tokenizer: Encoder | None = None,
    command: str = "",
    on_row: Callable[[int], None] | None = None,
) -> DatasetFacts:
    """Write `train.jsonl`, the controls' files, `stats.json`, `README.md` and `decisions.jsonl` into `out`.

    The same rows, settings and versions give the same bytes, whether or not the command was interrupted; the order of
    rows within the sources makes no difference to the data. An interrupted command is called again with the same
    arguments; `cap`, `fill`, `request_forms` and `controls` may differ, and nothing is measured anew.

    Args:
        sources: in the order in which `fill="ordered"` takes them; each is read twice.
        table: tokens and their data ranges.
        settings: see there.
        out: a folder; made when missing.
        contamination: prompts of an evaluation, which no row may hold.
        tokenizer: for a table in tokens, and for `max_tokens`.
        command: as it was called, for the card.
        on_row: told the number of rows measured.

    Raises:
        DataError: a source cannot be read, or no row is left.
        RunFolderError: `out` has decisions of other settings or data of another kind, or the sources changed.
        ValueError: two sources of one name, or `max_tokens` without a tokenizer.
    """
    names = [source.source for source in sources]
    if len(set(names)) != len(names):
        raise ValueError(f"two sources have the same name: {', '.join(names)}")
    if settings.max_tokens is not None and tokenizer is None:
        raise ValueError("max_tokens needs a tokenizer")
    refuse_other_data(out, _TITLE)
    if settings.openings:
        sources = [WithOpenings(source, table, tokenizer) for source in sources]
    known = None
    if settings.near_duplicates is not None:
        known = NearDuplicates(threshold=settings.near_duplicates, seed=settings.seed)
    build = _Build(sources, RulerMeasure(table, settings, contamination, tokenizer, known), out)
    build.measure(on_row)
    build.choose()
    build.write_rows()
    facts = build.facts(command)
    write_json(out / "stats.json", facts.to_row())
    write_atomic(out / "README.md", dataset_card(facts))
    return facts


@dataclass
class _Build:
    sources: Sequence[Instructions]
    measured: RulerMeasure
    out: Path
    rows: Counter[int] = field(default_factory=Counter)
    """By source; those that the reader dropped are not in."""
    unusable: Counter[int] = field(default_factory=Counter)
    """Those that the reader dropped, by source."""
    dropped: Counter[tuple[int, DropReason]] = field(default_factory=Counter)
    licences: dict[int, set[str]] = field(default_factory=dict)
    lengths: array[int] = field(default_factory=lambda: array("Q"))
    chosen: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.settings, self.table = self.measured.settings, self.measured.table
        self.numbers = {source.source: i for i, source in enumerate(self.sources)}
        self.candidates = Candidates(self.settings.seed)
        self.versions = {"lengthctl": __version__, "rensa": importlib.metadata.version("rensa")}
        key = content_digest(self.measured.identity, self.versions)
        self.decisions = Decisions(self.out / "decisions.jsonl", key)

    def all_rows(self) -> Iterator[tuple[int, Instruction]]:
        """Rows of all sources, with the number of theirs."""
        return ((number, row) for number, source in enumerate(self.sources) for row in source)

    def measure(self, on_row: Callable[[int], None] | None) -> None:
        """First pass: every row into the decisions."""
        done = 0

        def digest_of(item: tuple[int, Instruction]) -> str:
            nonlocal done
            done += 1
            if on_row is not None:
                on_row(done)
            return item[1].digest

        try:
            self.decisions.record(self.all_rows(), digest_of, lambda item: self.measured.decide(item[1]))
        finally:
            self.decisions.close()
        for number, source in enumerate(self.sources):  # a later pass may not read a source to its end
            self.dropped.update({(number, reason): n for reason, n in source.dropped.items()})
            self.unusable[number] = sum(source.dropped.values())

    def choose(self) -> None:
        """Quotas and duplicates, in the order of the hashes."""
        labels = {token.name: i for i, token in enumerate(self.table.tokens)}
        for offset, decision in self.decisions.lines():
            source = self.numbers[decision["source"]]
            self.rows[source] += 1
            if "reason" in decision:
                self.dropped[source, DropReason(decision["reason"])] += 1
                continue
            label, name = labels[decision["token"]], f"{decision['source']}|{decision['id']}"
            self.candidates.add(decision["digest"], name, label=label, source=source, at=offset)
        known = self.measured.known
        with self.decisions.reader() as decision_at:

            def refuse(i: int) -> DropReason | None:
                if known is None:
                    return None
                decision = decision_at(self.candidates.at(i))
                return known.check(Fingerprint(decision["exact"], decision["sketch"]))

            for i, reason in fill_quotas(self.candidates, self.settings.cap, self.settings.fill, refuse):
                if reason is None:
                    self.chosen.append(i)
                else:
                    self.dropped[self.candidates.source(i), reason] += 1
        if not self.chosen:
            raise DataError(f"no row is left to learn from ({self.told()})", "Loosen the filters, or give other data")

    def told(self) -> str:
        """The reasons, the most frequent one first."""
        counts = Counter[str]()
        for (_, reason), n in self.dropped.items():
            counts[str(reason)] += n
        return ", ".join(f"{reason} {n}" for reason, n in counts.most_common())

    def write_rows(self) -> None:
        """Second pass over the sources: the chosen rows aside, then in the order of their hashes into the files."""
        kinds = [RowSet.MLT, *(RowSet(name) for name in self.settings.controls)]
        aside = self.out / ".rows.part"
        offsets = self.set_aside(aside)
        with aside.open("rb") as file:
            for kind in kinds:
                with replaced_file(self.out / _FILES[kind]) as target:
                    for i in self.candidates.shuffled(self.chosen):
                        file.seek(offsets[i])
                        base = json.loads(file.readline())
                        token = self.table.tokens[self.candidates.label(i)]
                        target.write(json_line(build_set_row(base, kind, token, self.settings.seed)))
        aside.unlink()
        for kind in set(_FILES) - set(kinds):  # of an earlier call: other rows than those of now
            (self.out / _FILES[kind]).unlink(missing_ok=True)

    def set_aside(self, path: Path) -> dict[int, int]:
        """Write the chosen rows as they come; where each begins."""
        wanted = {self.candidates.at(i): i for i in self.chosen}
        offsets: dict[int, int] = {}
        with path.open("wb") as file:
            rows = self.all_rows()
            for offset, decision in self.decisions.lines():
                number, row = next(rows, (0, None))
                if row is None or decision["digest"] != row.digest:
                    raise DataError(f"{decision['source']} changed while it was read", "Start again")
                if offset in wanted:
                    offsets[wanted[offset]] = file.tell()
                    base = self.base_row(row, wanted[offset], int(decision["length"]))
                    file.write(json_line(base).encode())
                    self.lengths.append(base["length"])
                    self.licences.setdefault(number, set()).update([row.licence] if row.licence else [])
        return offsets

    def base_row(self, row: Instruction, i: int, length: int) -> dict[str, Any]:
        """What all files tell of a chosen row."""
        token = self.table.tokens[self.candidates.label(i)]
        form = choose_form(self.settings.request_forms, self.settings.seed, row.digest)
        unit = str(self.table.unit)
        return build_base_row(self.measured.asked(row), self.measured.text_of(row), token, length, unit, form)

    def facts(self, command: str) -> DatasetFacts:
        """All counts."""
        used = Counter(self.candidates.source(i) for i in self.chosen)
        passed = Counter(self.candidates.label(i) for i in range(len(self.candidates)))
        taken = Counter(self.candidates.label(i) for i in self.chosen)
        sources = []
        for number, source in enumerate(self.sources):
            dropped = {reason: n for reason in DropReason if (n := self.dropped[number, reason])}
            rows = self.rows[number] + self.unusable[number]
            licences = tuple(sorted(self.licences.get(number, ())))
            sources.append(SourceFacts(source.source, rows, used[number], dropped, licences))
        kinds = [RowSet.MLT, *(RowSet(name) for name in self.settings.controls)]
        held_out = self.measured.contamination
        return DatasetFacts(
            title=_TITLE,
            about=_ABOUT + "".join(_SETS_ABOUT[name] for name in self.settings.controls),
            sources=tuple(sources),
            labels=tuple(LabelFacts(t.text, passed[i], taken[i]) for i, t in enumerate(self.table.tokens)),
            lengths=length_histogram(self.lengths),
            unit=str(self.table.unit),
            seed=self.settings.seed,
            command=command,
            versions=self.versions,
            settings={**self.settings.to_row(), "evaluation_prompts_kept_out": len(held_out or ())},
            files={str(kind): _FILES[kind] for kind in kinds},
            tags=("length-control", "mlt"),
        )
