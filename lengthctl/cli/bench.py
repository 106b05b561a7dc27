"""The verb that lays methods beside each other: `bench`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lengthctl.cli.app import AsJson, app, emit, prepare_for
from lengthctl.cli.named import OF_TRAINING, load_named, model_overrides, recipes
from lengthctl.errors import ConfigError, Problem
from lengthctl.exits import fail

if TYPE_CHECKING:
    from lengthctl.config import Config
    from lengthctl.config.bench import BenchConfig
    from lengthctl.pipelines.reasoning_bench_plan import BenchPlan

__all__ = ["find_bench", "plan_of"]


@app.command()
def bench(
    config: Annotated[str, typer.Argument(help="A YAML file, or the name of a bench that is shipped: `arithmetic`.")],
    overrides: Annotated[list[str] | None, typer.Argument(help="key=value, e.g. problems.limit=200")] = None,
    out: Annotated[
        Path | None, typer.Option(help="Folder of all that the bench makes; default: runs/bench-NAME.")
    ] = None,
    quick: Annotated[
        bool, typer.Option("--quick", help="One seed on a small budget, in a folder of its own: does it all work?")
    ] = False,
    only: Annotated[list[str] | None, typer.Option(help="Run this method alone; may be repeated.")] = None,
    trained: Annotated[
        Path | None, typer.Option(help="Folder of another bench of this config, whose trained models are taken.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Check and print the plan, start nothing.")] = False,
    as_json: AsJson = False,
) -> None:
    """Train and measure methods that shorten reasoning, on the same problems and seeds: one report.

    An interrupted command goes on where it was. A method that fails is told, and the others go on; the exit code is 1
    then.
    """
    plan = plan_of(config, overrides or [], out=out, quick=quick, only=only or [], trained=trained)
    if dry_run:
        emit(json.dumps(_planned(plan), indent=2))
        return
    prepare_for(plan.config_of(plan.config.base, plan.config.seeds[0]).rollout.backend)
    from lengthctl.evaluate.bench_report import write_bench_report
    from lengthctl.pipelines.reasoning_bench import run_bench
    from lengthctl.progress import Narrator
    from lengthctl.rundir import lock_folder

    with lock_folder(plan.out, "name another --out"):
        results = run_bench(plan, Narrator(plan.out / "stages.json"), only=only or [])
        page = write_bench_report(plan.out)
    if as_json:
        emit(json.dumps(results))
    else:
        _print_results(results, page)
    if results["failures"]:
        failed = dict.fromkeys(one["method"] for one in results["failures"])
        fail(f"failed: {', '.join(failed)}; the same command tries them again", 1)


def plan_of(
    name: str, overrides: list[str], *, out: Path | None, quick: bool, only: list[str], trained: Path | None = None
) -> BenchPlan:
    """A bench by its name or file, checked.

    Raises:
        ConfigError: every fault of the config, its controls and its recipes.
    """
    from lengthctl.config.bench_loading import load_bench
    from lengthctl.pipelines.reasoning_bench_plan import plan_bench

    path = find_bench(name)
    found = load_bench(path, overrides)
    if quick:
        found = found.quickened()
    folder = out or Path("runs") / f"bench-{path.stem}{'-quick' if quick else ''}"
    if trained is not None and not (trained / "trained").is_dir():
        raise ConfigError("bench", [Problem("--trained", f"{trained} holds no trained models of a bench")])
    return plan_bench(
        found,
        folder,
        only=only,
        trained=trained,
        load=load_named,
        config_of=lambda model, seed: _measuring(found, model, seed),
    )


def find_bench(name: str) -> Path:
    """File of a bench that is shipped; a YAML file is itself.

    Raises:
        ConfigError: there is none; the nearest is named.
    """
    path = Path(name)
    if path.suffix in (".yaml", ".yml"):
        return path
    folder = recipes()[0].parent / "bench"
    known = {file.stem: file for file in sorted(folder.glob("*.yaml"))}
    if name not in known:
        from lengthctl.registry import did_you_mean

        raise ConfigError(name, [Problem("bench", f"there is no bench {name!r}{did_you_mean(name, known)}")])
    return known[name]


def _measuring(bench: BenchConfig, model: str, seed: int) -> Config:
    """How a model is measured: problems alone, without what only a training needs."""
    problems = bench.problems
    asked = [
        f"run.seed={seed}",
        "prompts.targets=[]",
        f"evaluate.problems={json.dumps(problems.source, ensure_ascii=False)}",
        f"evaluate.problem_limit={problems.limit}",
        f"evaluate.samples={problems.samples}",
        f"evaluate.max_tokens={bench.max_tokens}",
        f"evaluate.temperature={bench.temperature}",
        f"evaluate.top_p={bench.top_p}",
    ]
    is_remote = "rollout.backend=endpoint" in bench.measure
    of_model = [f"rollout.endpoint.model={json.dumps(model)}"] if is_remote else model_overrides(model, None, None)
    return load_named("quickstart", [*OF_TRAINING, *asked, *bench.measure, *of_model])


def _planned(plan: BenchPlan) -> dict[str, Any]:
    """What would be done."""
    seed = plan.config.seeds[0]
    trained = [job for method in plan.config.methods if (job := plan.job(method, seed)) is not None]
    return {
        "out": str(plan.out),
        "sides": {side.name: {"model": plan.model(side, seed), "control": side.spec} for side in plan.sides},
        "training": {
            job.method: [" ".join(words) for words in (*job.before, ("train", job.recipe, *job.overrides))]
            for job in trained
        },
        "config": plan.config.model_dump(mode="json"),
    }


def _print_results(results: Mapping[str, Any], page: Path) -> None:
    from lengthctl.cli.results import print_table
    from lengthctl.evaluate.bench_sections import bench_rows, bench_verdict

    head, rows = bench_rows(results)
    print_table(f"{results['problem_count']} problems, 95 % intervals", head, rows)
    emit(bench_verdict(results))
    emit(f"report: {page}")
