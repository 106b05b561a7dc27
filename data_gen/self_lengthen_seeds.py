"""The instructions that Self-Lengthen begins with: a file's, or a small built-in set of ours."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from lengthctl.data_gen.instruction_data import WHOLE, Reading, read_rows
from lengthctl.errors import DataError
from lengthctl.normal_text import content_digest
from lengthctl.prompt_sources import as_messages
from lengthctl.prompts import stable_hash
from lengthctl.registry import did_you_mean

__all__ = ["SeedInstruction", "built_in_seeds", "read_seeds", "split_probe"]

_FORMS = (
    "Write an article for a general reader about {subject}.",
    "Write a practical guide for beginners to {subject}.",
    "Write an essay on what most people get wrong about {subject}.",
    "Write a short story in which {subject} plays the main part.",
    "Write a talk for a school class about {subject}.",
    "Write a report that weighs the costs and benefits of {subject}.",
)
_SUBJECTS = (
    "growing vegetables on a balcony",
    "travelling by night train",
    "keeping bees in a city",
    "learning an instrument as an adult",
    "repairing old furniture",
    "a village library",
    "cooking for a large family",
    "walking to work every day",
)


@dataclass(frozen=True)
class SeedInstruction:
    """One writing task."""

    id: str
    text: str
    source: str
    licence: str | None = None


def built_in_seeds() -> list[SeedInstruction]:
    """48 tasks in English: six kinds of text about eight subjects, neighbours unlike each other."""
    texts = [
        _FORMS[(turn + place) % len(_FORMS)].format(subject=subject)
        for turn in range(len(_FORMS))
        for place, subject in enumerate(_SUBJECTS)
    ]
    return [SeedInstruction(f"built-in-{i}", text, "built-in") for i, text in enumerate(texts)]


def read_seeds(source: str, *, column: str = "prompt", reading: Reading = WHOLE) -> list[SeedInstruction]:
    """`builtin`, or the rows of a .jsonl, .csv or .parquet file or hub dataset; equal instructions once.

    Args:
        source: see above.
        column: holds a text, or messages that end in the user's turn, of which that turn is taken.
        reading: which part of a hub dataset.

    Raises:
        DataError: the source or the column is missing, an instruction is none, or there is no row.
    """
    if source == "builtin":
        return built_in_seeds()
    seeds: dict[str, SeedInstruction] = {}
    for where, row in read_rows(source, reading):
        if column not in row:
            raise DataError(f"{where}: no column {column!r}{did_you_mean(column, row)}", "Name the one to use")
        text = as_messages(row[column], where)[-1]["content"].strip()
        licence = row.get("licence") or row.get("license")
        key = content_digest(text)[:16]
        seeds.setdefault(key, SeedInstruction(key, text, source, licence if isinstance(licence, str) else None))
    if not seeds:
        raise DataError(f"{source} has no rows", "Give instructions")
    return list(seeds.values())


def split_probe(
    seeds: Iterable[SeedInstruction], size: int, *, seed: int = 0
) -> tuple[Sequence[SeedInstruction], Sequence[SeedInstruction]]:
    """Instructions to train with, and those that are kept out: `size`, or a third of a small set. By a hash, so that
    the order of the seeds makes no difference to what is kept out.

    Raises:
        DataError: fewer than two.
    """
    given = list(seeds)
    if len(given) < 2:
        raise DataError("Self-Lengthen needs at least two instructions", "One is kept out to measure each round by")
    ranked = sorted(given, key=lambda one: stable_hash(f"{seed}|probe|{one.id}"))
    hidden = {one.id for one in ranked[: max(1, min(size, len(given) // 3))]}
    return [one for one in given if one.id not in hidden], [one for one in given if one.id in hidden]
