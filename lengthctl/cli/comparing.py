"""The verb that measures and compares: `eval`."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lengthctl.cli.app import AsJson, app, prepare_for
from lengthctl.cli.bounds import FailOver, FailUnder
from lengthctl.cli.named import OF_TRAINING, load_named, load_run, model_overrides
from lengthctl.cli.results import print_summary
from lengthctl.errors import ConfigError, Problem, RunFolderError
from lengthctl.exits import fail

if TYPE_CHECKING:
    from lengthctl.pipelines.evaluation import Subject

__all__ = ["Controls", "subjects_of"]

Controls = Annotated[
    list[str] | None,
    typer.Option("--control", help="How lengths are kept, NAME or NAME:option=value,...; several are compared."),
]

_OVERRIDE = re.compile(r"[a-z_]+(\.[A-Za-z0-9_]+)*=")


@app.command(name="eval")
def evaluate(
    words: Annotated[
        list[str],
        typer.Argument(
            metavar="MODEL[@CONTROL]...",
            help="Run folders, model folders, hub ids, or the bundled model; key=value overrides.",
        ),
    ],
    controls: Controls = None,
    recipe: Annotated[
        str | None,
        typer.Option("--config", help="Prompts and sampling; default: the first run's own, else quickstart."),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Folder for summary, samples and report; an interrupted command goes on there.")
    ] = None,
    fail_under: FailUnder = None,
    fail_over: FailOver = None,
    as_json: AsJson = False,
) -> None:
    """Measure how models, or controls, keep lengths on held-out prompts.

    Of several, the first is what the others are compared with, and bounds are for the others.
    """
    from lengthctl.evaluate.thresholds import EXIT_CODE, bounded_metrics, broken_bounds, parse_bounds
    from lengthctl.rundir import RESOLVED_CONFIG

    bounds = parse_bounds(fail_under, fail_over)
    if out is not None and (out / RESOLVED_CONFIG).is_file():
        raise RunFolderError(f"{out} holds a run, whose results would be replaced", "Name another folder")
    subjects = subjects_of(words, controls, recipe, [])
    prepare_for(subjects[0].config.rollout.backend)
    from lengthctl.evaluate.report import write_report
    from lengthctl.pipelines.evaluation import run_evaluation
    from lengthctl.progress import Narrator

    summary = run_evaluation(subjects, Narrator(), out=out)
    print_summary(summary, as_json, write_report(out) if out is not None else None)
    sides = summary["subjects"]
    judged = list(sides)[1:] or list(sides)  # the first of several is what they are compared with
    broken = [
        line
        for name in judged
        for line in broken_bounds(bounds, bounded_metrics(summary, name), name if len(sides) > 1 else "")
    ]
    if broken:
        fail("; ".join(broken), EXIT_CODE)


def subjects_of(words: list[str], controls: list[str] | None, recipe: str | None, changes: list[str]) -> list[Subject]:
    """Every model under every control, or under its own, on the prompts and with the sampling of one config.

    Args:
        words: models, `MODEL@CONTROL` for one under a control of its own, and overrides among them.
        controls: as `parse_control` takes them; None: the prompt alone.
        recipe: config for all; None: of the first model's run, else the quickstart's.
        changes: overrides that the verb makes.

    Raises:
        ConfigError: no model, an unknown control, the same side twice.
    """
    from lengthctl.decode.build import parse_control
    from lengthctl.pipelines.evaluation import Subject

    overrides = [word for word in words if _OVERRIDE.match(word)]
    models = [_with_own_control(word) for word in words if not _OVERRIDE.match(word)]
    if not models:
        raise ConfigError("eval", [Problem("MODEL", "is missing")], "Name a model or a run folder")
    specs = controls or ["plain"]
    for spec in specs:
        parse_control(spec)
    own = _own_run(models[0][0]) if recipe is None else None
    subjects = []
    for model, spec_of_its_own in models:
        given = [*OF_TRAINING, *changes, *overrides]
        is_remote = "rollout.backend=endpoint" in overrides
        given += [f"rollout.endpoint.model={model}"] if is_remote else model_overrides(model, None, None)
        config = load_run(own, given) if own is not None else load_named(recipe or "quickstart", given)
        if spec_of_its_own is not None:
            subjects.append(Subject(f"{model}@{spec_of_its_own}", config, spec_of_its_own))
            continue
        for spec in specs:
            name = model if len(specs) == 1 else spec if len(models) == 1 else f"{model} {spec}"
            subjects.append(Subject(name, config, spec))
    names = [subject.name for subject in subjects]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise ConfigError("eval", [Problem(twice[0], "is named twice: a report could not tell them apart")])
    return subjects


def _with_own_control(word: str) -> tuple[str, str | None]:
    """`MODEL@CONTROL` in its parts; what stands behind an @ and is no control belongs to the model."""
    from lengthctl.decode.build import control_names

    model, _, spec = word.rpartition("@")
    return (model, spec) if model and spec.partition(":")[0] in control_names() else (word, None)


def _own_run(model: str) -> Path | None:
    from lengthctl.rundir import RESOLVED_CONFIG

    path = Path(model)
    return path if (path / "model").is_dir() and (path / RESOLVED_CONFIG).is_file() else None
