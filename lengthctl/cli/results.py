"""How results are printed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from lengthctl.cli.app import emit, result_stream
from lengthctl.errors import RunFolderError

__all__ = ["print_run", "print_summary"]


def print_run(folder: Path, as_json: bool) -> None:
    """The results of a finished run.

    Raises:
        RunFolderError: it is not finished.
    """
    from lengthctl.evaluate.report import read_summary

    if not (folder / "summary.json").is_file():
        raise RunFolderError(f"{folder} is not finished", f"Go on with `lengthctl train --resume {folder}`")
    print_summary(read_summary(folder), as_json, folder / "report.html")


def print_summary(summary: dict[str, Any], as_json: bool, page: Path | None) -> None:
    """A table, and the path of the report, or one JSON object."""
    if as_json:
        emit(json.dumps(summary))
        return
    from rich.console import Console
    from rich.table import Table

    from lengthctl.evaluate.report import summary_rows

    head, rows = summary_rows(summary)
    table = Table(*head, title="Length adherence on held-out prompts, 95 % intervals", title_justify="left")
    for row in rows:
        table.add_row(*row)
    out = result_stream()
    Console(file=out, width=None if out.isatty() else 160).print(table)
    if page is not None:
        emit(f"report: {page}")
