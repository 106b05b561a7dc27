"""Reading the config of a bench: YAML, `key=value` overrides, and every problem told at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import UnionType
from typing import Any, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError

from lengthctl.config.bench import BenchConfig
from lengthctl.config.loading import apply_overrides, line_numbers, read_yaml
from lengthctl.errors import ConfigError, Problem
from lengthctl.registry import did_you_mean

__all__ = ["load_bench"]


def load_bench(path: Path, overrides: Sequence[str] = ()) -> BenchConfig:
    """Read the config of a bench and apply overrides, such as `methods.c3ot.control=plain`.

    Raises:
        ConfigError: every problem at once, with its line where the file has one.
    """
    data = read_yaml(path)
    problems = list(apply_overrides(data, overrides))
    checked: BenchConfig | None = None
    try:
        checked = BenchConfig.model_validate(data)
    except ValidationError as error:
        problems.extend(_problem(detail) for detail in error.errors())
    if problems or checked is None:
        lines, given = line_numbers(path), {override.partition("=")[0] for override in overrides}
        placed = [p if p.where in given else replace(p, line=lines.get(p.where)) for p in problems]
        raise ConfigError(str(path), placed, "Nothing was started")
    return checked


def _problem(detail: Mapping[str, Any]) -> Problem:
    # items of `targets` may be of two types, whose names pydantic puts behind the item's number
    location = [str(part) for part in detail["loc"] if part not in ("int", "dict[str,any]")]
    message = str(detail["msg"]).removeprefix("Value error, ")
    if detail["type"] == "extra_forbidden":
        message = "unknown key" + did_you_mean(location[-1], _keys_at(location[:-1]))
    elif detail["type"] == "missing":
        message = "is missing"
    elif not isinstance(detail["input"], dict | list) and not message[:1].islower():
        message = f"= {detail['input']!r}: {message[:1].lower()}{message[1:]}"
    else:
        message = f"{message[:1].lower()}{message[1:]}"
    return Problem(".".join(location) or "config", message)


def _keys_at(location: Sequence[str]) -> list[str]:
    """Keys that a section at this place may have."""
    kind: Any = BenchConfig
    for key in location:
        if get_origin(kind) is dict:
            kind = get_args(kind)[1]
        elif isinstance(kind, type) and issubclass(kind, BaseModel) and key in kind.model_fields:
            kind = kind.model_fields[key].annotation
        else:
            return []
        if get_origin(kind) in (Union, UnionType):
            kind = next((option for option in get_args(kind) if option is not type(None)), kind)
    return list(kind.model_fields) if isinstance(kind, type) and issubclass(kind, BaseModel) else []
