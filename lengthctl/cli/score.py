"""The verb that scores texts from anywhere: `score`."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import typer

from lengthctl.cli.app import AsJson, app, prepare_heavy, result_stream
from lengthctl.cli.bounds import FailOver, FailUnder
from lengthctl.cli.results import print_summary
from lengthctl.cli.targets import (
    About,
    AtLeast,
    AtMost,
    Between,
    InUnit,
    Tokens,
    Tolerance,
    Words,
    target_from_options,
)
from lengthctl.errors import ConfigError, Problem
from lengthctl.exits import fail

__all__: list[str] = []


@app.command()
def score(
    file: Annotated[Path, typer.Argument(help="A .jsonl, .json, .csv, .tsv or .parquet file.")],
    text_column: Annotated[str, typer.Option(help="Column with the texts.")] = "text",
    target_column: Annotated[
        str | None, typer.Option(help="Column with the lengths asked for; default `target` unless an option names one.")
    ] = None,
    group_column: Annotated[
        str | None, typer.Option(help="Column that names the prompt, for the intervals; default `prompt_id`, if any.")
    ] = None,
    words: Words = None,
    tokens: Tokens = None,
    between: Between = None,
    at_most: AtMost = None,
    at_least: AtLeast = None,
    about: About = None,
    tolerance: Tolerance = None,
    unit: InUnit = None,
    model: Annotated[str | None, typer.Option(help="Its tokenizer counts tokens.")] = None,
    out: Annotated[Path | None, typer.Option(help="JSONL file for the scores of each text.")] = None,
    seed: Annotated[int, typer.Option(help="Draws the bootstrap.")] = 0,
    fail_under: FailUnder = None,
    fail_over: FailOver = None,
    as_json: AsJson = False,
) -> None:
    """Score texts of a file against the lengths that were asked for."""
    from lengthctl.evaluate.thresholds import EXIT_CODE, broken_bounds, parse_bounds
    from lengthctl.length import Unit
    from lengthctl.pipelines.score_file import Columns, load_encoder, score_file, summarise_file, write_scores

    bounds = parse_bounds(fail_under, fail_over)
    target = target_from_options(
        words=words,
        tokens=tokens,
        between=between,
        at_most=at_most,
        at_least=at_least,
        about=about,
        tolerance=tolerance,
        unit=unit,
    )
    if target is not None and target_column is not None:
        raise ConfigError("options", [Problem("--target-column", f"has no effect: an option asks for {target.label}")])
    if out is not None and out.exists() and out.samefile(file):
        raise ConfigError("options", [Problem("--out", f"{out} is the file that is read")])
    encoder = None
    if model is not None:
        prepare_heavy()
        encoder = load_encoder(model)
    columns = Columns(text_column, target_column or "target", group_column)
    found = score_file(file, columns, target=target, unit=unit or Unit.WORDS, encoder=encoder)
    command = shlex.join(["lengthctl", *sys.argv[1:]])
    summary = summarise_file(found, file.stem, seed=seed, model=model or "", command=command)
    if out is not None:
        write_scores(out, found.scored)
    print_summary(summary, as_json, None)
    (subject,) = summary["subjects"].values()
    if not as_json and "tlg" in subject:
        _print_levels(subject["tlg"]["as_ruler"])
    broken = broken_bounds(bounds, subject["overall"])
    if broken:
        fail("; ".join(broken), EXIT_CODE)


def _print_levels(levels: Mapping[str, Mapping[str, float] | None]) -> None:
    """Ruler's table: hits by target and level, in percent."""
    from rich.console import Console
    from rich.table import Table

    table = Table("TLG", "PM %", "FM %", "n", title="As Ruler counts, levels pooled", title_justify="left")
    for name, hits in levels.items():
        if hits is not None:
            table.add_row(name, f"{100 * hits['pm']:.2f}", f"{100 * hits['fm']:.2f}", str(hits["n"]))
    out = result_stream()
    Console(file=out, width=None if out.isatty() else 160).print(table)
