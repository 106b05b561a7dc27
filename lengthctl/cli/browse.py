"""The verbs that only read: `ls show init check rewards env`."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lengthctl.cli.app import AsJson, Overrides, app, emit
from lengthctl.cli.named import find_recipe, load_named, recipes
from lengthctl.cli.results import print_group, print_run
from lengthctl.errors import ConfigError, Problem

if TYPE_CHECKING:
    from lengthctl.rewards.catalog import RewardInfo

__all__: list[str] = []


@app.command(name="ls")
def list_recipes(runs: Annotated[Path, typer.Option(help="Where run folders lie.")] = Path("runs")) -> None:
    """List recipes and runs."""
    from lengthctl.rundir import RESOLVED_CONFIG

    for path in recipes():
        title = path.read_text(encoding="utf-8").splitlines()[0].lstrip("# ")
        emit(f"recipe  {path.stem:<16} {title}")
    for path in sorted(runs.glob(f"*/{RESOLVED_CONFIG}")):
        state = "finished" if (path.parent / "summary.json").is_file() else "unfinished"
        emit(f"run     {path.parent.name:<16} {state}")


@app.command()
def show(
    target: Annotated[str, typer.Argument(help="A recipe, a YAML file, or a run folder.")],
    overrides: Overrides = None,
    trl: Annotated[bool, typer.Option("--trl", help="Only TRL's options, as YAML.")] = False,
    step: Annotated[int | None, typer.Option(help="Of a run: one group of this training step.")] = None,
    group: Annotated[int | None, typer.Option(help="Its number; without it, that whose rewards differ most.")] = None,
    as_json: AsJson = False,
) -> None:
    """Print a config as it would run, each key with its meaning, or the results of a run, or a group it trained on."""
    if Path(target).is_dir():
        if step is None and group is None:
            print_run(Path(target), as_json)
        else:
            print_group(Path(target), step, group, as_json)
        return
    from lengthctl.config import explained_yaml, to_yaml

    config = load_named(target, overrides)
    if trl:
        from lengthctl.trl_fields import trainer_defaults

        data = {**trainer_defaults(config.train.method), **config.trainer, "seed": config.run.seed}
        emit(json.dumps(data) if as_json else to_yaml(data).rstrip())
        return
    emit(json.dumps(config.model_dump(mode="json", by_alias=True)) if as_json else explained_yaml(config).rstrip())


@app.command()
def init(
    recipe: str, path: Annotated[Path | None, typer.Argument(help="Where to; default RECIPE.yaml.")] = None
) -> None:
    """Copy a recipe to edit."""
    target = path or Path(f"{recipe}.yaml")
    if target.exists():
        raise ConfigError(str(target), [Problem("file", "exists already; name another")])
    text = find_recipe(recipe).read_text(encoding="utf-8")
    try:
        target.write_text(text, encoding="utf-8")
    except OSError as error:
        raise ConfigError(str(target), [Problem("file", error.strerror or str(error))]) from error
    emit(str(target))


@app.command()
def check(config: str, overrides: Overrides = None) -> None:
    """Check a config and the rows of its data and prompts, without starting anything; of the hub the first 64 rows."""
    from lengthctl.pipelines.row_checks import check_rows

    emit(f"{config}: ok, {check_rows(load_named(config, overrides))}")


@app.command(name="rewards")
def show_rewards(
    name: Annotated[str | None, typer.Argument(help="Show this one whole.")] = None, as_json: AsJson = False
) -> None:
    """List the rewards that a config may name, or show one with its arguments, e.g. `lengthctl rewards band`."""
    from lengthctl.rewards.catalog import describe_reward, list_rewards

    try:
        found = list_rewards() if name is None else [describe_reward(name)]
    except ValueError as error:
        raise ConfigError("rewards", [Problem(str(name), str(error))]) from error
    if as_json:
        emit(json.dumps({"rewards": [asdict(info) for info in found]} if name is None else asdict(found[0])))
        return
    for info in found:
        emit("\n".join(_whole(info)) if name is not None else _line(info))


def _line(info: RewardInfo) -> str:
    arguments = ", ".join(argument.name for argument in info.arguments)
    return f"{info.name:<15} {_range(info):<14} {info.scope:<11} {info.summary}" + (arguments and f" ({arguments})")


def _whole(info: RewardInfo) -> Iterator[str]:
    yield f"{info.name}  {_range(info)}, of a {info.scope}"
    yield from ("", info.description)
    if info.columns:
        yield from ("", f"Needs of the data: {', '.join(info.columns)}")
    for argument in info.arguments:
        given = "needed" if argument.is_needed else f"default {json.dumps(argument.default, default=str)}"
        yield from ("", f"{argument.name}: {argument.kind}; {given}", *(f"  {row}" for row in argument.doc.split("\n")))


def _range(info: RewardInfo) -> str:
    """With the default arguments."""
    low, high = (
        sign if bound is None else f"{bound:g}" for bound, sign in ((info.lowest, "-inf"), (info.highest, "inf"))
    )
    return f"[{low}, {high}]"


@app.command()
def env(as_json: AsJson = False) -> None:
    """Print versions and the machine."""
    from lengthctl.evaluate.environment import environment

    found = environment()
    lines = [f"{k:<14} {v}" for k, v in {**found.pop("versions"), **found}.items()]
    emit(json.dumps(environment()) if as_json else "\n".join(lines))
