"""Score the texts of a file against their targets."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lengthctl.errors import DataError, ModelError, first_line
from lengthctl.evaluate.metrics import summarise
from lengthctl.evaluate.tlg import tlg_name, tlg_summary
from lengthctl.length import Encoder, Target, Unit
from lengthctl.models import resolve_model
from lengthctl.pipelines.target_cells import parse_cell
from lengthctl.pipelines.text_files import Row, read_rows
from lengthctl.records import SCHEMA
from lengthctl.registry import did_you_mean
from lengthctl.rundir import write_atomic
from lengthctl.scoring import Scored, score_text

__all__ = ["Columns", "ScoredFile", "load_encoder", "score_file", "summarise_file", "write_scores"]


@dataclass(frozen=True)
class Columns:
    """Where a row keeps what. Beside these, `is_truncated`, `is_cut`, `tokens` and `drawn_tokens` are read where they
    are, as lengthctl's own records have them."""

    text: str = "text"
    target: str = "target"
    """Not read when all rows have one target."""
    group: str | None = None
    """Names the prompt, the cluster of the bootstrap; None: `prompt_id` where a row has one, else each row its own."""


@dataclass(frozen=True)
class ScoredFile:
    """The rows of a file, measured; `has_ends` where it says which texts were truncated."""

    scored: list[Scored]
    has_ends: bool


def load_encoder(model: str) -> Encoder:
    """The tokenizer of a model, for counting only: no chat template is needed.

    Raises:
        ModelError: there is none.
    """
    from transformers import AutoTokenizer

    source = resolve_model(model)
    try:
        encoder: Encoder = AutoTokenizer.from_pretrained(source)
    except (OSError, ValueError) as error:
        raise ModelError(
            f"{source} has no usable tokenizer ({first_line(error)})", "Check the folder or hub id, and your connection"
        ) from error
    return encoder


def score_file(
    path: Path, columns: Columns, *, target: Target | None, unit: Unit = Unit.WORDS, encoder: Encoder | None = None
) -> ScoredFile:
    """Measure every text of a file.

    Args:
        path: .jsonl, .json, .csv, .tsv or .parquet.
        columns: names of the columns.
        target: of all rows; None takes the column's.
        unit: of targets in the column that are bare numbers.
        encoder: counts targets in tokens, and `tokens` of rows that do not tell them.

    Raises:
        DataError: no rows, a column that some rows lack, a text or target that is none, targets in several units.
    """
    needed = [columns.text, *([columns.target] if target is None else []), *([columns.group] if columns.group else [])]
    lacking: dict[str, list[int]] = {name: [] for name in needed}
    scored: list[Scored] = []
    names: dict[str, None] = {}
    rows = 0
    has_ends = False
    for number, row in read_rows(path):
        rows += 1
        names.update(dict.fromkeys(row))
        absent = [name for name in needed if row.get(name) is None]
        for name in absent:
            lacking[name].append(number)
        if not absent:
            where = f"{path}:{number}"
            goal = target or _target(row[columns.target], unit, where)
            if goal.unit is Unit.TOKENS and encoder is None:
                raise DataError(f"{where}: a target in tokens", "Name the model whose tokens are counted: --model")
            scored.append(_score(row, columns, goal, where, number, encoder))
            has_ends = has_ends or isinstance(row.get("is_truncated"), bool)
    if not rows:
        raise DataError(f"{path} has no rows", "Check the file")
    _refuse_lacking(path, lacking, rows, list(names))
    units = sorted({str(s.target.unit) for s in scored})
    if len(units) > 1:
        raise DataError(f"{path} has targets in {' and '.join(units)}", "Score each unit in a file of its own")
    return ScoredFile(scored, has_ends)


def summarise_file(found: ScoredFile, name: str, *, seed: int, model: str = "", command: str = "") -> dict[str, Any]:
    """A summary with one subject, `name`; measures that the file cannot tell are left out. Of Ruler's nine targets it
    has the hits by level too, under `tlg`."""
    summary = summarise(found.scored, seed)
    if not found.has_ends:
        for level in (summary["overall"], *summary["by_target"].values()):
            for measure in ("truncation", "cut"):
                level.pop(measure)
    subject = {"model": model, "control": "", **summary}
    if all(tlg_name(s.target) is not None for s in found.scored):
        subject["tlg"] = tlg_summary(found.scored, seed)
    return {"schema": SCHEMA, "subjects": {name: subject}, "differences": {}, "seed": seed, "command": command}


def write_scores(path: Path, scored: list[Scored]) -> None:
    """A record a text, with its hits and scores; whole or not at all."""
    lines = []
    for s in scored:
        measured = {"pm": s.pm, "fm": s.fm, "relative_deviation": s.relative_deviation, "s_l": s.s_l}
        lines.append(json.dumps({"schema": SCHEMA, **s.to_row(), **measured}, ensure_ascii=False) + "\n")
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomic(path, "".join(lines))


def _score(row: Row, columns: Columns, target: Target, where: str, number: int, encoder: Encoder | None) -> Scored:
    text = _text(row[columns.text], where)
    tokens = _count(row, "tokens")
    if not tokens and encoder is not None:
        tokens = len(encoder.encode(text, add_special_tokens=False))
    return score_text(
        text,
        target,
        prompt_id=str(row[columns.group] if columns.group else row.get("prompt_id", number)),
        tokens=tokens,
        is_truncated=row.get("is_truncated") is True,
        tokenizer=encoder,
        drawn_tokens=_count(row, "drawn_tokens"),
        is_cut=row.get("is_cut") is True,
    )


def _count(row: Row, name: str) -> int:
    """Tokens that a row tells, 0 where it does not."""
    value = row.get(name)
    return value if type(value) is int and value > 0 else 0


def _text(value: object, where: str) -> str:
    if not isinstance(value, str):
        raise DataError(f"{where}: the text is no string but {type(value).__name__}", "Name another --text-column")
    if "\0" in value:
        raise DataError(f"{where}: the text holds a NUL character", "Mend or remove that row")
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise DataError(f"{where}: the text holds half a surrogate pair", "Mend or remove that row") from error
    return value


def _target(value: object, unit: Unit, where: str) -> Target:
    try:
        return parse_cell(value, unit)
    except ValueError as error:
        raise DataError(f"{where}: {error}", "Mend or remove that row") from error


def _refuse_lacking(path: Path, lacking: Mapping[str, list[int]], rows: int, names: list[str]) -> None:
    for name, lines in lacking.items():
        if len(lines) == rows:
            raise DataError(f"{path}: no column {name!r}{did_you_mean(name, names)}", "Name the columns by option")
        if lines:
            raise DataError(
                f"{path}: {len(lines)} of {rows} rows have no {name!r}, the first on line {lines[0]}",
                "Fill or remove them",
            )
