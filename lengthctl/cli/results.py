"""How results are printed."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from lengthctl.cli.app import emit, result_stream
from lengthctl.errors import RunFolderError

__all__ = ["print_group", "print_run", "print_summary", "print_table"]


def print_run(folder: Path, as_json: bool) -> None:
    """The results of a finished run or evaluation.

    Raises:
        RunFolderError: it is not finished.
    """
    from lengthctl.evaluate.summary import read_summary

    if not (folder / "summary.json").is_file():
        raise RunFolderError(f"{folder} is not finished", f"Go on with `lengthctl train --resume {folder}`")
    print_summary(read_summary(folder), as_json, folder / "report.html")


def print_group(folder: Path, step: int | None, group: int | None, as_json: bool) -> None:
    """One group of completions that a run trained on: what each earned, and the advantage that came of it.

    Args:
        folder: of the run, finished or not.
        step: None for the last one recorded.
        group: its number in the step; None for the one whose rewards differ most.
        as_json: one array, the texts whole.

    Raises:
        DataError: nothing was recorded, or not this step or group.
    """
    from lengthctl.evaluate.rollouts import read_group
    from lengthctl.evaluate.shown import shown
    from lengthctl.evaluate.training_sections import group_table

    rows = read_group(folder, step, group)
    if as_json:
        emit(json.dumps([asdict(row) for row in rows]))
        return
    table = group_table(rows)
    asked = shown(" ".join(rows[0].prompt[:1000].split()), 160)
    title = f"Step {rows[0].step}, group {rows[0].group}: {asked}"
    print_table(title, table.head, [[cell.text for cell in row] for row in table.rows])


def print_summary(summary: dict[str, Any], as_json: bool, page: Path | None) -> None:
    """Tables by target and of the differences to the first side, and the path of the report; or one JSON object.

    Raises:
        DataError: it is no summary.
    """
    if as_json:
        emit(json.dumps(summary))
        return
    from lengthctl.evaluate.summary import difference_rows, parse_summary, summary_rows

    parsed = parse_summary(summary)
    print_table(f"{parsed.title}, 95 % intervals", *summary_rows(summary))
    if "subjects" in summary:
        head, rows = difference_rows(summary)
        if rows:
            unit = "percentage points, paired by prompt" if parsed.has_lengths else "paired by problem"
            print_table(f"Each minus {head[0]}, {unit}", ["", *head[1:]], rows)
    if page is not None:
        emit(f"report: {page}")


def print_table(title: str, head: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """A table on the result stream, as wide as the terminal."""
    from rich.console import Console
    from rich.table import Table

    table = Table(*head, title=title, title_justify="left")
    for row in rows:
        table.add_row(*row)
    out = result_stream()
    # a name may look like markup
    Console(file=out, width=None if out.isatty() else 184, markup=False, emoji=False).print(table)
