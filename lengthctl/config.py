"""The config: sections, defaults, reading, overrides. Imports nothing heavy, so a config is checked anywhere."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from lengthctl.errors import ConfigError, Problem
from lengthctl.length import Relation, Target, Unit
from lengthctl.registry import did_you_mean
from lengthctl.trl_fields import TRAINER_DEFAULTS, trainer_problems

__all__ = ["Config", "EndpointSection", "ModelConfig", "PromptsConfig", "config_digest", "load_config"]


class Section(BaseModel):
    """Base of every section: unknown keys are refused, values do not change."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)


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
    """A LoRA adapter to merge on load."""
    chat_template: str | None = None
    """None: the tokenizer's own. `chatml`: plain ChatML without default system prompt. Else a .jinja file."""
    system_prompt: str | None = None
    """Put in front of every conversation that has none."""
    lora: LoraSection | None = None
    """Train adapters instead of all weights."""


class PromptsConfig(Section):
    """Seed prompts and the lengths asked of them."""

    source: str = "builtin"
    """`builtin`, a .jsonl, .parquet or .csv file, or a hub id."""
    subset: str | None = None
    """Config name of a hub dataset."""
    split: str = "train"
    """Split of a hub dataset."""
    eval_source: str | None = None
    """A held-out set of its own; else `eval_fraction` of `source` is held out by a hash."""
    eval_split: str | None = None
    """Split of a hub `eval_source`."""
    column: str = "prompt"
    """Column with text or messages."""
    eval_fraction: float = Field(0.1, gt=0, lt=1)
    """Share held out of `source`."""
    limit: int | None = Field(None, ge=1)
    """At most so many seed prompts a split."""
    targets: list[int | dict[str, Any]] = Field([10, 30, 50, 80], min_length=1)
    """Numbers, or mappings with value, relation, unit, high, tolerance."""
    relation: Relation = Relation.EXACT
    """Relation of bare numbers."""
    unit: Unit = Unit.WORDS
    """Unit of bare numbers."""
    tolerance: float | None = None
    """Relative slack of bare numbers under `about`."""
    wordings: list[str] | None = None
    """Forms of the demand with {request} and {length}; None takes the built-in ones."""

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
            raise ValueError(f"a target has value, relation, unit, high, tolerance ({error})") from error
        return self


class EndpointSection(Section):
    """An OpenAI-compatible endpoint."""

    base_url: str
    """Up to and with /v1."""
    model: str
    """Model name there."""
    concurrency: int = Field(8, ge=1)
    """Requests under way at once."""
    timeout_s: float = Field(120.0, gt=0)
    """Seconds a request may take."""
    api_key_env: str = "OPENAI_API_KEY"
    """Environment variable that holds the key; never the key itself."""


class RolloutConfig(Section):
    """Where completions come from."""

    backend: Literal["vllm", "endpoint", "scripted"] = "vllm"
    """The kind of source."""
    engines: int | None = Field(None, ge=1)
    """vLLM engines; None: one."""
    threads: int | None = Field(None, ge=1)
    """Threads an engine; None: all cores shared out."""
    max_num_seqs: int = Field(64, ge=1)
    """Sequences an engine runs at once."""
    kv_cache_gib: int = Field(1, ge=1)
    """KV cache an engine, whole GiB."""
    max_model_len: int | None = Field(None, ge=1)
    """Context of the engine in tokens; None: longest prompt plus limit."""
    dtype: str = "bfloat16"
    """Precision of the engine."""
    endpoint: EndpointSection | None = None
    """For backend `endpoint`."""
    script: str | None = None
    """JSONL of completions, for backend `scripted`."""
    failure_budget: float = Field(0.02, ge=0, le=1)
    """Share of completions that may fail before the run stops."""

    @model_validator(mode="after")
    def _keys_have_effect(self) -> RolloutConfig:
        for key, backend in (("endpoint", "endpoint"), ("script", "scripted")):
            given = getattr(self, key) is not None
            if given != (self.backend == backend):
                word = "has no effect" if given else "is needed"
                raise ValueError(f"rollout.{key} {word} with rollout.backend = {self.backend}")
        return self


class RewardSpec(Section):
    """One reward in the mix."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True, populate_by_name=True)

    name: str
    """A registered name, or path/file.py:function."""
    weight: float = 1.0
    """Weight in the sum; strength of a gate, 0 to 1."""
    role: Literal["reward", "gate"] = "reward"
    """Summed, or a factor that only takes away."""
    args: dict[str, Any] = {}
    """Arguments of the reward."""
    label: str | None = Field(None, alias="as")
    """Another name for a second instance."""

    @model_validator(mode="after")
    def _buildable(self) -> RewardSpec:
        from lengthctl.rewards.combine import build_reward

        build_reward(self.name, self.args)
        if self.role == "gate" and not 0 <= self.weight <= 1:
            raise ValueError(f"the weight of a gate lies between 0 and 1, found {self.weight}")
        return self


class TrainConfig(Section):
    """What lengthctl adds to TRL's trainer."""

    method: Literal["grpo"] = "grpo"
    """The way of training."""
    keep_best: int | None = Field(None, ge=0)
    """Members of a group with the highest rewards that are trained; None trains all."""
    keep_worst: int | None = Field(None, ge=0)
    """The same for the lowest rewards."""
    micro_batch_tokens: int | None = Field(4096, ge=1)
    """Padded tokens of one forward; None takes a batch whole."""
    share_prompts: bool = True
    """Compute a group's prompt once in the update, where that is faster and the model allows it."""


class EvaluateConfig(Section):
    """Sampling of the held-out prompts."""

    samples: int = Field(2, ge=1)
    """Completions a prompt and target."""
    temperature: float = Field(1.0, ge=0)
    """As in training by default: lengths differ between temperatures."""
    top_p: float = Field(1.0, gt=0, le=1)
    """Share of the distribution kept."""
    max_tokens: int | None = Field(None, ge=1)
    """Limit; None takes trainer.max_completion_length."""
    limit: int | None = Field(None, ge=1)
    """At most so many held-out prompts."""


class RunConfig(Section):
    """The run folder and its seed."""

    name: str | None = None
    """Folder name; None takes the recipe's."""
    dir: str = "runs"
    """Parent of run folders."""
    seed: int = 42
    """Random seed."""


class Config(Section):
    """A whole recipe. `trainer` goes to TRL's GRPOConfig as it is."""

    model: ModelConfig = ModelConfig()
    prompts: PromptsConfig = PromptsConfig()  # type: ignore[call-arg]
    rollout: RolloutConfig = RolloutConfig()  # type: ignore[call-arg]
    rewards: list[RewardSpec] = Field(min_length=1)
    train: TrainConfig = TrainConfig()  # type: ignore[call-arg]
    trainer: dict[str, Any] = {}
    evaluate: EvaluateConfig = EvaluateConfig()  # type: ignore[call-arg]
    run: RunConfig = RunConfig()

    @model_validator(mode="after")
    def _fits_together(self) -> Config:
        labels = [spec.label or spec.name for spec in self.rewards]
        for label in labels:
            if labels.count(label) > 1:
                raise ValueError(f"two rewards are called {label!r}: rename one with `as:`")
        kept = (self.train.keep_best or 0) + (self.train.keep_worst or 0)
        group = int(self.trainer.get("num_generations", 8))
        if kept > group:
            raise ValueError(f"train.keep_best + train.keep_worst = {kept}, but trainer.num_generations = {group}")
        return self


def load_config(path: Path, overrides: Sequence[str] = ()) -> Config:
    """Read a recipe, apply `key=value` overrides, check everything.

    Raises:
        ConfigError: every problem at once, with the line where the file has one.
    """
    data = _read_yaml(path)
    problems: list[Problem] = []
    for override in overrides:
        key, separator, value = override.partition("=")
        if not separator:
            problems.append(Problem(override, "an override has the form key=value"))
            continue
        problem = _set(data, key.split("."), _parse_yaml(value, key))
        if problem:
            problems.append(Problem(key, problem))
    try:
        config = Config.model_validate(data)
        problems.extend(_cross_problems(config))
    except ValidationError as error:
        lines = _line_numbers(path)
        problems.extend(_problem(detail, lines) for detail in error.errors())
    trainer = data.get("trainer")
    problems.extend(trainer_problems(trainer) if isinstance(trainer, dict) else [])
    if problems:
        lines = _line_numbers(path)
        problems = [p if p.line else replace(p, line=lines.get(p.where)) for p in problems]
        raise ConfigError(str(path), problems, "Nothing was started")
    return config


# Tokens a unit needs, for the reachability check only: English text with a subword tokenizer. Ours.
_TOKENS_PER_UNIT = {Unit.TOKENS: 1.0, Unit.CHARACTERS: 0.25, Unit.SENTENCES: 20.0}
_TOKENS_PER_WORD = 1.4
_USABLE_SHARE = 0.9


def _cross_problems(config: Config) -> list[Problem]:
    """Faults that only two settings together show; the arithmetic is in the message."""
    trainer = {"num_generations": 8, "per_device_train_batch_size": 8, **TRAINER_DEFAULTS, **config.trainer}
    limit, group = trainer["max_completion_length"], trainer["num_generations"]
    problems = []
    for target in config.prompts.resolved_targets if isinstance(limit, int) else ():
        rate = _TOKENS_PER_UNIT.get(target.unit, _TOKENS_PER_WORD)
        if target.band.low * rate > _USABLE_SHARE * limit:
            need = f"{target.band.low} x {rate:g} = {target.band.low * rate:.0f} tokens"
            room = f"{_USABLE_SHARE:g} x trainer.max_completion_length = {_USABLE_SHARE * limit:.0f}"
            problems.append(
                Problem("prompts.targets", f"{target.label} {target.unit} is unreachable: {need}, but {room}")
            )
    selects = config.train.keep_best is not None or config.train.keep_worst is not None
    if selects and (trainer["steps_per_generation"] != 1 or "generation_batch_size" in trainer):
        remedy = "raise per_device_train_batch_size instead; train.micro_batch_tokens bounds its memory"
        problems.append(Problem("train.keep_best", f"needs trainer.steps_per_generation = 1: {remedy}"))
    sizes = [trainer["per_device_train_batch_size"], trainer["steps_per_generation"], group]
    if all(isinstance(size, int) and size > 0 for size in sizes) and "generation_batch_size" not in trainer:
        # one process: with more of them TRL checks the product again
        total = sizes[0] * sizes[1] * int(os.environ.get("WORLD_SIZE", "1"))
        if total % group:
            factors = "per_device_train_batch_size x steps_per_generation x processes"
            problems.append(
                Problem(
                    "trainer.num_generations", f"= {group} does not divide the generation batch {total} ({factors})"
                )
            )
    return problems


def config_digest(config: Config) -> str:
    """Digest of everything that a resumed run must not change: all but `trainer.max_steps`."""
    data = config.model_dump(mode="json")
    data["trainer"] = {k: v for k, v in data["trainer"].items() if k != "max_steps"}
    return hashlib.sha256(json.dumps(data, sort_keys=True).encode()).hexdigest()[:16]


def _read_yaml(path: Path) -> dict[str, Any]:
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigError(str(path), [Problem("file", error.strerror or str(error))]) from error
    data = _parse_yaml(text, str(path))
    if not isinstance(data, dict):
        raise ConfigError(str(path), [Problem("file", "a mapping of sections is needed")])
    return data


def _parse_yaml(text: str, where: str) -> Any:
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    try:
        return YAML(typ="safe", pure=True).load(text)
    except YAMLError as error:
        raise ConfigError(where, [Problem("yaml", " ".join(str(error).split())[:200])]) from error


def _set(data: dict[str, Any], keys: Sequence[str], value: Any) -> str | None:
    """Set a dotted key; returns the problem, if there is one. A list item is named, never counted."""
    node: Any = data
    for i, key in enumerate(keys[:-1]):
        if isinstance(node, list):
            named = {item.get("as") or item.get("name"): item for item in node if isinstance(item, dict)}
            if key not in named:
                return f"no item {key!r}{did_you_mean(key, map(str, named))}"
            node = named[key]
        else:
            if not isinstance(node.get(key), dict | list):
                node[key] = {}
            node = node[key]
        if isinstance(node, list) and i == len(keys) - 2:
            return "name a field of the list's item"
    node[keys[-1]] = value
    return None


def _problem(detail: Mapping[str, Any], lines: Mapping[str, int]) -> Problem:
    where = ".".join(map(str, detail["loc"])) or "config"
    message = str(detail["msg"]).removeprefix("Value error, ")
    if detail["type"] == "extra_forbidden":
        message = "unknown key" + did_you_mean(str(detail["loc"][-1]), _known_keys(detail["loc"][:-1]))
    elif not message[:1].islower():
        message = f"= {detail['input']!r}: {message[:1].lower()}{message[1:]}"
    return Problem(where, message, lines.get(where))


def _known_keys(location: Sequence[Any]) -> list[str]:
    model: Any = Config
    for key in location:
        if isinstance(key, int):
            continue
        annotation = model.model_fields[key].annotation
        options = [annotation, *getattr(annotation, "__args__", ())]
        model = next((o for o in options if isinstance(o, type) and issubclass(o, BaseModel)), None)
        if model is None:
            return []
    return [field.alias or name for name, field in model.model_fields.items()]


def _line_numbers(path: Path) -> dict[str, int]:
    """Line of every key, by a second parse; only needed when there is an error to show."""
    from ruamel.yaml import YAML

    lines: dict[str, int] = {}

    def walk(node: Any, prefix: str) -> None:
        mapping = hasattr(node, "items")
        items = node.items() if mapping else enumerate(node) if isinstance(node, list) else ()
        for key, value in items:
            where = f"{prefix}{key}"
            lines[where] = (node.lc.key(key)[0] if mapping else node.lc.item(key)[0]) + 1
            walk(value, f"{where}.")

    walk(YAML(typ="rt").load(path.read_text(encoding="utf-8")), "")
    return lines
