"""`report.html` of a bench: one self-contained page, from its `bench.json`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lengthctl.errors import DataError
from lengthctl.evaluate.bench_sections import bench_sections, bench_verdict
from lengthctl.evaluate.report import render_page
from lengthctl.evaluate.sections import origin
from lengthctl.evaluate.shown import shown
from lengthctl.evaluate.summary import Summary
from lengthctl.rundir import write_atomic

__all__ = ["BENCH_FILE", "read_bench", "write_bench_report"]

BENCH_FILE = "bench.json"
"""What a bench leaves in its folder: all that its report is made from."""
_NEEDED = ("reasoning", "problems", "problem_differences", "verdicts", "costs", "by_seed", "training", "config")


def write_bench_report(folder: Path) -> Path:
    """Write `report.html` beside `bench.json`, and return its path.

    Raises:
        DataError: there are no results, or they cannot be read.
    """
    results = read_bench(folder)
    seeds = results["seeds"]
    page = render_page(
        title=f"Accuracy and tokens, side by side: {shown(folder.resolve().name, 80)}",
        verdict=bench_verdict(results),
        sections=bench_sections(results),
        notes=_notes(results),
        samples=[],
        selection="",
        sides=[],
        targets=[],
        origin=origin(Summary((), is_training=False, raw=results, seed=seeds[0] if seeds else 0)),
    )
    write_atomic(folder / "report.html", page)
    return folder / "report.html"


def read_bench(folder: Path) -> dict[str, Any]:
    """`bench.json` of a bench's folder.

    Raises:
        DataError: it is missing, torn, or holds no bench.
    """
    path = folder / BENCH_FILE
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise DataError(f"{path} does not exist", "Run `lengthctl bench CONFIG` first") from error
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path} is torn ({error})", "Run the same `lengthctl bench` again") from error
    if not isinstance(found, Mapping) or any(key not in found for key in _NEEDED):
        raise DataError(f"{path} holds no bench", "Run `lengthctl bench CONFIG` into a folder of its own")
    return dict(found)


def _notes(results: Mapping[str, Any]) -> list[str]:
    """What the figures leave out."""
    return [
        f"{shown(one['method'], 60)}, seed {one['seed']}, failed and is left out: {shown(one['why'], 200)}"
        for one in results["failures"]
    ]
