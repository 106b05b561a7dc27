"""`report.html`: one self-contained page, from a run folder's summary, samples and metrics."""

from __future__ import annotations

import json
import random
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from lengthctl.errors import DataError
from lengthctl.evaluate.plots import curve_figure, scatter_figure
from lengthctl.records import read_records
from lengthctl.rundir import write_atomic
from lengthctl.scoring import Scored

__all__ = ["read_summary", "summary_rows", "write_report"]

_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
_SHOWN_CHARACTERS = 2000
_COLUMNS = (
    ("pm", "PM %"),
    ("fm", "FM %"),
    ("mean_abs_relative_deviation", "|deviation| %"),
    ("mean_relative_deviation", "deviation %"),
    ("truncation", "truncated %"),
    ("repetition", "repeated %"),
)
_CURVES = {
    "reward": "reward",
    "mean_abs_relative_deviation": "|relative deviation|",
    "rollout_tokens_per_second": "rollout tokens/s",
}
"""Last part of a metric's name: the unit stands before it."""

Samples = list[dict[str, Any]]


def write_report(run_dir: Path) -> Path:
    """Write `report.html` into a run or evaluation folder, and return its path.

    Raises:
        DataError: there is no summary, or it cannot be read.
    """
    from jinja2 import Environment, FileSystemLoader
    from markupsafe import Markup

    summary = read_summary(run_dir)
    before, after = (_read_samples(run_dir / "samples" / f"{side}.jsonl") for side in ("before", "after"))
    if not after:
        raise DataError(f"{run_dir / 'samples' / 'after.jsonl'} holds no samples", "Evaluate again")
    figures = [
        (
            "Length against target: the band is Ruler's FM, the bar the target",
            scatter_figure(*map(_scored, (before, after))),
        )
    ]
    metrics = run_dir / "metrics.jsonl"
    if metrics.is_file():
        records = [record for _, record in read_records(metrics, allow_torn_tail=True)]
        figures.append(("Training", curve_figure(records, _curve_keys(records))))
    template = Environment(
        loader=FileSystemLoader(Path(__file__).parent / "templates"), autoescape=True, trim_blocks=True
    ).get_template("report.html.j2")
    page = template.render(
        title=f"Length adherence: {run_dir.name}",
        verdict=_verdict(summary),
        facts=_facts(summary),
        figures=[{"title": title, "svg": Markup(svg)} for title, svg in figures],  # our own SVG
        tables=_tables(summary),
        samples=_chosen(before, after, summary["seed"]),
        seed=summary["seed"],
        command=summary.get("command", "lengthctl eval"),
        config=json.dumps({k: summary[k] for k in ("config", "versions") if k in summary}, indent=2),
    )
    write_atomic(run_dir / "report.html", page)
    return run_dir / "report.html"


def _curve_keys(records: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """The run's own keys of `_CURVES`, those by target left out."""
    keys = sorted({key for record in records for key in record if "/target_" not in key})
    return {key: title for part, title in _CURVES.items() for key in keys if key.rpartition("/")[2] == part}


def summary_rows(summary: Mapping[str, Any]) -> tuple[list[str], list[list[str]]]:
    """Head and rows of the table by target, before above after; each cell with its 95 % interval."""
    head = ["target", "", *(title for _, title in _COLUMNS), "n"]
    rows = []
    sides = [side for side in ("before", "after") if side in summary]
    labels = [*summary["after"]["by_target"], "all"]
    for label in labels:
        for side in sides:
            level = summary[side]["overall"] if label == "all" else summary[side]["by_target"].get(label)
            if level is not None:
                rows.append([label, side, *(_cell(level[key]) for key, _ in _COLUMNS), str(level["pm"]["n"])])
    return head, rows


def read_summary(run_dir: Path) -> dict[str, Any]:
    """`summary.json` of a run or evaluation folder.

    Raises:
        DataError: it is missing, torn, or no summary.
    """
    path = run_dir / "summary.json"
    try:
        summary: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise DataError(f"{path} does not exist", "Finish the run first: `lengthctl train --resume RUN`") from error
    except ValueError as error:
        raise DataError(f"{path} is torn ({error})", "Remove it and finish the run again") from error
    if not isinstance(summary, dict) or "after" not in summary:
        raise DataError(f"{path} is no summary: it has no `after`", "Remove it and finish the run again")
    return summary


def _read_samples(path: Path) -> Samples:
    return [record for _, record in read_records(path)] if path.is_file() else []


def _scored(rows: Samples) -> list[Scored]:
    return [Scored.parse(row) for row in rows]


def _verdict(summary: Mapping[str, Any]) -> str:
    after = summary["after"]["overall"]
    prompts = f"{after['fm']['n']} completions of held-out prompts, seed {summary['seed']}"
    if "before" not in summary:
        return f"{_cell(after['fm'])} % of completions lie in Ruler's flexible band ({prompts})."
    before = summary["before"]["overall"]
    return (
        f"FM went from {_cell(before['fm'])} % to {_cell(after['fm'])} %, the mean absolute relative deviation from "
        f"{_cell(before['mean_abs_relative_deviation'])} % to {_cell(after['mean_abs_relative_deviation'])} % "
        f"({prompts})."
    )


def _facts(summary: Mapping[str, Any]) -> str:
    parts = [f"{stage} {minutes:.1f} min" for stage, minutes in summary.get("minutes", {}).items()]
    if "peak_memory_gib" in summary:
        parts.append(f"peak memory {summary['peak_memory_gib']:.1f} GiB")
    if "gflops_bf16" in summary:
        parts.append(f"{summary['gflops_bf16']:.0f} GFLOP/s in bf16")
    return " \u00b7 ".join(parts)


def _tables(summary: Mapping[str, Any]) -> list[dict[str, Any]]:
    head, rows = summary_rows(summary)
    note = "In brackets: 95 % intervals, bootstrap over prompts. PM and FM: Ruler's bands (arXiv 2409.18943)."
    return [{"title": "By target", "head": head, "rows": rows, "note": note}]


def _cell(metric: Mapping[str, float]) -> str:
    return f"{metric['value'] * 100:.1f} [{metric['low'] * 100:.1f}, {metric['high'] * 100:.1f}]"


def _chosen(before: Samples, after: Samples, seed: int) -> list[dict[str, Any]]:
    """Three best, three worst and four random samples of `after`, each beside `before` of the same prompt."""
    first = {_key(row): row for row in before}
    ranked = sorted(after, key=lambda row: (abs(Scored.parse(row).log_ratio), _key(row)))
    rest = ranked[3:-3]
    picks = [("best", row) for row in ranked[:3]] + [("worst", row) for row in ranked[3:][-3:]]
    picks += [("random", row) for row in random.Random(seed).sample(rest, min(4, len(rest)))]
    return [
        {
            "kind": kind,
            "prompt": _shown(row["messages"][-1]["content"]),
            "sides": [
                _side(name, r) for name, r in (("before", first.get(_key(row))), ("after", row)) if r is not None
            ],
        }
        for kind, row in picks
    ]


def _key(row: Mapping[str, Any]) -> tuple[str, str, int]:
    return str(row["prompt_id"]), Scored.parse(row).target.label, int(row.get("sample", 0))


def _side(name: str, row: Mapping[str, Any]) -> dict[str, str]:
    cut = ", cut by the limit" if row["is_truncated"] else ""
    return {"title": f"{name}: {row['length']} {row['target']['unit']}{cut}", "text": _shown(row["text"])}


def _shown(text: str) -> str:
    """Model text is hostile: no control characters (escaping is the template's), bounded, with its full size told."""
    clean = _CONTROL.sub("\ufffd", text)
    if len(clean) <= _SHOWN_CHARACTERS:
        return clean
    return f"{clean[:_SHOWN_CHARACTERS]} ... ({len(clean)} characters in all)"
