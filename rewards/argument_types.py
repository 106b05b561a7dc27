"""Types of arguments: which values fit an annotation, and how to say so."""

from __future__ import annotations

import math
import types
from typing import Any, Literal, Union, get_args, get_origin

__all__ = ["choices_of", "fits", "words_for"]

_KINDS = {bool: "true or false", int: "a whole number", float: "a finite number", str: "text", type(None): "null"}


def fits(value: Any, hint: Any) -> bool:
    """A value is of a type: `bool`, `int`, `float` (finite), `str`, None, a `Literal`, or one of several; any other
    type takes everything. True is no number."""
    return any(_fits_one(value, option) for option in _options(hint))


def words_for(hint: Any) -> str:
    """The values of a type, in words."""
    return " or ".join(_plain(option) for option in _options(hint))


def choices_of(hint: Any) -> list[str]:
    """The values of the `Literal`s in a type, as texts."""
    return [str(c) for option in _options(hint) if get_origin(option) is Literal for c in get_args(option)]


def _options(hint: Any) -> tuple[Any, ...]:
    return get_args(hint) if get_origin(hint) in (Union, types.UnionType) else (hint,)


def _fits_one(value: Any, option: Any) -> bool:
    if get_origin(option) is Literal:
        return any(value == choice and type(value) is type(choice) for choice in get_args(option))
    if option in (int, float):
        wanted = int if option is int else int | float
        return isinstance(value, wanted) and not isinstance(value, bool) and math.isfinite(value)
    return isinstance(value, option) if option in _KINDS else True


def _plain(option: Any) -> str:
    if get_origin(option) is Literal:
        return " or ".join(str(choice) for choice in get_args(option))
    return _KINDS.get(option) or str(getattr(option, "__name__", option))
