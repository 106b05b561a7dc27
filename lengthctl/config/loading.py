"""Reading a recipe: YAML, `key=value` overrides, and every problem told at once."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

from pydantic import BaseModel, TypeAdapter, ValidationError

from lengthctl.config.checks import cross_problems
from lengthctl.config.data import DataConfig
from lengthctl.config.preset_filling import fill_from_presets
from lengthctl.config.sections import Config, RewardSpec, TrainConfig
from lengthctl.config.text import parse_yaml
from lengthctl.errors import ConfigError, Problem
from lengthctl.registry import did_you_mean
from lengthctl.trl_fields import METHODS, trainer_fields, trainer_problems

__all__ = ["apply_overrides", "line_numbers", "load_config", "read_yaml"]


def load_config(path: Path, overrides: Sequence[str] = ()) -> Config:
    """Read a recipe, apply `key=value` overrides, fill what both leave open from `train.preset`, check everything.

    `trainer.KEY=null` takes away what the recipe sets, unless null is a value of that option of TRL's.

    Raises:
        ConfigError: every problem at once, with the line where the file has one.
    """
    data = read_yaml(path)
    of_rewards = [override for override in overrides if override.startswith("rewards.")]
    problems = list(apply_overrides(data, [override for override in overrides if override not in of_rewards]))
    fill_from_presets(data)
    problems += apply_overrides(data, of_rewards)  # they may name a reward that a preset has brought
    given = {override.partition("=")[0] for override in overrides}
    checked: Config | None = None
    try:
        config = checked = Config.model_validate(data)
    except ValidationError as error:
        problems.extend(_problem(detail, data) for detail in error.errors())
        config = _valid_part(data)
    trainer = data.get("trainer")
    if isinstance(trainer, dict):
        problems.extend(trainer_problems(trainer, config.train.method))
    elif checked is None and trainer is not None:
        config = config.model_copy(update={"trainer": {}})
    problems.extend(cross_problems(config))
    if problems or checked is None:
        lines = line_numbers(path)
        placed = [p if p.where in given else replace(p, line=lines.get(p.where)) for p in problems]
        raise ConfigError(str(path), placed, "Nothing was started")
    return checked


def apply_overrides(data: dict[str, Any], overrides: Sequence[str]) -> Iterator[Problem]:
    """Set each `key=value` in the data, dotted keys in their sections; yields what is wrong with them."""
    for override in overrides:
        key, separator, value = override.partition("=")
        if not separator:
            yield Problem(override, "an override has the form key=value")
            continue
        try:
            found = parse_yaml(value, key)
            problem = None if found is None and _take_away(data, key) else _set(data, key.split("."), found)
        except ConfigError as error:
            yield from (replace(problem, where=key) for problem in error.problems)
            continue
        if problem:
            yield Problem(key, problem)


def _take_away(data: dict[str, Any], key: str) -> bool:
    """`trainer.KEY=null` takes away what the recipe sets, so that a preset or the default holds; not where null is
    a value of that option (`trainer.epsilon_high=null` turns it off), nor where the recipe does not set it."""
    section, _, name = key.partition(".")
    options, train = data.get("trainer"), data.get("train")
    if section != "trainer" or not isinstance(options, dict) or name not in options:
        return False
    method = train.get("method", "grpo") if isinstance(train, dict) else "grpo"
    option = trainer_fields(method).get(name) if method in METHODS else None
    if option is None:
        return False
    is_understood = bool(option.types) or "None" in option.annotation
    if is_understood and not trainer_problems({name: None}, method):
        return False
    del options[name]
    return True


def _valid_part(data: Mapping[str, Any]) -> Config:
    """The sections that are valid, and defaults for the others: what spans sections can be checked all the same."""
    valid: dict[str, Any] = {"rewards": [RewardSpec.model_validate({"name": "log_ratio"})]}
    train = data.get("train")
    if isinstance(train, dict) and train.get("method") in ("sft", "dpo"):
        valid = {"train": TrainConfig.model_construct(method=train["method"])}
        valid["data"] = DataConfig.model_construct(source="", mlt=None)
    for name, field in Config.model_fields.items():
        with suppress(ValidationError):
            if name in data:
                valid[name] = TypeAdapter[Any](cast(Any, field.annotation)).validate_python(data[name])
    if "train" in valid and data.get("data") is not None and not getattr(valid.get("data"), "source", ""):
        # a fault there is no reason to call what only has an effect with it useless
        unset = {key: TrainConfig.model_fields[key].default for key in ("mlt_weight", "mlt_rate", "curriculum")}
        valid["train"] = valid["train"].model_copy(update=unset)
    return Config.model_construct(**{**{n: f.default for n, f in Config.model_fields.items()}, **valid})


def read_yaml(path: Path) -> dict[str, Any]:
    """A file's mapping of sections.

    Raises:
        ConfigError: it cannot be read, is no YAML, or no mapping.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigError(str(path), [Problem("file", error.strerror or str(error))]) from error
    except UnicodeDecodeError as error:
        raise ConfigError(
            str(path), [Problem("file", f"is not UTF-8 ({error.reason} at byte {error.start})")]
        ) from error
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


def _problem(detail: Mapping[str, Any], data: Mapping[str, Any]) -> Problem:
    location = list(detail["loc"])
    message = str(detail["msg"]).removeprefix("Value error, ")
    found = detail["input"]
    if detail["type"] == "extra_forbidden":
        message = "unknown key" + did_you_mean(str(location[-1]), _known_keys(location[:-1]))
    elif not message[:1].islower() and not isinstance(found, dict | list):
        message = f"= {found!r}: {message[:1].lower()}{message[1:]}"
    elif not message[:1].islower():
        message = f"{message[:1].lower()}{message[1:]}"
    return Problem(".".join(map(str, _named(location, data))) or "config", message)


def _named(location: Sequence[Any], data: Mapping[str, Any]) -> list[Any]:
    """Items of `rewards` by their names, as overrides call them."""
    items = data.get("rewards")
    if len(location) > 1 and location[0] == "rewards" and isinstance(items, list) and isinstance(location[1], int):
        item = items[location[1]]
        name = item.get("as") or item.get("name") if isinstance(item, dict) else None
        return ["rewards", name if isinstance(name, str) else location[1], *location[2:]]
    return list(location)


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


def line_numbers(path: Path) -> dict[str, int]:
    """Line of every key, by a second parse; only needed when there is an error to show."""
    from ruamel.yaml import YAML

    lines: dict[str, int] = {}

    def walk(node: Any, prefix: str) -> None:
        mapping = hasattr(node, "items")
        items = node.items() if mapping else enumerate(node) if isinstance(node, list) else ()
        for key, value in items:
            name = value.get("as") or value.get("name") if not mapping and hasattr(value, "get") else None
            where = f"{prefix}{key if name is None else name}"
            lines[where] = (node.lc.key(key)[0] if mapping else node.lc.item(key)[0]) + 1
            walk(value, f"{where}.")

    walk(YAML(typ="rt").load(path.read_text(encoding="utf-8")), "")
    return lines
