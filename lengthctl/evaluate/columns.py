"""The columns of a summary's tables, and the order in which they are looked at."""

from __future__ import annotations

import math
from dataclasses import dataclass

from lengthctl.evaluate.metrics import Metric

__all__ = ["LONG_TARGET", "MEASURES", "Measure", "in_order"]


@dataclass(frozen=True)
class Measure:
    """How a measure is shown: its key in a summary, its title with the unit, and the factor that the unit needs."""

    key: str
    title: str
    scale: float = 100.0

    def text(self, metric: Metric, *, signed: bool = False) -> str:
        """Value and 95 % interval, e.g. `63.3 [57.1, 69.2]`."""
        sign = "+" if signed else ""
        value, low, high = (_number(v * self.scale, sign) for v in (metric.value, metric.low, metric.high))
        return f"{value} [{low}, {high}]"


MEASURES = (
    Measure("accuracy", "accuracy %"),
    Measure("mean_total_tokens", "tokens", 1.0),
    Measure("format", "answer marked %"),
    Measure("accuracy_last_number", "accuracy by the last number %"),
    Measure("pm", "PM %"),
    Measure("fm", "FM %"),
    Measure("mean_abs_relative_deviation", "|deviation| %"),
    Measure("mean_relative_deviation", "deviation %"),
    Measure("hit", "hit %"),
    Measure("truncation", "truncated %"),
    Measure("repetition", "repeated %"),
    Measure("seq_rep_4", "repeated 4-grams %"),
    Measure("cut", "cut %"),
    Measure("finished", "ends on a sentence %"),
    Measure("violation", "violated %"),
    Measure("s_l", "S_l"),
    Measure("nll_per_token", "nats a token", 1.0),
)
"""Columns of the tables by target; a summary that lacks one has no such column. The first four are those of sides that
answered problems alone."""

LONG_TARGET = 200
"""From which target on a text counts as long, in its unit. Ours."""

_OF_LONG = (
    "s_l",
    "mean_abs_relative_deviation",
    "hit",
    "truncation",
    "seq_rep_4",
    "finished",
    "mean_relative_deviation",
)


def in_order(*, is_long: bool) -> list[Measure]:
    """`MEASURES`; of long texts those first that tell most of them: Ruler's bands end at 800 words."""
    if not is_long:
        return list(MEASURES)
    return sorted(MEASURES, key=lambda m: _OF_LONG.index(m.key) if m.key in _OF_LONG else len(_OF_LONG))


def _number(value: float, sign: str = "") -> str:
    return f"{value:{sign}.1f}" if math.isfinite(value) else "-"
