"""Targets as they stand in a file's column or on a command line."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from lengthctl.length import Relation, Target, Unit

__all__ = ["ABOUT_TOLERANCE", "parse_cell"]

ABOUT_TOLERANCE = 0.1
"""Relative slack of `about` where none is given. Ours."""

_NUMBER = r"(-?\d+)(?:\.0*)?"
_ONE = re.compile(rf"(<=|>=|<|>|~|=)?\s*{_NUMBER}")
_TWO = re.compile(rf"{_NUMBER}\s*(?:-|\u2013|\.\.|to)\s*{_NUMBER}")
_LONGEST = 1000
"""Characters of a cell that are looked at."""


def parse_cell(value: Any, unit: Unit = Unit.WORDS) -> Target:
    """A target from a number, a `Target.to_row()` mapping (or its JSON), or a text like `50`, `>800`, `<=50`, `50-80`.

    Args:
        value: the cell. `>n` is at least n + 1, `<n` at most n - 1, `~n` about n with the default tolerance.
        unit: of everything but a mapping that names its own.

    Raises:
        ValueError: no target; a length below 1 among them.
    """
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, str):
        value = _parse_text(value)
    if isinstance(value, int) and not isinstance(value, bool):
        value = {"value": value}
    if not isinstance(value, Mapping):
        raise ValueError(f"a target is a whole number, a range or a mapping, found {_shown(value)}")
    try:
        return Target.parse({"unit": unit, **value})
    except TypeError as error:
        known = ", ".join(Target.__dataclass_fields__)
        raise ValueError(f"a target has {known}, found {_shown(dict(value))}") from error


def _parse_text(text: str) -> Any:
    stripped = text.strip()
    if len(stripped) > _LONGEST:
        return text
    if stripped.startswith("{"):
        try:
            return json.loads(stripped)
        except (ValueError, RecursionError):
            return text
    if match := _TWO.fullmatch(stripped):
        return {"value": int(match[1]), "high": int(match[2]), "relation": Relation.RANGE}
    match = _ONE.fullmatch(stripped)
    if match is None:
        return text
    number = int(match[2])
    forms = {
        "<=": {"value": number, "relation": Relation.AT_MOST},
        ">=": {"value": number, "relation": Relation.AT_LEAST},
        "<": {"value": number - 1, "relation": Relation.AT_MOST},
        ">": {"value": number + 1, "relation": Relation.AT_LEAST},
        "~": {"value": number, "relation": Relation.ABOUT, "tolerance": ABOUT_TOLERANCE},
    }
    return forms.get(match[1] or "=", {"value": number})


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:80]}..."
