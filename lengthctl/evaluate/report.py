"""`report.html`: one self-contained page, from a folder's summary, samples and metrics."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lengthctl.errors import DataError
from lengthctl.evaluate.browsing import SideSamples, choose_samples, read_samples
from lengthctl.evaluate.findings import verdict
from lengthctl.evaluate.problem_sections import problem_sections
from lengthctl.evaluate.rollouts import last_rollouts
from lengthctl.evaluate.sections import (
    adherence_sections,
    cost_sections,
    curve_sections,
    difference_sections,
    judge_sections,
    origin,
    sample_views,
    selection_note,
)
from lengthctl.evaluate.shown import shown
from lengthctl.evaluate.suite_sections import suite_sections
from lengthctl.evaluate.summary import Summary, parse_summary, read_summary, summary_rows
from lengthctl.evaluate.training_sections import SCATTER_STEPS, training_sections
from lengthctl.records import read_records
from lengthctl.rundir import write_atomic

__all__ = ["read_summary", "render_page", "summary_rows", "write_report"]

_TEMPLATES = Path(__file__).parent / "templates"


def write_report(run_dir: Path) -> Path:
    """Write `report.html` into a run or evaluation folder, and return its path.

    The page needs no network and no script; it stays under 2 MB, and the same folder gives the same bytes.

    Raises:
        DataError: there is no summary or no samples, or they cannot be read.
    """
    summary = parse_summary(read_summary(run_dir), str(run_dir / "summary.json"))
    samples = _samples(run_dir, summary) if summary.has_lengths else {}
    metrics = run_dir / "metrics.jsonl"
    records = [record for _, record in read_records(metrics, allow_torn_tail=True)] if metrics.is_file() else []
    rows = [row for side in samples.values() for row in side.rows]
    selection = choose_samples([side.rows for side in samples.values()], summary.seed)
    page = render_page(
        title=f"{summary.title}: {shown(run_dir.resolve().name, 80)}",
        verdict=verdict(summary, len({row.scored.prompt_id for row in rows})),
        sections=[
            *([*adherence_sections(summary, samples), *cost_sections(summary, samples)] if samples else []),
            *suite_sections(summary),
            *problem_sections(summary),
            *curve_sections(records),
            *training_sections(records, last_rollouts(run_dir, SCATTER_STEPS)),
            *judge_sections(summary),
            *(difference_sections(summary) if samples else []),
        ],
        notes=_missing(summary, samples) if samples else [],
        samples=sample_views(selection),
        selection=selection_note(selection, summary.seed),
        sides=list(samples),
        targets=list(
            dict.fromkeys(row.scored.target.label for row in sorted(rows, key=lambda r: r.scored.target.value))
        ),
        origin=origin(summary),
    )
    write_atomic(run_dir / "report.html", page)
    return run_dir / "report.html"


def _samples(run_dir: Path, summary: Summary) -> dict[str, SideSamples]:
    """Samples by side, in the summary's order; sides without a file are left out."""
    found = {}
    for side in summary.sides:
        path = run_dir / side.samples
        if not path.resolve().is_relative_to(run_dir.resolve()):
            raise DataError(f"{run_dir / 'summary.json'}: samples of `{side.name}` lie outside", "Evaluate again")
        if side.samples and path.is_file():
            read = read_samples(path, side.name)
            if read.rows:
                found[side.name] = read
    if summary.sides[-1].name not in found and (summary.is_training or not found):
        raise DataError(f"{run_dir / (summary.sides[-1].samples or 'samples')} holds no samples", "Evaluate again")
    return found


def _missing(summary: Summary, samples: Mapping[str, SideSamples]) -> list[str]:
    """What the figures leave out."""
    notes = [f"No samples of {side.name} were found." for side in summary.sides if side.name not in samples]
    for name, side in samples.items():
        for why, number in sorted(side.without.items()):
            notes.append(f"{name}: {number} requests gave no completion ({shown(why, 80)}) and count nowhere.")
    return notes


def render_page(**context: Any) -> str:
    """The page of a report, from what its template asks for."""
    from jinja2 import Environment, FileSystemLoader
    from markupsafe import Markup

    environment = Environment(
        loader=FileSystemLoader(_TEMPLATES), autoescape=True, trim_blocks=True, lstrip_blocks=True
    )
    style, script = ((_TEMPLATES / name).read_text(encoding="utf-8") for name in ("page.css", "filter.js"))
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()  # the page runs this script alone
    return environment.get_template("report.html.j2").render(
        style=Markup(style), script=Markup(script), script_digest=digest, **context
    )
