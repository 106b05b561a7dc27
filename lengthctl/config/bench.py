"""The config of a bench: one base model, problems, seeds, and the methods that shorten what the base thinks."""

from __future__ import annotations

import re
from typing import Any

from pydantic import Field, StrictInt, field_validator, model_validator

from lengthctl.config.section import Section
from lengthctl.length import Target
from lengthctl.registry import did_you_mean

__all__ = ["BASE_NAME", "BenchConfig", "MethodSection", "MethodTraining", "ProblemsSection", "QuickSection"]

BASE_NAME = "base"
"""What results call the model that all methods are compared with."""
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9 _.+-]{0,39}")
_POINT = re.compile(r"[a-z_]+=[^=]")


class ProblemsSection(Section):
    """What every method answers."""

    source: str = "builtin"
    """`builtin`, gsm8k, math500, math or aime, or NAME=SOURCE with a file or hub id."""
    limit: int = Field(2000, ge=1)
    """At most so many problems, the same ones for every method and seed."""
    samples: int = Field(1, ge=1)
    """Completions a problem and seed."""


class MethodTraining(Section):
    """How a method trains: a recipe from the base on, in a run folder of its own for each seed.

    In all texts `{base}`, `{seed}` and `{out}` (a folder of this method and seed alone) are filled in.
    """

    recipe: str
    """A recipe's name, or a YAML file. `model.name`, `run.seed`, `run.dir` and `run.name` are the bench's."""
    overrides: list[str] = Field([])
    """key=value, as `lengthctl train` takes them; they may set `model.name` to train on from another model."""
    before: list[str] = Field([])
    """Commands that make the data, in order, as `lengthctl` takes them: `data c3ot rows.jsonl --out {out}/data`."""


class MethodSection(Section):
    """One method: a model, trained here, given, or the base, under a control. Several points make a curve."""

    train: MethodTraining | None = None
    """Train a model of its own for each seed."""
    model: str | None = None
    """A model that is there: a run folder, a model folder or a hub id; `{seed}` is filled in."""
    trained_by: str | None = None
    """Another method of this bench, whose trained model this one draws from: to combine training and control."""
    control: str = "plain"
    """How answers are drawn, NAME or NAME:option=value,..."""
    points: list[str] = Field([])
    """Options of the control, one setting each: ["value=1", "value=2"]."""
    targets: list[StrictInt | dict[str, Any]] = Field([])
    """Lengths that the request asks for, one setting each: a number of words, or a mapping with value, relation, unit,
    high, tolerance. For models that were trained to keep them."""

    @property
    def resolved_targets(self) -> list[Target]:
        """The targets as objects."""
        return [Target.parse(t if isinstance(t, dict) else {"value": t}) for t in self.targets]

    @property
    def specs(self) -> dict[str, str]:
        """Controls by the name of their point; the name is empty where there is one setting only."""
        if not self.points:
            return {"": self.control}
        joint = "," if ":" in self.control else ":"
        return {point: f"{self.control}{joint}{point}" for point in self.points}

    @model_validator(mode="after")
    def _does_something(self) -> MethodSection:
        named = [what for what in (self.train, self.model, self.trained_by) if what is not None]
        if len(named) > 1:
            raise ValueError("train, model and trained_by all say what is measured: name one")
        if self.points and self.targets:
            raise ValueError("points and targets both make the settings: name one")
        if not named and self.control == "plain" and not self.targets:
            raise ValueError("is the base itself: name train, model, trained_by, control or targets")
        for point in self.points:
            if not _POINT.match(point):
                raise ValueError(f"a point is option=value, found {point!r}")
        for what in (self.points, self.targets):
            if any(item in what[:place] for place, item in enumerate(what)):
                raise ValueError("a setting is named twice")
        try:
            _ = self.resolved_targets
        except (TypeError, ValueError) as error:
            raise ValueError(f"targets: {error}") from error
        return self


class QuickSection(Section):
    """What `--quick` changes: one seed, few problems, short trainings, to see that everything works."""

    limit: int = Field(32, ge=1)
    """Problems."""
    overrides: list[str] = Field(["trainer.max_steps=2", "evaluate.problem_limit=8", "evaluate.limit=2"])
    """For every training."""


class BenchConfig(Section):
    """A whole bench."""

    base: str
    """What all methods are compared with, and train from: a run folder, a model folder, a hub id, or the bundled
    model."""
    problems: ProblemsSection = ProblemsSection()  # type: ignore[call-arg]
    seeds: list[StrictInt] = Field([42], min_length=1)
    """Of training and of sampling; results are pooled over them."""
    max_tokens: int = Field(256, ge=1)
    """Limit of a completion; a text that it ends is not correct."""
    temperature: float = Field(1.0, ge=0)
    """Of sampling."""
    top_p: float = Field(1.0, gt=0, le=1)
    """Share of the distribution kept."""
    margin: float = Field(0.02, gt=0, lt=1)
    """A method is not inferior where the lower end of its accuracy's change lies above minus this share."""
    measure: list[str] = Field([])
    """Further key=value for measuring alone, e.g. `rollout.engines=2` or `prompts.problem_steps=[2, 6]`."""
    methods: dict[str, MethodSection] = Field(min_length=1)
    """By name."""
    quick: QuickSection = QuickSection()  # type: ignore[call-arg]

    @field_validator("seeds")
    @classmethod
    def _seeds_are_distinct(cls, seeds: list[int]) -> list[int]:
        if len(set(seeds)) < len(seeds) or any(not 0 <= seed < 2**32 for seed in seeds):
            raise ValueError("seeds are distinct whole numbers, 0 to 2**32 - 1")
        return seeds

    @field_validator("methods")
    @classmethod
    def _names_are_plain(cls, methods: dict[str, MethodSection]) -> dict[str, MethodSection]:
        for name in methods:
            if not _NAME.fullmatch(name) or name == BASE_NAME:
                raise ValueError(f"a method's name is up to 40 letters, digits, spaces or _.+-, found {name!r}")
        slugs = [name.replace(" ", "_") for name in methods]
        if len(set(slugs)) < len(slugs):
            raise ValueError("two names differ in a space alone")
        return methods

    @model_validator(mode="after")
    def _trainers_exist(self) -> BenchConfig:
        trained = [name for name, method in self.methods.items() if method.train is not None]
        for name, method in self.methods.items():
            if method.trained_by is not None and method.trained_by not in trained:
                hint = did_you_mean(method.trained_by, trained)
                raise ValueError(f"methods.{name}.trained_by names no method that trains: {method.trained_by!r}{hint}")
        return self

    def quickened(self) -> BenchConfig:
        """The same on the small budget of `quick`."""
        limit = min(self.problems.limit, self.quick.limit)
        methods = {
            name: method
            if method.train is None
            else method.model_copy(
                update={
                    "train": method.train.model_copy(
                        update={"overrides": [*method.train.overrides, *self.quick.overrides]}
                    )
                }
            )
            for name, method in self.methods.items()
        }
        problems = self.problems.model_copy(update={"limit": limit, "samples": 1})
        return self.model_copy(update={"problems": problems, "seeds": self.seeds[:1], "methods": methods})
