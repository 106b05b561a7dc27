"""The verbs that write texts for the user: `gen` and `sample`."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lengthctl.cli.app import AsJson, Overrides, RepetitionPenalty, app, emit, prepare_for
from lengthctl.cli.comparing import Controls, subjects_of
from lengthctl.cli.named import OF_TRAINING, load_named, model_overrides
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
from lengthctl.errors import ConfigError, LengthctlError, Problem

if TYPE_CHECKING:
    from lengthctl.length import Target, Unit
    from lengthctl.pipelines.generation import GenItem

__all__: list[str] = []

_DEFAULT_MODEL = "smollm2-135m-instruct"


@app.command()
def gen(
    prompt: Annotated[str | None, typer.Argument(help="What is asked, without its length; or give --in.")] = None,
    overrides: Overrides = None,
    source: Annotated[
        str | None,
        typer.Option("--in", help="File with a prompt a row (JSONL, CSV, Parquet), or - for lines of stdin."),
    ] = None,
    column: Annotated[str, typer.Option(help="Column with the prompt, text or messages.")] = "prompt",
    words: Words = None,
    tokens: Tokens = None,
    between: Between = None,
    at_most: AtMost = None,
    at_least: AtLeast = None,
    about: About = None,
    tolerance: Tolerance = None,
    unit: InUnit = None,
    control: Annotated[
        str | None, typer.Option(help="How the length is kept, NAME or NAME:option=value,...; default: close.")
    ] = None,
    n: Annotated[int, typer.Option("--n", min=1, help="Texts a prompt.")] = 1,
    model: Annotated[str, typer.Option(help="A run folder, a model folder, or a hub id.")] = _DEFAULT_MODEL,
    endpoint: Annotated[
        str | None,
        typer.Option(help="Base URL of an OpenAI-compatible server, up to /v1; --model names a model there."),
    ] = None,
    key_env: Annotated[str | None, typer.Option(help="Environment variable with the endpoint's key.")] = None,
    temperature: Annotated[float, typer.Option(min=0.0)] = 0.7,
    top_p: Annotated[float, typer.Option(help="Share of the distribution kept.")] = 1.0,
    repetition_penalty: RepetitionPenalty = 1.0,
    max_tokens: Annotated[int | None, typer.Option(min=1, help="Limit of a text; default from its length.")] = None,
    wording: Annotated[str | None, typer.Option(help="How the length is asked: {request} and {length}.")] = None,
    seed: Annotated[int, typer.Option(min=0)] = 42,
    out: Annotated[Path | None, typer.Option(help="JSONL file for the texts; an interrupted command goes on.")] = None,
    as_json: AsJson = False,
) -> None:
    """Write texts of a length: for one prompt, a file, or lines of stdin."""
    from lengthctl.decode.build import parse_control
    from lengthctl.pipelines.generation import GenSettings, generate_texts

    if source is not None and prompt is not None and "=" in prompt:
        overrides, prompt = [prompt, *(overrides or [])], None
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
    if (prompt is None) == (source is None):
        raise ConfigError("gen", [Problem("PROMPT", "give one prompt, or a file with --in, or --in - for stdin")])
    if endpoint is None and key_env is not None:
        raise ConfigError("gen", [Problem("--key-env", "has no effect without --endpoint")])
    if control is not None:
        parse_control(control)
    if not 0 < top_p <= 1:
        raise ConfigError("gen", [Problem("--top-p", f"lies above 0 and up to 1, found {top_p:g}")])
    if out is not None and source not in (None, "-") and out.exists() and out.samefile(str(source)):
        raise ConfigError("gen", [Problem("--out", f"{out} is the file that is read")])
    items = _items(prompt, source, column, target, unit)
    changes = [*OF_TRAINING, *model_overrides(model, endpoint, key_env), f"run.seed={seed}"]
    config = load_named("quickstart", [*changes, *(overrides or [])])
    from lengthctl.prompts import WORDINGS, check_wording

    if wording is not None:
        try:
            check_wording(wording)
        except ValueError as error:
            raise ConfigError("gen", [Problem("--wording", str(error))]) from error
    settings = GenSettings(control, n, temperature, top_p, repetition_penalty, max_tokens, wording or WORDINGS[0])
    prepare_for(config.rollout.backend)
    from lengthctl.progress import Narrator

    rows = generate_texts(config, items, settings, Narrator(), out=out)
    _print_texts(rows, out, as_json)
    if failed := [row["error"] for row in rows if row["error"] is not None]:
        raise LengthctlError(f"{len(failed)} of {len(rows)} texts could not be written; the last cause: {failed[-1]}")


def _items(
    prompt: str | None, source: str | None, column: str, target: Target | None, unit: Unit | None
) -> list[GenItem]:
    from lengthctl.length import Unit as Units
    from lengthctl.pipelines.gen_input import items_from_file, items_from_lines, items_from_prompts

    if prompt is not None:
        return items_from_prompts([prompt], target)
    if source == "-":
        return items_from_lines(sys.stdin, column, target, unit or Units.WORDS)
    return items_from_file(Path(str(source)), column, target, unit or Units.WORDS)


def _print_texts(rows: list[dict[str, Any]], out: Path | None, as_json: bool) -> None:
    told = [row for row in rows if row["is_hit"] is not None]
    hits = sum(row["is_hit"] for row in told)
    totals = {
        "texts": len(rows),
        "failed": sum(row["error"] is not None for row in rows),
        "with_target": len(told),
        "hits": hits,
        "drawn_tokens": sum(row["drawn_tokens"] for row in rows),
    }
    if as_json:
        emit(json.dumps({"schema": 1, "texts": rows, "totals": totals}, ensure_ascii=False))
    elif out is not None:
        share = f", {hits} of {len(told)} hit" if told else ""
        failed = f", {totals['failed']} failed: run it again for those" if totals["failed"] else ""
        emit(f"{out}: {len(rows) - totals['failed']} texts{share}, {totals['drawn_tokens']} tokens drawn{failed}")
    else:
        for row in rows:
            if len(rows) > 1:
                emit(f"--- {row['id']}")
            emit(row["text"])
            sys.stderr.write(_verdict(row) + "\n")


def _verdict(row: dict[str, Any]) -> str:
    from lengthctl.length import Target

    if row["error"] is not None:
        return f"[failed: {row['error']}]"
    if row["target"] is None:
        return f"[{row['length']} {row['unit']}]"
    hit = "hit" if row["is_hit"] else "missed"
    return f"[{row['length']} {row['unit']}, asked {Target.parse(row['target']).label}: {hit}; {row['control']}]"


@app.command()
def sample(
    words: Annotated[list[str], typer.Argument(metavar="MODEL...", help="Models or run folders; key=value overrides.")],
    controls: Controls = None,
    prompts: Annotated[int, typer.Option(min=1, help="Held-out prompts to show.")] = 2,
    as_json: AsJson = False,
) -> None:
    """Look at a few held-out texts of models or controls side by side."""
    subjects = subjects_of(words, controls, None, [f"evaluate.limit={prompts}", "evaluate.samples=1"])
    prepare_for(subjects[0].config.rollout.backend)
    import tempfile

    from lengthctl.pipelines.evaluation import run_evaluation
    from lengthctl.progress import Narrator
    from lengthctl.records import read_records

    with tempfile.TemporaryDirectory(prefix="lengthctl-sample-") as folder:
        summary = run_evaluation(subjects, Narrator(), out=Path(folder))
        texts = {
            name: [record for _, record in read_records(Path(folder) / side["samples"])]
            for name, side in summary["subjects"].items()
        }
    if as_json:
        emit(json.dumps({"schema": 1, "texts": texts}, ensure_ascii=False))
        return
    _print_side_by_side(texts)


def _print_side_by_side(texts: dict[str, list[dict[str, Any]]]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from lengthctl.cli.app import result_stream
    from lengthctl.length import Target

    out = result_stream()
    by_id: dict[str, dict[str, dict[str, Any]]] = {}
    for name, rows in texts.items():
        for row in rows:
            by_id.setdefault(row["id"], {})[name] = row
    for sides in by_id.values():
        first = next(iter(sides.values()))
        target = Target.parse(first["target"])
        title = Text(f"{first['messages'][-1]['content'][:300]}")
        table = Table(title=title, title_justify="left", show_lines=True)
        for name in sides:
            length = sides[name]["length"]
            table.add_column(Text(f"{name}\n{length} {target.unit}, asked {target.label}"), ratio=1)
        table.add_row(*(Text(row["text"]) for row in sides.values()))
        Console(file=out, width=None if out.isatty() else 160).print(table)
