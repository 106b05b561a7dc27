"""A bench of fake parts: a base, a method that trains and one that asks for short answers, on made problems."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from solver import Solver

from lengthctl.config import Config, ModelConfig, PromptsConfig
from lengthctl.config.bench import BenchConfig
from lengthctl.config.sections import EvaluateConfig
from lengthctl.levels import LEVELS
from lengthctl.pipelines.problem_prompts import evaluation_problems
from lengthctl.pipelines.reasoning_bench_plan import BenchPlan, plan_bench
from lengthctl.problem_sources import ask_problem

PROBLEMS = 6
METHODS: dict[str, Any] = {
    "brief": {"train": {"recipe": "arithmetic", "before": ["data problems --out {out}"]}},
    "asked": {"control": "level", "points": ["name=short", "name=long"]},
}
WORDS = {"base": 40, "brief": 10, "short": 20, "long": 60}


def config_of(model: str, seed: int) -> Config:
    return Config(
        model=ModelConfig(name=model),
        prompts=PromptsConfig(targets=[]),  # type: ignore[call-arg]
        evaluate=EvaluateConfig(problems="builtin", problem_limit=PROBLEMS, samples=1),  # type: ignore[call-arg]
        run={"seed": seed},  # type: ignore[arg-type]
    )


def plan(
    out: Path,
    methods: dict[str, Any] | None = None,
    seeds: Sequence[int] = (1, 2),
    trained: Path | None = None,
    **given: Any,
) -> BenchPlan:
    bench = BenchConfig(base="base-model", seeds=list(seeds), methods=methods or METHODS, **given)
    return plan_bench(bench, out, trained=trained, load=lambda name, overrides: Config(), config_of=config_of)


def answering(model: str) -> Callable[[str], str]:
    """Every problem right, in as many words as the model and the level have."""
    right = {ask_problem(p.question): p.answer for p in evaluation_problems(config_of(model, 0))}

    def answer(text: str) -> str:
        level = next((name for name, words in LEVELS.items() if text.endswith(words)), None)
        words = WORDS[level or ("brief" if "brief" in model else "base")]
        value = next(value for question, value in right.items() if text.startswith(question))
        return " ".join(["so"] * (words - 2)) + f"\n#### {value}"

    return answer


class Engines:
    """Opens solvers; after `limit` requests over all of them comes an interrupt."""

    def __init__(self, limit: int | None = None) -> None:
        self._limit = limit
        self.opened: list[tuple[str, Solver]] = []

    @property
    def asked(self) -> int:
        return sum(solver.asked for _, solver in self.opened)

    @contextmanager
    def __call__(self, config: Config, *_: object) -> Iterator[tuple[Any, None]]:
        left = None if self._limit is None else self._limit - self.asked
        solver = Solver(answering(config.model.name), left)
        self.opened.append((config.model.name, solver))
        yield solver, None


class Trainings:
    """Stands for `lengthctl train`: leaves what a finished run leaves, or ends with `codes` first."""

    def __init__(self, *codes: int) -> None:
        self._codes = list(codes)
        self.ran: list[tuple[str, ...]] = []

    def __call__(self, words: Sequence[str]) -> int:
        self.ran.append(tuple(words))
        if words[0] != "train":
            return 0
        folder = self._folder(words)
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "config.resolved.yaml").write_text("begun")
        if self._codes and (code := self._codes.pop(0)):
            return code
        (folder / "model").mkdir()
        (folder / "summary.json").write_text(json.dumps({"minutes": {"train": 2.5}}))
        rows = [{"split": "train", "num_tokens": tokens} for tokens in (100, 250.0)]
        (folder / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
        return 0

    @staticmethod
    def _folder(words: Sequence[str]) -> Path:
        if "--resume" in words:
            return Path(words[-1])
        given = dict(word.split("=", 1) for word in words if word.startswith("run."))
        return Path(json.loads(given["run.dir"])) / json.loads(given["run.name"])
