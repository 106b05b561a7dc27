"""The options that name a length, the same for every verb that takes one."""

from __future__ import annotations

import re
from typing import Annotated, NoReturn

import typer

from lengthctl.errors import ConfigError, Problem
from lengthctl.length import Relation, Target, Unit
from lengthctl.pipelines.target_cells import ABOUT_TOLERANCE

__all__ = [
    "About",
    "AtLeast",
    "AtMost",
    "Between",
    "InUnit",
    "Tokens",
    "Tolerance",
    "Words",
    "target_from_options",
]

Words = Annotated[int | None, typer.Option("--words", help="So many words.")]
Tokens = Annotated[int | None, typer.Option("--tokens", help="So many tokens of --model.")]
Between = Annotated[str | None, typer.Option("--range", metavar="LOW-HIGH", help="From LOW to HIGH, e.g. 80-120.")]
AtMost = Annotated[int | None, typer.Option("--at-most", help="No more than so many; with --at-least a range.")]
AtLeast = Annotated[int | None, typer.Option("--at-least", help="No fewer than so many.")]
About = Annotated[int | None, typer.Option("--about", help="So many, more or less.")]
Tolerance = Annotated[float | None, typer.Option("--tolerance", help="Relative slack of --about; default 0.1.")]
InUnit = Annotated[Unit | None, typer.Option("--unit", help="What is counted; default words.")]

_RANGE = re.compile(r"\s*(\d+)\s*(?:-|\.\.)\s*(\d+)\s*")


def target_from_options(
    *,
    words: int | None = None,
    tokens: int | None = None,
    between: str | None = None,
    at_most: int | None = None,
    at_least: int | None = None,
    about: int | None = None,
    tolerance: float | None = None,
    unit: Unit | None = None,
) -> Target | None:
    """The length that the options name; None where they name none, when `unit` alone may stand (of a column's numbers).

    Raises:
        ConfigError: two lengths at once, an option without effect beside the others, or a length that is none.
    """
    amounts = {"--words": words, "--tokens": tokens, "--range": between, "--about": about}
    limits = {"--at-most": at_most, "--at-least": at_least}
    named = [name for name, value in amounts.items() if value is not None]
    limited = [name for name, value in limits.items() if value is not None]
    if len(named) + bool(limited) > 1:
        _refuse(" ".join(named + limited), "name one length; --at-least and --at-most together are a range")
    if tolerance is not None and about is None:
        _refuse("--tolerance", "has no effect without --about")
    if words is not None and unit is not None and not unit.startswith("words"):
        _refuse("--unit", f"{unit} contradicts --words; it goes with --about, --range, --at-most and --at-least")
    if tokens is not None and unit not in (None, Unit.TOKENS):
        _refuse("--unit", f"{unit} contradicts --tokens")
    counted = Unit.TOKENS if tokens is not None else unit or Unit.WORDS
    number = words if words is not None else tokens
    try:
        if number is not None:
            return Target(number, unit=counted)
        if between is not None:
            return _range(between, counted)
        if about is not None:
            slack = ABOUT_TOLERANCE if tolerance is None else tolerance
            return Target(about, Relation.ABOUT, counted, tolerance=slack)
        if at_least is not None:
            relation = Relation.AT_LEAST if at_most is None else Relation.RANGE
            return Target(at_least, relation, counted, high=at_most)
        return None if at_most is None else Target(at_most, Relation.AT_MOST, counted)
    except ValueError as error:
        _refuse(" ".join(named + limited), str(error))


def _range(text: str, unit: Unit) -> Target:
    match = _RANGE.fullmatch(text)
    if match is None:
        raise ValueError(f"a range is LOW-HIGH, e.g. 80-120, found {text!r}")
    return Target(int(match[1]), Relation.RANGE, unit, high=int(match[2]))


def _refuse(options: str, message: str) -> NoReturn:
    raise ConfigError("options", [Problem(options, message)])
