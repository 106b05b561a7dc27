"""The bench: methods that shorten reasoning, trained and measured on the same problems and seeds, in one report."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from lengthctl.config.bench import BASE_NAME
from lengthctl.errors import LengthctlError, RunFolderError
from lengthctl.evaluate.bench_report import BENCH_FILE
from lengthctl.evaluate.environment import environment
from lengthctl.pipelines.problem_bench import problem_tasks
from lengthctl.pipelines.problem_prompts import evaluation_problems
from lengthctl.pipelines.reasoning_bench_measure import OpenSource, measure_side, opened_source, read_side
from lengthctl.pipelines.reasoning_bench_plan import BenchPlan, Side
from lengthctl.pipelines.reasoning_bench_results import BenchFound, Failure, bench_results
from lengthctl.pipelines.reasoning_bench_training import RunCommand, read_trained, run_lengthctl, train_method
from lengthctl.rundir import write_json

if TYPE_CHECKING:
    from pathlib import Path

    from lengthctl.config import Config
    from lengthctl.problem_sources import Problem
    from lengthctl.progress import Narrator

__all__ = ["run_bench"]


def run_bench(
    plan: BenchPlan,
    narrator: Narrator,
    *,
    only: Sequence[str] = (),
    run: RunCommand = run_lengthctl,
    opened: OpenSource = opened_source,
) -> dict[str, Any]:
    """Measure and train seed by seed; the results so far are written behind each. What is done is not done again.

    What needs no training comes first in each seed, so that a base that cannot be measured, or a folder of other
    settings, is told before hours of training. A method that fails is told and left out, and the others go on.

    Args:
        plan: a checked bench.
        narrator: shows progress.
        only: methods to run; empty: all. Of the others what stands in the folder is reported.
        run: carries out the commands of trainings.
        opened: opens backends.

    Returns:
        What `bench.json` holds: see `bench_results`.

    Raises:
        LengthctlError: the base could not be measured, or a folder holds a bench with other settings.
    """
    chosen = set(only or plan.config.methods) | {BASE_NAME}
    problems = evaluation_problems(plan.config_of(plan.config.base, plan.config.seeds[0]))
    bench, results = _Bench(plan, narrator, problems, chosen, run, opened), dict[str, Any]()
    for seed in plan.config.seeds:
        with narrator.stage("measure"):
            bench.measure(seed, is_trained=False)
        with narrator.stage("train"):
            bench.train(seed)
        with narrator.stage("measure"):
            bench.measure(seed, is_trained=True)
        results = {
            "schema": 1,
            "base": plan.config.base,
            "problem_count": len(problems),
            "seeds": [s for s in plan.config.seeds if s in bench.found.measured.get(BASE_NAME, {})],
            **bench_results(plan, bench.found),
            "minutes": {name: spent / 60 for name, spent in narrator.stages.items()},
            "command": shlex.join(["lengthctl", *sys.argv[1:]]),
            "versions": environment()["versions"],
            "config": plan.config.model_dump(mode="json"),
        }
        write_json(plan.out / BENCH_FILE, results)
    return results


class _Bench:
    """The state of a run: what was found, and what failed."""

    def __init__(
        self,
        plan: BenchPlan,
        narrator: Narrator,
        problems: Sequence[Problem],
        chosen: set[str],
        run: RunCommand,
        opened: OpenSource,
    ) -> None:
        self.found = BenchFound()
        self._plan = plan
        self._narrator = narrator
        self._problems = problems
        self._chosen = chosen
        self._run = run
        self._opened = opened

    def train(self, seed: int) -> None:
        """Every method that a chosen one needs; of the others what is there."""
        for method, section in self._plan.config.methods.items():
            job = self._plan.job(method, seed)
            if job is None or section.train is None:
                continue
            try:
                done = train_method(job, self._run, self._narrator) if self._is_needed(method) else read_trained(job)
            except RunFolderError:
                raise
            except LengthctlError as error:
                self._fail(method, seed, str(error))
                continue
            if done is not None:
                self.found.trained.setdefault(method, {})[seed] = done

    def measure(self, seed: int, *, is_trained: bool) -> None:
        """Every side whose model is trained here and there, or every other one; those of one model in one opening."""
        owed: dict[str, list[Side]] = {}
        for side in self._plan.sides:
            job = None if side.method == BASE_NAME else self._plan.job(side.method, seed)
            if (job is not None) is not is_trained:
                continue
            if job is not None and seed not in self.found.trained.get(job.method, {}):
                continue
            model = self._plan.model(side, seed)
            kept = self._kept(side, model, seed)
            if kept is not None:
                self.found.measured.setdefault(side.name, {})[seed] = kept
            elif side.method in self._chosen:
                owed.setdefault(model, []).append(side)
        for model, sides in owed.items():
            try:
                self._measure_model(model, sides, seed)
            except RunFolderError:
                raise
            except LengthctlError as error:
                if any(side.method == BASE_NAME for side in sides):
                    raise
                for method in dict.fromkeys(side.method for side in sides):
                    self._fail(method, seed, str(error))

    def _is_needed(self, method: str) -> bool:
        return any(
            method in (name, section.trained_by)
            for name, section in self._plan.config.methods.items()
            if name in self._chosen
        )

    def _kept(self, side: Side, model: str, seed: int) -> Any:
        try:
            return read_side(side, self._plan.config_of(model, seed), self._problems, self._folder(seed))
        except LengthctlError:  # its model is not there: told when it is measured
            return None

    def _measure_model(self, model: str, sides: Sequence[Side], seed: int) -> None:
        config = self._plan.config_of(model, seed)
        samples = config.evaluate.samples
        tasks = [task for side in sides for task in problem_tasks(config, self._problems, [side.ask], samples=samples)]
        controls = list({side.spec: side.control for side in sides}.values())
        self._narrator.say(f"seed {seed}: {', '.join(side.name for side in sides)} on {model}")
        with self._opened(config, tasks, controls, self._narrator) as source:
            for side in sides:
                self._measure_side(side, config, source, seed)

    def _measure_side(self, side: Side, config: Config, source: Any, seed: int) -> None:
        try:
            measured = measure_side(side, config, self._problems, self._folder(seed), source, self._narrator)
        except RunFolderError:
            raise
        except LengthctlError as error:
            if side.method == BASE_NAME:
                raise
            self._fail(side.name, seed, str(error))
            return
        self.found.measured.setdefault(side.name, {})[seed] = measured

    def _folder(self, seed: int) -> Path:
        return self._plan.out / "measured" / str(seed)

    def _fail(self, name: str, seed: int, why: str) -> None:
        self._narrator.say(f"{name}, seed {seed}, failed and is left out: {why}")
        self.found.failures.append(Failure(name, seed, " ".join(why.split())))
