"""The files of training data for a judge, and the card that tells what is in them."""

from __future__ import annotations

from collections import Counter
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from lengthctl import __version__
from lengthctl.data_gen.dataset_card import DatasetFacts, LabelFacts, SourceFacts, dataset_card, length_histogram
from lengthctl.data_gen.decisions import json_line, replaced_file
from lengthctl.data_gen.filters import DropReason
from lengthctl.data_gen.judge_pairs import Preference, preference_row, rl_row
from lengthctl.errors import DataError
from lengthctl.judging_pairs import Place
from lengthctl.length import count_length
from lengthctl.prompts import stable_hash
from lengthctl.rundir import write_atomic, write_json

__all__ = [
    "ABOUT",
    "PLACES",
    "JudgeDataSettings",
    "JudgeFiles",
    "Tally",
    "check_used",
    "finish",
    "longer_is",
    "write_pair",
]

_FILES = {"rl": "rl.jsonl", "sft": "sft.jsonl", "held_out": "held_out.jsonl"}
PLACES: tuple[Place, Place] = ("a", "b")
ABOUT = """Pairs for a judge. `rl.jsonl` has each pair in both orders as a judge's prompt, with `better` (a or b) for \
the reward `pair_accuracy`; `sft.jsonl` has verdicts that are right, as prompt and completion; `held_out.jsonl` has \
pairs of other requests in TRL's preference format. Numbers on this page count pairs, lengths are of better texts."""


@dataclass(frozen=True)
class JudgeDataSettings:
    """How the data is made.

    Raises:
        ValueError: a value out of its range.
    """

    pairs: int = 2000
    """For training at most; a tenth as many, by `held_out`, for the test come on top."""
    held_out: float = 0.1
    """Share of requests that only the test sees, in [0, 1)."""
    max_words: int = 60
    """Of a text of known truth."""
    seed: int = 0

    def __post_init__(self) -> None:
        if self.pairs < 1 or not 0 <= self.held_out < 1 or self.max_words < 10:
            raise ValueError("pairs is at least 1, held_out in [0, 1), max_words at least 10")

    def is_held_out(self, request: str) -> bool:
        """By the request, so that no request stands on both sides."""
        return stable_hash(f"{self.seed}|{request}") < self.held_out * 2**64


@dataclass
class Tally:
    """What is counted of a source, and of all pairs."""

    rows: Counter[str] = field(default_factory=Counter)
    used: Counter[str] = field(default_factory=Counter)
    dropped: dict[str, Counter[DropReason]] = field(default_factory=dict)
    licences: dict[str, set[str]] = field(default_factory=dict)
    labels: Counter[str] = field(default_factory=Counter)
    lengths: list[int] = field(default_factory=list)
    verdicts: Counter[str] = field(default_factory=Counter)

    def drop(self, source: str, reason: DropReason) -> None:
        self.rows[source] += 1
        self.dropped.setdefault(source, Counter())[reason] += 1

    def use(self, source: str, pair: Preference, label: str) -> None:
        self.rows[source] += 1
        self.used[source] += 1
        self.labels[label] += 1
        self.lengths.append(count_length(pair.better))
        self.licences.setdefault(source, set()).update([pair.licence] if pair.licence else [])


class JudgeFiles:
    """The three files, which take their places together when all is well."""

    def __init__(self, stack: ExitStack, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._file: dict[str, IO[str]] = {
            name: stack.enter_context(replaced_file(folder / file)) for name, file in _FILES.items()
        }

    def write(self, name: str, row: dict[str, Any]) -> None:
        self._file[name].write(json_line(row))


def write_pair(files: JudgeFiles, pair: Preference, *, held_out: bool) -> None:
    if held_out:
        files.write("held_out", preference_row(pair))
        return
    for better in PLACES:
        files.write("rl", rl_row(pair, better))


def longer_is(pair: Preference) -> str:
    better, worse = count_length(pair.better), count_length(pair.worse)
    return "neither length" if better == worse else "longer" if better > worse else "shorter"


def check_used(tally: Tally) -> None:
    """Before the files take their places."""
    if not tally.lengths:
        told = ", ".join(f"{reason} {n}" for counts in tally.dropped.values() for reason, n in counts.items())
        raise DataError(f"no pair can be made ({told or 'no rows'})", "Give longer texts, or other pairs")


def finish(tally: Tally, settings: JudgeDataSettings, out: Path, about: str, command: str) -> dict[str, Any]:
    facts = DatasetFacts(
        title="Pairs for a judge",
        about=about,
        sources=tuple(
            SourceFacts(
                name,
                tally.rows[name],
                tally.used[name],
                tally.dropped.get(name, {}),
                tuple(sorted(tally.licences.get(name, ()))),
            )
            for name in tally.rows
        ),
        labels=tuple(LabelFacts(name, n, n) for name, n in sorted(tally.labels.items())),
        lengths=length_histogram(tally.lengths),
        unit="words",
        seed=settings.seed,
        command=command,
        versions={"lengthctl": __version__},
        settings={"pairs": settings.pairs, "held_out": settings.held_out, "max_words": settings.max_words},
        files=_FILES,
        tags=("judge", "preference"),
    )
    stats = {**facts.to_row(), "verdicts": dict(tally.verdicts)}
    write_json(out / "stats.json", stats)
    write_atomic(out / "README.md", dataset_card(facts))
    return stats
