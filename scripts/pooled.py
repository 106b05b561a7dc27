"""Texts of the same sides from evaluations with several seeds, side by side."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lengthctl.evaluate.likelihood import LikelyText, TextLikelihood
from lengthctl.records import read_records
from lengthctl.scoring import Scored


@dataclass
class Pooled:
    """One side's texts of all seeds."""

    rows: list[dict[str, Any]] = field(default_factory=list)
    texts: list[Scored] = field(default_factory=list)
    """The same, as they are measured."""
    likely: list[LikelyText] = field(default_factory=list)
    """Of those whose likelihood was measured."""
    by_seed: dict[str, dict[str, Any]] = field(default_factory=dict)
    """The evaluation's own measures."""


def pooled(folders: Sequence[Path], title: Callable[[str], str]) -> tuple[dict[str, Pooled], dict[str, Any]]:
    """Sides by title in the order of the first folder, and the versions of the last; `title` names a subject."""
    sides: dict[str, Pooled] = {}
    versions: dict[str, Any] = {}
    for folder in folders:
        summary = json.loads((folder / "summary.json").read_text(encoding="utf-8"))
        versions = summary["versions"]
        for name, subject in summary["subjects"].items():
            side = sides.setdefault(title(name), Pooled())
            rows = [row for _, row in read_records(folder / subject["samples"])]
            texts = {str(row["id"]): Scored.parse(row) for row in rows}
            side.rows += rows
            side.texts += texts.values()
            side.likely += _likely(folder / "likelihood" / Path(subject["samples"]).name, texts)
            side.by_seed[seed_of(name, summary, side.by_seed)] = subject["overall"]
    return sides, versions


def seed_of(name: str, summary: Mapping[str, Any], known: Collection[str]) -> str:
    """Of a subject, told apart from those that are known: what its run's name ends in, else that of the evaluation."""
    found = re.search(r"-(\d+)(?:/model)?(?:@|$)", name) if "/" in name else None
    seed, evaluated = found[1] if found else str(summary["seed"]), f"evaluated with {summary['seed']}"
    return seed if seed not in known else f"{seed}, {evaluated}"


def _likely(file: Path, texts: Mapping[str, Scored]) -> list[LikelyText]:
    if not file.is_file():
        return []
    found = {row["id"]: TextLikelihood(row["nll"], row["nll_open"], row["tokens"]) for _, row in read_records(file)}
    return [LikelyText(text.prompt_id, text.target.label, found[name]) for name, text in texts.items() if text.text]
