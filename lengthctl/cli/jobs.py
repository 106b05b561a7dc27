"""The verbs of a training run: `quickstart train report`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lengthctl.cli.app import AsJson, Overrides, app, emit, hub_name, prepare_heavy
from lengthctl.cli.named import load_named, load_run
from lengthctl.cli.results import print_run, print_summary
from lengthctl.errors import ConfigError, LengthctlError, Problem
from lengthctl.exits import write_traceback

if TYPE_CHECKING:
    from lengthctl.config import Config
    from lengthctl.rundir import RunFolder

__all__: list[str] = []

Clean = Annotated[bool, typer.Option("--clean", help="Empty a used run folder first.")]


@app.command()
def quickstart(seed: int = 42, clean: Clean = False, as_json: AsJson = False) -> None:
    """Train the bundled model to keep 10, 30, 50 and 80 words, and show it before and after."""
    from lengthctl.rundir import RESOLVED_CONFIG

    name = "quickstart" if seed == 42 else f"quickstart-{seed}"
    config = load_named("quickstart", [f"run.seed={seed}", f"run.name={name}"])
    folder = Path(config.run.dir) / name
    if not clean and (folder / "summary.json").is_file():
        print_run(folder, as_json)
        return
    used = (folder / RESOLVED_CONFIG).is_file() and not clean
    _train(config, name, resume=folder if used else None, clean=clean, push=None, as_json=as_json)


@app.command()
def train(
    config: Annotated[str | None, typer.Argument(help="A recipe's name or a YAML file; --resume needs none.")] = None,
    overrides: Overrides = None,
    resume: Annotated[Path | None, typer.Option(help="Go on with this run folder.")] = None,
    clean: Clean = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Check the config and the rows of its data, print it, start nothing.")
    ] = False,
    push: Annotated[
        str | None, typer.Option(callback=hub_name, help="Hub repository for the model; uses your own login.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Run a recipe: measure, train, measure again, report."""
    if config is not None and "=" in config:
        overrides = [config, *(overrides or [])]
        config = None
    if config is None and resume is None:
        raise ConfigError(
            "train", [Problem("CONFIG", "is missing")], "Name a recipe or a YAML file, or give --resume RUN"
        )
    loaded = load_named(config, overrides) if config is not None else load_run(resume or Path(), overrides)
    if loaded.rollout.backend != "vllm":
        problem = Problem("rollout.backend", f"= {loaded.rollout.backend}: training needs vllm")
        raise ConfigError("train", [problem], "`lengthctl eval` measures through an endpoint")
    if dry_run:
        from lengthctl.pipelines.row_checks import check_rows

        check_rows(loaded)
        emit(json.dumps(loaded.model_dump(mode="json"), indent=2))
        return
    _train(loaded, Path(config or "run").stem, resume=resume, clean=clean, push=push, as_json=as_json)


@app.command()
def report(run: Annotated[Path, typer.Argument(help="A run folder, or the folder of a bench.")]) -> None:
    """Write report.html of a run or a bench again, and print its path."""
    from lengthctl.evaluate.bench_report import BENCH_FILE, write_bench_report
    from lengthctl.evaluate.report import write_report

    is_bench = (run / BENCH_FILE).is_file()
    emit(str(write_bench_report(run) if is_bench else write_report(run)))


def _train(config: Config, name: str, *, resume: Path | None, clean: bool, push: str | None, as_json: bool) -> None:
    from lengthctl.train.ranks import from_main, is_main, join_ranks, leave_ranks
    from lengthctl.trl_fields import trainer_defaults

    join_ranks({**trainer_defaults("grpo"), **config.trainer}["ddp_timeout"])
    run = _open_run(config, name, resume, clean)
    try:
        if from_main(lambda: run.is_finished):  # resumed, and nothing is owed
            summary = None
        else:
            prepare_heavy()
            summary = _run(config, run, push)
    except LengthctlError:
        raise
    except Exception as error:
        error.add_note(str(write_traceback(run.path / "error.txt")))
        raise
    finally:
        run.close()
    leave_ranks()
    if summary is not None:
        print_summary(summary, as_json, run.report)
    elif is_main():
        print_run(run.path, as_json)


def _open_run(config: Config, name: str, resume: Path | None, clean: bool) -> RunFolder:
    """The run folder, opened by the first trainer process and joined by the others."""
    from lengthctl.rundir import RunFolder
    from lengthctl.train.ranks import from_main

    opened: list[RunFolder] = []

    def first() -> Path:
        opened.append(RunFolder.resume(resume, config) if resume else RunFolder.create(config, name, clean=clean))
        return opened[0].path

    path = from_main(first)
    return opened[0] if opened else RunFolder(path, None)


def _run(config: Config, run: RunFolder, push: str | None) -> dict[str, Any] | None:
    from lengthctl.progress import Narrator
    from lengthctl.train.ranks import is_main

    narrator = Narrator(run.stages) if is_main() else Narrator(quiet=True)
    if config.train.method != "grpo":
        from lengthctl.pipelines.supervised import run_supervised

        return run_supervised(config, run, narrator, push=push)
    from lengthctl.pipelines.training import run_training

    return run_training(config, run, narrator, push=push)
