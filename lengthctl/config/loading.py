"""Reading a recipe: YAML, `key=value` overrides, and every problem told at once."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from lengthctl.config.sections import Config
from lengthctl.config.text import parse_yaml
from lengthctl.errors import ConfigError, Problem
from lengthctl.length import Unit
from lengthctl.registry import did_you_mean
from lengthctl.trl_fields import TRAINER_DEFAULTS, trainer_problems

__all__ = ["load_config"]


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
        problem = _set(data, key.split("."), parse_yaml(value, key))
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


def _read_yaml(path: Path) -> dict[str, Any]:
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigError(str(path), [Problem("file", error.strerror or str(error))]) from error
    data = parse_yaml(text, str(path))
    if not isinstance(data, dict):
        raise ConfigError(str(path), [Problem("file", "a mapping of sections is needed")])
    return data


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
