"""Words of a command line that set what a data method has no option for: `key=value`, its value read as YAML."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import fields, is_dataclass, replace
from typing import Any, TypeVar, get_type_hints

from lengthctl.errors import ConfigError, Problem, first_line

__all__ = ["changed", "split_words"]

S = TypeVar("S")

_CHANGE = re.compile(r"[a-z_]+(\.[A-Za-z0-9_]+)*=")


def split_words(words: Sequence[str]) -> tuple[list[str], list[str], list[str]]:
    """Sources, settings of the method (`key=value`), and overrides of the recipe (`section.key=value`), in order."""
    changes = [word for word in words if _CHANGE.match(word)]
    overrides = [word for word in changes if "." in word.partition("=")[0]]
    return [w for w in words if w not in changes], [w for w in changes if w not in overrides], overrides


def changed(base: S, settings: Sequence[str], verb: str) -> S:
    """A frozen dataclass with some of its fields set; fields of dataclasses inside it are set by their own names.

    Raises:
        ConfigError: no such field, a value of another type or out of its range; all of them at once. `verb` names the
            command.
    """
    problems: list[Problem] = []
    for word in settings:
        key, _, text = word.partition("=")
        try:
            base = _set(base, key, text)
        except ValueError as error:
            problems.append(Problem(key, str(error)))
    if problems:
        raise ConfigError(verb, problems)
    return base


def _set(base: S, key: str, text: str) -> S:
    owner = _owner(base, key)
    if owner is None:
        from lengthctl.registry import did_you_mean

        raise ValueError(f"no such setting{did_you_mean(key, _names(base))}")
    if owner == "":
        return replace(base, **{key: _value(type(base), key, text)})  # type: ignore[type-var]
    return replace(base, **{owner: _set(getattr(base, owner), key, text)})  # type: ignore[type-var]


def _owner(base: object, key: str) -> str | None:
    """ "" for a field of its own, the name of the field that has it inside, None for none."""
    names = {field.name: getattr(base, field.name) for field in fields(base)}  # type: ignore[arg-type]
    if key in names and not is_dataclass(names[key]):
        return ""
    return next((n for n, value in names.items() if is_dataclass(value) and _owner(value, key) is not None), None)


def _names(base: object) -> list[str]:
    found: list[str] = []
    for field in fields(base):  # type: ignore[arg-type]
        value = getattr(base, field.name)
        found += _names(value) if is_dataclass(value) else [field.name]
    return found


def _value(owner: type, key: str, text: str) -> Any:
    from pydantic import TypeAdapter, ValidationError

    from lengthctl.config import parse_yaml

    try:
        return TypeAdapter(get_type_hints(owner)[key]).validate_python(parse_yaml(text, key))
    except ConfigError as error:
        raise ValueError(f"= {text} is no YAML") from error
    except ValidationError as error:
        raise ValueError(f"= {text}: {error.errors()[0]['msg']}") from error
    except NameError as error:  # a type that only checkers know
        raise ValueError(f"cannot be set here ({first_line(error)})") from error
