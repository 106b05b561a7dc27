"""Sections of what goes in: the model, and the prompts with their lengths."""

from __future__ import annotations

from typing import Any

from pydantic import Field, StrictInt, field_validator, model_validator

from lengthctl.config.section import Section
from lengthctl.length import Relation, Target, Unit
from lengthctl.levels import LEVELS
from lengthctl.prompts import check_wording
from lengthctl.registry import did_you_mean

__all__ = ["ModelConfig", "PromptsConfig", "is_hub_id"]


class LoraSection(Section):
    """Low-rank adapters instead of full weights."""

    r: int = Field(16, ge=1)
    """Rank."""
    alpha: float = 32
    """Scale."""
    dropout: float = Field(0.0, ge=0, lt=1)
    """Dropout on the adapter's input."""
    target_modules: str | list[str] = "all-linear"
    """Modules that get an adapter; PEFT's names."""


class ModelConfig(Section):
    """The model that is sampled and trained."""

    name: str = "smollm2-135m-instruct"
    """The bundled model, a folder, or a hub id."""
    adapter: str | None = None
    """A LoRA adapter to merge on load; refused where it was trained on another base than `name`."""
    chat_template: str | None = None
    """None: the tokenizer's own. `chatml`: plain ChatML without default system prompt. Else a .jinja file."""
    system_prompt: str | None = None
    """Put in front of every conversation that has none."""
    lora: LoraSection | None = None
    """Train adapters instead of all weights."""


_FILE_SUFFIXES = (".jsonl", ".json", ".parquet", ".csv")


def is_hub_id(source: str) -> bool:
    """Neither the built-in set nor a file."""
    return source != "builtin" and not source.lower().endswith(_FILE_SUFFIXES)


class PromptsConfig(Section):
    """Seed prompts and the lengths asked of them."""

    source: str = "builtin"
    """`builtin`, a .jsonl, .parquet or .csv file, or a hub id."""
    subset: str | None = None
    """Config name of a hub dataset, of prompts or problems."""
    split: str = "train"
    """Split of a hub dataset, of prompts or problems."""
    eval_source: str | None = None
    """A held-out set of its own; else `eval_fraction` of `source` is held out by a hash. A text that stands in both is
    not trained."""
    eval_split: str | None = None
    """Split of a hub `eval_source`, or of `source` itself where that has a held-out split."""
    column: str = "prompt"
    """Column with text or messages."""
    eval_fraction: float = Field(0.1, gt=0, lt=1)
    """Share held out of `source`."""
    limit: int | None = Field(None, ge=1)
    """At most so many seed prompts a split."""
    targets: list[StrictInt | dict[str, Any]] = Field([10, 30, 50, 80])
    """Numbers, or mappings with value, relation, unit, high, tolerance. [] or null, the default beside `problems`: no
    length is asked."""
    relation: Relation = Relation.EXACT
    """Relation of bare numbers."""
    unit: Unit = Unit.WORDS
    """Unit of bare numbers."""
    tolerance: float | None = None
    """Relative slack of bare numbers under `about`."""
    wordings: list[str] | None = Field(None, min_length=1)
    """Forms of the demand with {request} and {length}; None takes the built-in ones."""
    mlt: bool = False
    """Demand each length by the model's meta length token, and leave it out of the prompt's words. For training on
    from a model that was tuned with `data.mlt`."""
    problems: str | None = None
    """Train on problems in place of `source`: `builtin`, gsm8k, math500, math or aime, or NAME=SOURCE with a file or
    hub id. Rows carry `answer` and `difficulty`; `limit` says how many. What `evaluate.problems` holds is not
    trained."""
    problem_steps: tuple[StrictInt, StrictInt] = (1, 4)
    """Fewest and most steps of a builtin problem, here and in `evaluate.problems`."""
    problem_digits: int = Field(1, ge=1, le=6)
    """Digits of the numbers in a builtin problem, here and in `evaluate.problems`."""
    levels: list[str] = Field([])
    """Ask each problem at each of these levels, of short, medium and long, in the words of the control `level`. Rows
    carry `level`, and a group has one."""

    @model_validator(mode="before")
    @classmethod
    def _no_length_unless_asked(cls, given: Any) -> Any:
        """Null targets are none; so are those of problems that nobody names."""
        if not isinstance(given, dict):
            return given
        is_open = "targets" not in given and given.get("problems") is not None
        return {**given, "targets": []} if is_open or given.get("targets", ...) is None else given

    @field_validator("wordings")
    @classmethod
    def _wordings_have_both_places(cls, wordings: list[str] | None) -> list[str] | None:
        for form in wordings or ():
            check_wording(form)
        return wordings

    @property
    def resolved_targets(self) -> list[Target]:
        """The targets as objects."""
        base = {"relation": self.relation, "unit": self.unit, "tolerance": self.tolerance}
        return [Target.parse({**base, **(t if isinstance(t, dict) else {"value": t})}) for t in self.targets]

    @model_validator(mode="after")
    def _targets_are_valid(self) -> PromptsConfig:
        try:
            _ = self.resolved_targets
        except TypeError as error:
            raise ValueError(f"targets: a target has value, relation, unit, high, tolerance ({error})") from error
        except ValueError as error:
            raise ValueError(f"targets: {error}") from error
        return self

    @model_validator(mode="after")
    def _problems_have_effect(self) -> PromptsConfig:
        low, high = self.problem_steps
        if not 1 <= low <= high <= 50:
            raise ValueError(f"problem_steps are two whole numbers, 1 <= fewest <= most <= 50, found {[low, high]}")
        for level in self.levels:
            if level not in LEVELS:
                raise ValueError(f"levels are {', '.join(LEVELS)}, found {level!r}{did_you_mean(level, LEVELS)}")
        if len(set(self.levels)) < len(self.levels):
            raise ValueError(f"levels names one twice: {', '.join(self.levels)}")
        if self.levels and self.problems is None:
            raise ValueError("levels have no effect without problems")
        if self.levels and self.targets:
            raise ValueError("levels and targets both say how long: set targets to []")
        if self.problems is None or self.targets:
            return self
        for key in ("source", "eval_source", "eval_split", "column", "eval_fraction", "wordings", "mlt"):
            if getattr(self, key) != PromptsConfig.model_fields[key].default:
                raise ValueError(f"{key} has no effect with problems that are asked without targets")
        return self

    @model_validator(mode="after")
    def _eval_split_has_a_source(self) -> PromptsConfig:
        source = self.eval_source or self.source
        if self.eval_split is not None and not is_hub_id(source):
            raise ValueError(f"eval_split has no effect: {source} is no hub dataset")
        return self
