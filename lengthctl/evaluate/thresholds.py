"""Bounds on measures for use in CI: `--fail-under pm=0.5`, `--fail-over abs_relative_deviation=0.2`."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from lengthctl.errors import ConfigError, Problem
from lengthctl.evaluate.metrics import FRACTIONS, MEASURES
from lengthctl.registry import did_you_mean

__all__ = ["EXIT_CODE", "Bound", "broken_bounds", "parse_bounds"]

EXIT_CODE = 3
"""Exit code of a command whose results are on the wrong side of a bound."""


@dataclass(frozen=True)
class Bound:
    """A measure may not fall below (`is_floor`), or rise above, `limit`."""

    measure: str
    limit: float
    is_floor: bool

    def is_broken(self, value: float) -> bool:
        """A value on the bound keeps it."""
        return value < self.limit if self.is_floor else value > self.limit


def parse_bounds(fail_under: Sequence[str] | None, fail_over: Sequence[str] | None) -> list[Bound]:
    """Bounds from `measure=number`; the measure with or without its `mean_`.

    Raises:
        ConfigError: unknown measure, no number, or a percentage where a fraction is meant. All problems at once.
    """
    bounds, problems = [], []
    for option, texts in (("--fail-under", fail_under or ()), ("--fail-over", fail_over or ())):
        for text in texts:
            try:
                bounds.append(_parse_bound(text, is_floor=option == "--fail-under"))
            except ValueError as error:
                problems.append(Problem(f"{option} {text}", str(error)))
    if problems:
        raise ConfigError("bounds", problems, "Give measure=number, e.g. --fail-under pm=0.5")
    return bounds


def broken_bounds(bounds: Sequence[Bound], metrics: Mapping[str, Mapping[str, float]], subject: str = "") -> list[str]:
    """One sentence for each bound that `metrics` ({measure: metric}) breaks; `subject` names whose they are.

    Raises:
        ConfigError: a bounded measure was not measured, since it applies to none of the texts.
    """
    missing = [bound for bound in bounds if bound.measure not in metrics]
    if missing:
        problems = [Problem(bound.measure, f"was not measured; known here: {', '.join(metrics)}") for bound in missing]
        raise ConfigError("bounds", problems)
    whose = f"{subject}: " if subject else ""
    return [
        f"{whose}{bound.measure} is {metrics[bound.measure]['value']:.4g}, "
        f"{'under' if bound.is_floor else 'over'} the bound of {bound.limit:g}"
        for bound in bounds
        if bound.is_broken(metrics[bound.measure]["value"])
    ]


def _parse_bound(text: str, *, is_floor: bool) -> Bound:
    name, equals, number = (part.strip() for part in text.partition("="))
    if not equals:
        raise ValueError("has no `=`")
    measure = name if name in MEASURES else f"mean_{name}"
    if measure not in MEASURES:
        short = [known.removeprefix("mean_") for known in MEASURES]
        raise ValueError(f"no measure {name!r}{did_you_mean(name.removeprefix('mean_'), short)}")
    try:
        limit = float(number)
    except ValueError:
        limit = math.nan
    if not math.isfinite(limit):
        raise ValueError(f"{number!r} is no number")
    if measure in FRACTIONS and not 0 <= limit <= 1:
        raise ValueError(f"{measure} is a fraction, from 0 to 1; for {limit:g} % give {limit / 100:g}")
    return Bound(measure, limit, is_floor)
