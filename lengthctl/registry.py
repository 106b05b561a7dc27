"""Named parts: what a config may name, and the nearest valid name for a typo."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable
from enum import StrEnum
from typing import TypeVar

T = TypeVar("T")
Named = TypeVar("Named", bound=StrEnum)

_PARTS: dict[str, dict[str, object]] = {}

__all__ = ["did_you_mean", "lookup", "member_named", "names", "register"]


def register(kind: str, name: str) -> Callable[[T], T]:
    """Decorator: make a class or function available under `name` in its `kind` ("reward", ...).

    Raises:
        ValueError: the name is taken by another object.
    """

    def add(part: T) -> T:
        taken = _PARTS.setdefault(kind, {})
        if name in taken and getattr(taken[name], "__qualname__", None) != getattr(part, "__qualname__", None):
            raise ValueError(f"{kind} {name!r} is registered twice: {taken[name]!r} and {part!r}")
        taken[name] = part
        return part

    return add


def names(kind: str) -> list[str]:
    """The registered names of a kind, sorted."""
    return sorted(_PARTS.get(kind, {}))


def lookup(kind: str, name: str) -> object:
    """The part registered under `name`.

    Raises:
        KeyError: unknown name; the message holds the nearest one.
    """
    try:
        return _PARTS[kind][name]
    except KeyError:
        raise KeyError(f"no {kind} {name!r}{did_you_mean(name, names(kind))}") from None


def did_you_mean(word: str, options: Iterable[str]) -> str:
    """`"; did you mean x?"` for the nearest option, else the options themselves (at most twelve)."""
    known = sorted(set(options))
    near = difflib.get_close_matches(word, known, n=1, cutoff=0.6)
    if near:
        return f"; did you mean {near[0]}?"
    return f"; known: {', '.join(known[:12])}{', ...' if len(known) > 12 else ''}" if known else ""


def member_named(kind: type[Named], value: object) -> Named:
    """A member of an enumeration by its value, such as a unit.

    Raises:
        ValueError: there is none; the message has the nearest.
    """
    try:
        return kind(str(value))
    except ValueError:
        raise ValueError(f"no {kind.__name__.lower()} {value!r}{did_you_mean(str(value), kind)}") from None
