"""What a bench will do: its sides, the trainings that they need, and every fault told before anything is started."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from lengthctl.config.bench import BASE_NAME, BenchConfig, MethodSection
from lengthctl.decode.build import parse_control
from lengthctl.decode.control import Control
from lengthctl.errors import ConfigError, Problem
from lengthctl.length import Target
from lengthctl.pipelines.journal import digest
from lengthctl.pipelines.problem_prompts import Ask
from lengthctl.registry import did_you_mean

if TYPE_CHECKING:
    from lengthctl.config import Config

__all__ = ["BenchPlan", "Side", "TrainingJob", "file_name", "plan_bench"]

LoadRecipe = Callable[[str, list[str]], "Config"]
"""The config of a recipe's name or file, overridden; ConfigError where it is not one."""
ConfigOf = Callable[[str, int], "Config"]
"""How a model is measured with a seed."""


@dataclass(frozen=True)
class Side:
    """One setting of a method: what stands in a row of the report, and is one mark of its figure."""

    name: str
    method: str
    spec: str
    target: Target | None = None

    @property
    def control(self) -> Control:
        """Of its answers."""
        return parse_control(self.spec)

    @property
    def ask(self) -> Ask:
        """How problems are put; without a label, since a side has one way."""
        return Ask(target=self.target)


@dataclass(frozen=True)
class TrainingJob:
    """A method to be trained with a seed."""

    method: str
    seed: int
    folder: Path
    """Of the run."""
    recipe: str
    overrides: tuple[str, ...]
    before: tuple[tuple[str, ...], ...]
    """Words of the commands that make its data."""
    key: str
    """Digest of all that its model depends on; the place of the bench is none of it."""


@dataclass(frozen=True)
class BenchPlan:
    """A checked bench."""

    config: BenchConfig
    out: Path
    sides: tuple[Side, ...]
    """The base first."""
    config_of: ConfigOf
    trained: Path
    """Folder of a bench, this one or another, in which data and trained models lie."""

    def job(self, method: str, seed: int) -> TrainingJob | None:
        """The training whose model a method needs, its own or another's; None where it needs none."""
        owner = self.config.methods[method].trained_by or method
        section = self.config.methods[owner]
        return None if section.train is None else _job(self.config, self.trained, owner, section, seed)

    def model(self, side: Side, seed: int) -> str:
        """What a side is measured on: a run folder, a model folder or a hub id."""
        if side.method == BASE_NAME:
            return self.config.base
        section, job = self.config.methods[side.method], self.job(side.method, seed)
        if job is not None:
            return str(job.folder)
        return self.config.base if section.model is None else section.model.replace("{seed}", str(seed))


def plan_bench(
    config: BenchConfig,
    out: Path,
    *,
    only: Sequence[str] = (),
    trained: Path | None = None,
    load: LoadRecipe,
    config_of: ConfigOf,
) -> BenchPlan:
    """Everything that can be checked before anything is started.

    Args:
        config: of the bench.
        out: its folder; methods' run folders and data come to lie in it, unless `trained` is another.
        only: methods that will be run; empty: all. Names are checked here, and recipes of these alone.
        trained: folder of another bench, whose trained models are taken; what it lacks is trained there.
        load: reads recipes.
        config_of: reads how models are measured.

    Raises:
        ConfigError: every unknown method, control and recipe, and what is wrong in them.
    """
    problems = [
        Problem("--only", f"there is no method {name!r}{did_you_mean(name, config.methods)}")
        for name in only
        if name not in config.methods
    ]
    sides = [Side(BASE_NAME, BASE_NAME, "plain")]
    for name, section in config.methods.items():
        made = list(_sides(name, section))
        sides += made
        for side in made:
            problems += _faults(side)
        needed = not only or any(name in (one, config.methods[one].trained_by) for one in only if one in config.methods)
        if section.train is not None and needed:
            problems += _training_faults(_job(config, trained or out, name, section, config.seeds[0]), load)
    try:
        config_of(config.base, config.seeds[0])
    except ConfigError as error:
        problems += [Problem(f"measure: {problem.where}", problem.message) for problem in error.problems]
    if problems:
        raise ConfigError("bench", problems, "Nothing was started")
    return BenchPlan(config, out, tuple(sides), config_of, trained or out)


def file_name(name: str) -> str:
    """Of a side or method, for files; distinct for distinct ones of a bench."""
    slug = re.sub(r"[^A-Za-z0-9_.+=-]+", "_", name)[:60]
    return slug if slug == name.replace(" ", "_") else f"{slug}-{digest(name)[:4]}"


def _sides(name: str, section: MethodSection) -> Iterator[Side]:
    if section.targets:
        for target in section.resolved_targets:
            yield Side(f"{name} {target.label} {target.unit}", name, section.control, target)
        return
    for point, spec in section.specs.items():
        yield Side(f"{name} {point}".strip(), name, spec)


def _faults(side: Side) -> Iterator[Problem]:
    where = f"methods.{side.method}.control"
    try:
        why = side.control.refuses(side.target)
    except ConfigError as error:
        yield from (Problem(where, f"{side.spec!r}: {p.where} {p.message}") for p in error.problems)
        return
    if why is not None:
        yield Problem(where, f"{side.spec} {why}")


def _job(config: BenchConfig, out: Path, method: str, section: MethodSection, seed: int) -> TrainingJob:
    assert section.train is not None
    name = f"{file_name(method)}-{seed}"
    own = out / "data" / name

    def filled(text: str) -> str:
        for key, value in (("{base}", _model_of(config.base)), ("{seed}", str(seed)), ("{out}", str(own))):
            text = text.replace(key, value)
        return text

    place = [f"run.dir={_quoted(str(out / 'trained'))}", f"run.name={_quoted(name)}", f"run.seed={seed}"]
    overrides = (f"model.name={_quoted(_model_of(config.base))}", *map(filled, section.train.overrides), *place)
    before = tuple(tuple(map(filled, shlex.split(line))) for line in section.train.before)
    key = digest(section.train.model_dump(mode="json"), config.base, seed)
    return TrainingJob(method, seed, out / "trained" / name, section.train.recipe, overrides, before, key)


def _training_faults(job: TrainingJob, load: LoadRecipe) -> Iterator[Problem]:
    where = f"methods.{job.method}.train"
    try:
        recipe = load(job.recipe, list(job.overrides))
    except ConfigError as error:
        yield from (Problem(f"{where}.{problem.where}", problem.message) for problem in error.problems)
        return
    if recipe.rollout.backend != "vllm":
        yield Problem(where, f"rollout.backend = {recipe.rollout.backend}: training needs vllm")
    for words in job.before:
        if not words:
            yield Problem(f"{where}.before", "an empty command")


def _model_of(name: str) -> str:
    """A run folder's model, else the name itself."""
    trained = Path(name) / "model"
    return str(trained) if trained.is_dir() else name


def _quoted(value: str) -> str:
    """As YAML reads it back, whatever it holds."""
    return json.dumps(value, ensure_ascii=False)
