"""A control by its name and options, as a command line or a config writes it."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Mapping
from dataclasses import fields
from functools import cache
from typing import Any

from lengthctl.decode.control import Control
from lengthctl.errors import ConfigError, Problem
from lengthctl.registry import did_you_mean, lookup, names

__all__ = ["build_control", "control_names", "parse_control"]

_WITHOUT_CONTROLS = {"build", "control", "draft", "logit_rules", "processors", "run"}


@cache
def control_names() -> tuple[str, ...]:
    """Every control, sorted."""
    import lengthctl.decode as room

    for module in pkgutil.iter_modules(room.__path__):
        if module.name not in _WITHOUT_CONTROLS:
            importlib.import_module(f"{room.__name__}.{module.name}")
    return tuple(names("control"))


def parse_control(spec: str) -> Control:
    """`name`, or `name:option=value,option=value`; values as YAML writes them.

    Raises:
        ConfigError: unknown control or option, or a value out of range; the nearest name is told.
    """
    from lengthctl.config import parse_yaml

    name, _, rest = spec.partition(":")
    args = {}
    for part in filter(None, rest.split(",")):
        key, equals, value = part.partition("=")
        if not equals:
            raise ConfigError("control", [Problem(spec, f"an option is name=value, found {part!r}")])
        args[key.strip()] = parse_yaml(value, f"{name}.{key}")
    return build_control(name.strip(), args)


def build_control(name: str, args: Mapping[str, Any]) -> Control:
    """See `parse_control`."""
    if name not in control_names():
        raise ConfigError("control", [Problem(name, f"there is no such control{did_you_mean(name, control_names())}")])
    kind: Any = lookup("control", name)
    options = {field.name: field for field in fields(kind)}
    for key, value in args.items():
        if key not in options:
            hint = did_you_mean(key, options) or "; it has none"
            raise ConfigError("control", [Problem(name, f"has no option {key!r}{hint}")])
        default = options[key].default
        wanted = str if default is None else type(default)
        right = isinstance(value, wanted) or (wanted is float and isinstance(value, int))
        if isinstance(value, bool) != (wanted is bool) or not right:
            raise ConfigError("control", [Problem(f"{name}.{key}", f"is of type {wanted.__name__}, found {value!r}")])
    try:
        built: Control = kind(**args)
    except (TypeError, ValueError) as error:
        raise ConfigError("control", [Problem(name, str(error))]) from error
    return built
