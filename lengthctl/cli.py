"""The command line. Results go to stdout, narration to stderr; heavy packages are imported inside the verbs."""

from __future__ import annotations

import json
import os
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn, TextIO

import typer

from lengthctl.errors import ConfigError, LengthctlError, Problem, RunFolderError
from lengthctl.exits import fail, fail_unforeseen, write_traceback

if TYPE_CHECKING:
    from lengthctl.config import Config
    from lengthctl.rundir import RunFolder

__all__ = ["app", "main"]

app = typer.Typer(
    rich_markup_mode=None,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Make an open LLM hit a requested length, prove it with numbers, and do it fast.",
)

Overrides = Annotated[list[str] | None, typer.Argument(help="key=value, e.g. trainer.learning_rate=2e-5")]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout.")]
Clean = Annotated[bool, typer.Option("--clean", help="Empty a used run folder first.")]

_result: TextIO = sys.stdout


@app.command()
def quickstart(seed: int = 42, clean: Clean = False, as_json: AsJson = False) -> None:
    """Train the bundled model to keep 10, 30, 50 and 80 words, and show it before and after."""
    from lengthctl.rundir import RESOLVED_CONFIG

    name = "quickstart" if seed == 42 else f"quickstart-{seed}"
    config = _load("quickstart", [f"run.seed={seed}", f"run.name={name}"])
    folder = Path(config.run.dir) / name
    if not clean and (folder / "summary.json").is_file():
        _print_run(folder, as_json)
        return
    used = (folder / RESOLVED_CONFIG).is_file() and not clean
    _train(config, name, resume=folder if used else None, clean=clean, push=None, as_json=as_json)


@app.command()
def train(
    config: Annotated[str | None, typer.Argument(help="A recipe's name or a YAML file; --resume needs none.")] = None,
    overrides: Overrides = None,
    resume: Annotated[Path | None, typer.Option(help="Go on with this run folder.")] = None,
    clean: Clean = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Check and print the config, start nothing.")] = False,
    push: Annotated[str | None, typer.Option(help="Hub repository for the model; uses your own login.")] = None,
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
    loaded = _load(config, overrides) if config is not None else _load_run(resume or Path(), overrides)
    if loaded.rollout.backend != "vllm":
        problem = Problem("rollout.backend", f"= {loaded.rollout.backend}: training needs vllm")
        raise ConfigError("train", [problem], "`lengthctl eval` measures through an endpoint")
    if dry_run:
        _emit(json.dumps(loaded.model_dump(mode="json"), indent=2))
        return
    _train(loaded, Path(config or "run").stem, resume=resume, clean=clean, push=push, as_json=as_json)


@app.command(name="eval")
def evaluate(
    model: Annotated[str, typer.Argument(help="A run folder, a model folder, a hub id, or the bundled model's name.")],
    overrides: Overrides = None,
    recipe: Annotated[
        str | None, typer.Option("--config", help="Prompts and sampling; default: the run's own, else quickstart.")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Folder for summary, samples and report.")] = None,
    as_json: AsJson = False,
) -> None:
    """Sample a model on held-out prompts and measure how its lengths keep their targets."""
    from lengthctl.rundir import RESOLVED_CONFIG

    run_model = Path(model) / "model"
    name = str(run_model) if run_model.is_dir() else model
    changes = ["model.chat_template=null", "model.adapter=null", "model.lora=null", *(overrides or [])]
    changes.append(f"model.name={json.dumps(name, ensure_ascii=False)}")  # quoted: the value is read as YAML
    if out is not None and (out / RESOLVED_CONFIG).is_file():
        raise RunFolderError(f"{out} holds a run, whose results would be replaced", "Name another folder")
    own = recipe is None and run_model.is_dir() and (Path(model) / RESOLVED_CONFIG).is_file()
    config = _load_run(Path(model), changes) if own else _load(recipe or "quickstart", changes)
    _heavy()
    from lengthctl.evaluate.report import write_report
    from lengthctl.pipelines.evaluation import run_evaluation
    from lengthctl.progress import Narrator

    summary = run_evaluation(config, Narrator(), out=out)
    _print_summary(summary, as_json, write_report(out) if out is not None else None)


@app.command()
def report(run: Annotated[Path, typer.Argument(help="A run folder.")]) -> None:
    """Write report.html of a run again, and print its path."""
    from lengthctl.evaluate.report import write_report

    _emit(str(write_report(run)))


@app.command(name="ls")
def list_recipes(runs: Annotated[Path, typer.Option(help="Where run folders lie.")] = Path("runs")) -> None:
    """List recipes and runs."""
    from lengthctl.rundir import RESOLVED_CONFIG

    for path in _recipes():
        title = path.read_text(encoding="utf-8").splitlines()[0].lstrip("# ")
        _emit(f"recipe  {path.stem:<16} {title}")
    for path in sorted(runs.glob(f"*/{RESOLVED_CONFIG}")):
        state = "finished" if (path.parent / "summary.json").is_file() else "unfinished"
        _emit(f"run     {path.parent.name:<16} {state}")


@app.command()
def show(
    target: Annotated[str, typer.Argument(help="A recipe, a YAML file, or a run folder.")],
    overrides: Overrides = None,
    trl: Annotated[bool, typer.Option("--trl", help="Only TRL's options, as YAML.")] = False,
    as_json: AsJson = False,
) -> None:
    """Print a config as it would run, each key with its meaning, or the results of a run."""
    if Path(target).is_dir():
        _print_run(Path(target), as_json)
        return
    from lengthctl.config import explained_yaml, to_yaml

    config = _load(target, overrides)
    if trl:
        from lengthctl.trl_fields import TRAINER_DEFAULTS

        data = {**TRAINER_DEFAULTS, **config.trainer, "seed": config.run.seed}
        _emit(json.dumps(data) if as_json else to_yaml(data).rstrip())
        return
    _emit(json.dumps(config.model_dump(mode="json", by_alias=True)) if as_json else explained_yaml(config).rstrip())


@app.command()
def init(
    recipe: str, path: Annotated[Path | None, typer.Argument(help="Where to; default RECIPE.yaml.")] = None
) -> None:
    """Copy a recipe to edit."""
    target = path or Path(f"{recipe}.yaml")
    if target.exists():
        raise ConfigError(str(target), [Problem("file", "exists already; name another")])
    text = _recipe(recipe).read_text(encoding="utf-8")
    try:
        target.write_text(text, encoding="utf-8")
    except OSError as error:
        raise ConfigError(str(target), [Problem("file", error.strerror or str(error))]) from error
    _emit(str(target))


@app.command()
def check(config: str, overrides: Overrides = None) -> None:
    """Check a config and its prompts without starting anything; sets of the hub are not fetched."""
    from lengthctl.prompt_sources import load_seed_prompts

    loaded = _load(config, overrides)
    sources = {loaded.prompts.source, loaded.prompts.eval_source} - {None}
    if not all(source == "builtin" or Path(str(source)).suffix for source in sources):
        _emit(f"{config}: ok")
        return
    train, held_out = (len(load_seed_prompts(loaded.prompts, split)) for split in ("train", "eval"))
    _emit(f"{config}: ok, {train} training and {held_out} held-out prompts, {len(loaded.prompts.targets)} targets each")


@app.command()
def env(as_json: AsJson = False) -> None:
    """Print versions and the machine."""
    from lengthctl.evaluate.environment import environment

    found = environment()
    lines = [f"{k:<14} {v}" for k, v in {**found.pop("versions"), **found}.items()]
    _emit(json.dumps(environment()) if as_json else "\n".join(lines))


def _train(config: Config, name: str, *, resume: Path | None, clean: bool, push: str | None, as_json: bool) -> None:
    from lengthctl.train.ranks import from_main, is_main, join_ranks, leave_ranks
    from lengthctl.trl_fields import TRAINER_DEFAULTS

    join_ranks(config.trainer.get("ddp_timeout", TRAINER_DEFAULTS["ddp_timeout"]))
    run = _open_run(config, name, resume, clean)
    try:
        if from_main(run.summary.is_file):  # resumed, and nothing is owed
            summary = None
        else:
            _heavy()
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
        _print_summary(summary, as_json, run.report)
    elif is_main():
        _print_run(run.path, as_json)


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
    from lengthctl.pipelines.training import run_training
    from lengthctl.progress import Narrator
    from lengthctl.train.ranks import is_main

    narrator = Narrator(run.stages) if is_main() else Narrator(quiet=True)
    return run_training(config, run, narrator, push=push)


def _load(name: str, overrides: list[str] | None) -> Config:
    from lengthctl.config import load_config

    return load_config(_recipe(name), overrides or [])


def _load_run(run: Path, overrides: list[str] | None) -> Config:
    from lengthctl.config import load_config
    from lengthctl.rundir import RESOLVED_CONFIG

    path = run / RESOLVED_CONFIG
    if not path.is_file():
        raise RunFolderError(f"{run} holds no run", "`lengthctl ls` lists them")
    return load_config(path, overrides or [])


def _recipe(name: str) -> Path:
    path = Path(name)
    if path.suffix in (".yaml", ".yml"):
        return path
    known = {p.stem: p for p in _recipes()}
    if name not in known:
        from lengthctl.registry import did_you_mean

        raise ConfigError(name, [Problem("recipe", f"there is no recipe {name!r}{did_you_mean(name, known)}")])
    return known[name]


def _recipes() -> list[Path]:
    here = Path(__file__).parent
    folder = next((f for f in (here / "configs", here.parent / "configs") if f.is_dir()), here)
    return sorted(folder.glob("*.yaml"))


def _print_run(folder: Path, as_json: bool) -> None:
    from lengthctl.evaluate.report import read_summary

    if not (folder / "summary.json").is_file():
        raise RunFolderError(f"{folder} is not finished", f"Go on with `lengthctl train --resume {folder}`")
    _print_summary(read_summary(folder), as_json, folder / "report.html")


def _print_summary(summary: dict[str, Any], as_json: bool, page: Path | None) -> None:
    if as_json:
        _emit(json.dumps(summary))
        return
    from rich.console import Console
    from rich.table import Table

    from lengthctl.evaluate.report import summary_rows

    head, rows = summary_rows(summary)
    table = Table(*head, title="Length adherence on held-out prompts, 95 % intervals", title_justify="left")
    for row in rows:
        table.add_row(*row)
    Console(file=_result, width=None if _result.isatty() else 160).print(table)
    if page is not None:
        _emit(f"report: {page}")


def _emit(text: str) -> None:
    _result.write(text + "\n")
    _result.flush()


def _heavy() -> None:
    """Before torch, Ray and vLLM: the last two print on file descriptor 1, which the result must not share."""
    from lengthctl.memory import keep_freed_memory

    global _result
    keep_freed_memory()
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    if _result is sys.__stdout__:
        sys.stdout.flush()
        _result = os.fdopen(os.dup(1), "w", encoding="utf-8")
        os.dup2(2, 1)
    signal.signal(signal.SIGTERM, _interrupt)
    from transformers.utils import logging

    logging.disable_progress_bar()  # "Loading weights" and the like, between our own lines


def _interrupt(*_: object) -> NoReturn:
    raise KeyboardInterrupt


def main() -> NoReturn:
    """Entry point: errors become one message and an exit code."""
    debug = "--debug" in sys.argv
    if debug:
        sys.argv.remove("--debug")
    try:
        # typer turns Ctrl-C into the exit code that it returns here
        code = app(standalone_mode=False)
    except KeyboardInterrupt:
        code = 130
    except SystemExit as leaving:  # ray.init (2.60) replaces our SIGTERM handler by one that exits with the signal
        code = 130 if leaving.code == signal.SIGTERM else leaving.code
    except LengthctlError as error:
        fail(str(error), error.exit_code)
    except Exception as error:
        fail_unforeseen(error, debug=debug)
    if code == 130:
        fail("interrupted; `lengthctl train --resume RUN` goes on from the last checkpoint", 130)
    sys.exit(code or 0)
