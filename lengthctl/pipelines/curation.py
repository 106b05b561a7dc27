"""`lengthctl data curate`: a small set of good long texts from many, with the reason why each other row is left out.

Rows are looked at one by one (`decisions.jsonl` keeps what was found, so that a killed command goes on), graded by a
judge where there is one (its own file of verdicts does the same), then duplicates go and the best are chosen, even over
languages and lengths. Memory does not grow with the texts: about 60 bytes for each row that passes and 10 KB for each
that is no duplicate. The same rows, settings and verdicts give the same data, in whatever order the rows come.

Source: Minimum Tuning, arXiv 2410.10210, for the rule that a row states one length and keeps it. Ours: all else.
"""

from __future__ import annotations

import importlib.metadata
import json
import os
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from typing import Any

from lengthctl import __version__
from lengthctl.data_gen.curate_measure import CurateMeasure, curated_row, fingerprints_of, quality_of
from lengthctl.data_gen.curate_settings import CurationSettings
from lengthctl.data_gen.dataset_folder import DatasetAbout, Drops, refuse_other_data, write_dataset
from lengthctl.data_gen.decisions import Decisions, json_line
from lengthctl.data_gen.decontamination import Contamination
from lengthctl.data_gen.filters import DropReason
from lengthctl.data_gen.instruction_data import WHOLE, Instruction, Instructions, Reading, read_instructions
from lengthctl.data_gen.near_duplicates import NearDuplicates
from lengthctl.data_gen.subset import Passed
from lengthctl.errors import DataError
from lengthctl.evaluate.judge import Judge, JudgeStatus
from lengthctl.evaluate.judge_items import JudgeItem
from lengthctl.judging import Rubric
from lengthctl.length import Encoder
from lengthctl.normal_text import content_digest

__all__ = ["CurationSettings", "curate", "curate_rows"]

_BATCH = 128
"""Texts that a judge is asked about at once."""
_TITLE = "Curated long texts"
_ABOUT = (
    "Conversations in TRL's prompt-completion form, chosen from the sources: `target` is the length that the prompt "
    "states, `length` what the completion has of it, `words` its length in words (an ideograph counts one), `quality` "
    "what it was chosen by, in [0, 1]. `source`, `licence` and `id` say where a row comes from."
)


def curate(
    sources: Sequence[str],
    settings: CurationSettings,
    out: Path,
    *,
    command: str = "",
    judge: Judge[Rubric] | None = None,
    contamination: Contamination | None = None,
    tokenizer: Encoder | None = None,
    reading: Reading = WHOLE,
    limit: int | None = None,
    on_row: Callable[[int], None] | None = None,
) -> dict[str, Any]:
    """`curate_rows` of files or hub ids; at most `limit` rows of each."""
    read = [_First(read_instructions(source, reading), limit) for source in sources]
    return curate_rows(
        read,
        settings,
        out,
        command=command,
        judge=judge,
        contamination=contamination,
        tokenizer=tokenizer,
        on_row=on_row,
    )


class _First(Instructions):
    """The first rows of a source."""

    def __init__(self, whole: Instructions, limit: int | None) -> None:
        self.source, self._whole, self._limit = whole.source, whole, limit

    def __iter__(self) -> Iterator[Instruction]:
        self.dropped = self._whole.dropped
        return islice(iter(self._whole), self._limit)


def curate_rows(
    sources: Sequence[Instructions],
    settings: CurationSettings,
    out: Path,
    *,
    command: str = "",
    judge: Judge[Rubric] | None = None,
    contamination: Contamination | None = None,
    tokenizer: Encoder | None = None,
    on_row: Callable[[int], None] | None = None,
) -> dict[str, Any]:
    """Write the chosen rows into `out` as `write_dataset` does, with `decisions.jsonl`; what `stats.json` holds.

    An interrupted command is called again with the same arguments. `size`, `min_quality`, `near_requests`,
    `near_texts` and the judge may differ, and nothing is measured anew.

    Args:
        sources: read twice, and a third time for a judge.
        settings: see there.
        out: a folder; made when missing.
        command: as it was called, for the card.
        judge: its quality score takes the place of the heuristics; rows without grades are left out.
        contamination: prompts of an evaluation, which no row may hold; see `strict_contamination`.
        tokenizer: for lengths in tokens.
        on_row: told the number of rows measured.

    Raises:
        DataError: a source cannot be read, or no row is left.
        RunFolderError: `out` has other data, or decisions of other settings, or the sources changed.
        EndpointError, EngineError, FailureBudgetError: the judge is gone; verdicts so far are in its cache.
        ValueError: two sources of one name.
    """
    names = [source.source for source in sources]
    if len(set(names)) != len(names):
        raise ValueError(f"two sources have the same name: {', '.join(names)}")
    refuse_other_data(out, _TITLE)  # before the rows are measured and graded
    requests = NearDuplicates(threshold=settings.near_requests or 1.0, seed=settings.seed)
    texts = NearDuplicates(threshold=settings.near_texts or 1.0, seed=settings.seed)
    measure = CurateMeasure(settings, requests, texts, contamination, tokenizer)
    build = _Build(sources, measure, out)
    build.measure_rows(on_row)
    grades = {} if judge is None else build.graded(judge)
    build.choose(grades if judge is not None else None)
    about = DatasetAbout(
        _TITLE,
        _ABOUT,
        seed=settings.seed,
        command=command,
        settings={**settings.to_row(), "evaluation_prompts_kept_out": len(contamination or ())},
        tags=("curated",),
    )
    return write_dataset(out, build.rows(grades), about, drops=build.drops, measured=build.measured)


@dataclass
class _Build:
    sources: Sequence[Instructions]
    measure: CurateMeasure
    out: Path
    drops: Drops = field(default_factory=Drops)
    chosen: list[int] = field(default_factory=list)
    measured: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.settings = self.measure.settings
        self.numbers = {source.source: i for i, source in enumerate(self.sources)}
        self.passed = Passed(self.settings.seed)
        versions = {"lengthctl": __version__, "rensa": importlib.metadata.version("rensa")}
        self.decisions = Decisions(self.out / "decisions.jsonl", content_digest(self.measure.identity, versions))

    def all_rows(self) -> Iterator[Instruction]:
        """Rows of all sources."""
        return (row for source in self.sources for row in source)

    def measure_rows(self, on_row: Callable[[int], None] | None) -> None:
        """First pass: every row into the decisions."""
        done = 0

        def digest_of(row: Instruction) -> str:
            nonlocal done
            done += 1
            if on_row is not None:
                on_row(done)
            return row.digest

        try:
            self.decisions.record(self.all_rows(), digest_of, self.measure.decide)
        finally:
            self.decisions.close()
        for source in self.sources:
            for reason, n in source.dropped.items():
                self.drops.add(source.source, reason, n)

    def decided(self) -> Iterator[tuple[int, dict[str, Any], Instruction]]:
        """Every row again, with its decision and where that is."""
        rows = self.all_rows()
        for offset, decision in self.decisions.lines():
            row = next(rows, None)
            if row is None or decision["digest"] != row.digest:
                raise DataError(f"{decision['source']} changed while it was read", "Start again")
            yield offset, decision, row

    def graded(self, judge: Judge[Rubric]) -> dict[int, float]:
        """S_q in [0, 1] of every row that passed and got grades, by the place of its decision."""
        found: dict[int, float] = {}
        counts: Counter[str] = Counter()
        passed = ((offset, row) for offset, decision, row in self.decided() if "reason" not in decision)
        while batch := list(islice(passed, _BATCH)):
            items = [JudgeItem(str(at), row.messages[-1]["content"], row.completion.strip()) for at, row in batch]
            judgement = judge.judge(items)
            judgement.check_answered()
            for name, verdict in judgement.verdicts.items():
                counts[str(verdict.status)] += 1
                if verdict.status is JudgeStatus.OK:
                    found[int(name)] = judge.rubric.quality(verdict.scores)
        self.measured["verdicts"] = dict(counts)
        return found

    def choose(self, grades: dict[int, float] | None) -> None:
        """Quality, duplicates and quotas."""
        for offset, decision in self.decisions.lines():
            source = decision["source"]
            if "reason" in decision:
                self.drops.add(source, decision["reason"])
            elif grades is not None and offset not in grades:
                self.drops.add(source, DropReason.UNJUDGED)
            elif (quality := quality_of(decision, (grades or {}).get(offset))) < self.settings.min_quality:
                self.drops.add(source, DropReason.LOW_QUALITY)
            else:
                self.passed.add(
                    decision["digest"],
                    f"{source}|{decision['id']}",
                    cell=f"{decision['language'] or 'other'}, {decision['bucket']} words",
                    source=self.numbers[source],
                    at=offset,
                    words=decision["words"],
                    quality=quality,
                )
        kept = []
        with self.decisions.reader() as decision_at:
            for i, reason in self.passed.distinct(lambda i: self.refuse(decision_at(self.passed.at(i)))):
                if reason is None:
                    kept.append(i)
                else:
                    self.drops.add(self.sources[self.passed.source(i)].source, reason)
        self.chosen = self.passed.best(kept, self.settings.size)
        for i in set(kept).difference(self.chosen):
            self.drops.add(self.sources[self.passed.source(i)].source, DropReason.OVER_QUOTA)
        if not self.chosen:
            is_of_judge = grades is not None and not grades
            remedy = "See the judge's words in its file of verdicts" if is_of_judge else "Loosen the filters"
            raise DataError(f"no row is left ({self.drops.told()})", f"{remedy}, or give other data")
        self.tell_cells(kept)

    def refuse(self, decision: dict[str, Any]) -> DropReason | None:
        """Why a row is not wanted beside those that are kept."""
        requests, texts = self.measure.requests, self.measure.texts
        request, text = fingerprints_of(decision)
        reason = texts.find(text)
        if reason is DropReason.EXACT_DUPLICATE:
            return reason
        if requests.find(request):
            return DropReason.SAME_REQUEST
        if reason is not None and self.settings.near_texts is not None:
            return reason
        requests.keep(request)
        texts.keep(text)
        return None

    def tell_cells(self, kept: Sequence[int]) -> None:
        """What each class had and gave, and how good the chosen rows are."""
        had, gave = (Counter(map(self.passed.cell, rows)) for rows in (kept, self.chosen))
        self.measured["classes"] = {cell: {"distinct": had[cell], "used": gave[cell]} for cell in sorted(had)}
        qualities = [self.passed.quality(i) for i in self.chosen]
        self.measured["mean_quality"] = round(sum(qualities) / len(qualities), 4)

    def rows(self, grades: dict[int, float]) -> Iterator[dict[str, Any]]:
        """Last pass over the sources: the chosen rows aside, then in the order of their hashes."""
        aside = self.out / f".chosen-{os.getpid()}.part"
        wanted = {self.passed.at(i): i for i in self.chosen}
        offsets: dict[int, int] = {}
        names: set[int] = set()
        try:
            with aside.open("wb") as file:
                for offset, decision, row in self.decided():
                    if offset in wanted:
                        offsets[wanted[offset]] = file.tell()
                        if (name := hash((row.source, row.id))) in names:
                            row = replace(row, id=row.digest)
                        names.add(name)
                        quality = self.passed.quality(wanted[offset])
                        file.write(json_line(curated_row(row, decision, quality, grades.get(offset))).encode())
            with aside.open("rb") as read:
                for i in self.chosen:
                    read.seek(offsets[i])
                    yield json.loads(read.readline())
        finally:
            with suppress(OSError):
                aside.unlink(missing_ok=True)
