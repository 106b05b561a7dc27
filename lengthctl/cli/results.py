"""How results are printed."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lengthctl.cli.app import emit, result_stream
from lengthctl.errors import RunFolderError

__all__ = ["print_run", "print_summary"]


def print_run(folder: Path, as_json: bool) -> None:
    """The results of a finished run or evaluation.

    Raises:
        RunFolderError: it is not finished.
    """
    from lengthctl.evaluate.summary import read_summary

    if not (folder / "summary.json").is_file():
        raise RunFolderError(f"{folder} is not finished", f"Go on with `lengthctl train --resume {folder}`")
    print_summary(read_summary(folder), as_json, folder / "report.html")


def print_summary(summary: dict[str, Any], as_json: bool, page: Path | None) -> None:
    """Tables by target and of the differences to the first side, and the path of the report; or one JSON object.

    Raises:
        DataError: it is no summary.
    """
    if as_json:
        emit(json.dumps(summary))
        return
    from lengthctl.evaluate.summary import difference_rows, summary_rows

    _print_table("Length adherence, 95 % intervals", *summary_rows(summary))
    if "subjects" in summary:
        head, rows = difference_rows(summary)
        if rows:
            _print_table(f"Each minus {head[0]}, percentage points, paired by prompt", ["", *head[1:]], rows)
    if page is not None:
        emit(f"report: {page}")


def _print_table(title: str, head: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(*head, title=title, title_justify="left")
    for row in rows:
        table.add_row(*row)
    out = result_stream()
    # a name may look like markup
    Console(file=out, width=None if out.isatty() else 184, markup=False, emoji=False).print(table)
