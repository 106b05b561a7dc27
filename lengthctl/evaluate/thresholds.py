"""Bounds on measures for use in CI: `--fail-under pm=0.5`, `--fail-over abs_relative_deviation=0.2`, and of answered
problems `--fail-under accuracy=0.7`, `--fail-over total_tokens=300`."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from lengthctl.errors import ConfigError, Problem
from lengthctl.evaluate.attempts import MEASURES as OF_ATTEMPTS
from lengthctl.evaluate.metrics import FRACTIONS, MEASURES
from lengthctl.registry import did_you_mean

__all__ = ["EXIT_CODE", "Bound", "bounded_metrics", "broken_bounds", "parse_bounds"]

_OF_PROBLEMS = (*OF_ATTEMPTS, "accuracy_last_number", "format")
"""Of answered problems; a name that texts have too (`truncation`) is theirs where both are measured."""
_KNOWN = tuple(dict.fromkeys((*MEASURES, *_OF_PROBLEMS)))
_SHARES = FRACTIONS | {name for name in _OF_PROBLEMS if not name.endswith("_tokens")}
"""The measures that lie in [0, 1]."""

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


def bounded_metrics(summary: Mapping[str, Any], side: str) -> dict[str, Mapping[str, float]]:
    """What of one side of an evaluation's summary can be bounded: of its texts, and of its answers to problems where it
    was asked some."""
    answers = summary.get("problems", {}).get(side, {}).get("overall", {})
    found = {**answers, **summary["subjects"][side]["overall"]}
    return {name: metric for name, metric in found.items() if name in _KNOWN and metric is not None}


def broken_bounds(bounds: Sequence[Bound], metrics: Mapping[str, Mapping[str, float]], subject: str = "") -> list[str]:
    """One sentence for each bound that `metrics` ({measure: metric}) breaks; `subject` names whose they are.

    Raises:
        ConfigError: a bounded measure was not measured, since it applies to none of the texts, or no problems were
            answered.
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
    measure = name if name in _KNOWN else f"mean_{name}"
    if measure not in _KNOWN:
        short = [known.removeprefix("mean_") for known in _KNOWN]
        raise ValueError(f"no measure {name!r}{did_you_mean(name.removeprefix('mean_'), short)}")
    try:
        limit = float(number)
    except ValueError:
        limit = math.nan
    if not math.isfinite(limit):
        raise ValueError(f"{number!r} is no number")
    if measure in _SHARES and not 0 <= limit <= 1:
        raise ValueError(f"{measure} is a fraction, from 0 to 1; for {limit:g} % give {limit / 100:g}")
    return Bound(measure, limit, is_floor)
