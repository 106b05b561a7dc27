"""The part of the report about problems: accuracy against tokens, by side, difficulty and equal accuracy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from lengthctl.evaluate import findings, plots
from lengthctl.evaluate.cost import Mark
from lengthctl.evaluate.sections import Section
from lengthctl.evaluate.shown import shown
from lengthctl.evaluate.summary import Level, Measure, Summary, parse_level
from lengthctl.evaluate.tables import Cell, Table, difference_cell, levels_table, metric_cell

__all__ = ["problem_sections"]

_AXES = ("tokens per completion", "accuracy (%)")
_PLOTTED = {"accuracy": Measure("accuracy", _AXES[1]), "tokens": Measure("tokens", _AXES[0], 1)}
_MEASURES = (
    Measure("accuracy", "accuracy %"),
    Measure("mean_total_tokens", "tokens", 1),
    Measure("median_total_tokens", "median", 1),
    Measure("p90_total_tokens", "P90", 1),
    Measure("mean_reasoning_tokens", "reasoning tokens", 1),
    Measure("mean_total_tokens_correct", "tokens, if right", 1),
    Measure("mean_total_tokens_wrong", "tokens, if wrong", 1),
    Measure("no_answer", "no answer %"),
    Measure("truncation", "truncated %"),
)
_CHANGES = (
    Measure("accuracy", "accuracy, points"),
    Measure("relative_total_tokens", "tokens, %"),
)


def problem_sections(summary: Summary) -> list[Section]:
    """Nothing where no problems were answered."""
    if not summary.reasoning:
        return []
    marks = [Mark(name, level["tokens"], level["accuracy"]) for name, level in summary.reasoning.items()]
    plot = Section(
        f"Reasoning. {findings.front_finding(marks, higher_is_better=True)}",
        (plots.pareto_figure(marks, *_AXES, higher_is_better=True),),
        (levels_table(summary.reasoning, _PLOTTED),),
        "Upper left is better; lines are 95 % intervals. Joined: sides that no other beats on both counts.",
    )
    found = (_by_side(summary.raw), _by_difficulty(summary.raw), _changes(summary.raw), _equal_accuracy(summary.raw))
    tables = tuple(table for table in found if table is not None)
    note = "95 % intervals, bootstrap over problems. A text that the limit ended is not correct."
    return [plot, Section("Problems by side", tables=tables, note=note)] if tables else [plot]


def _by_side(raw: Mapping[str, Any]) -> Table | None:
    sides = {name: side["overall"] for name, side in _mapping(raw.get("problems")).items()}
    passes = sorted({key for level in sides.values() for key in level if key.startswith("pass_at_")}, key=len)
    shown_as = [*_MEASURES, *(Measure(key, f"pass@{key.rpartition('_')[2]} %") for key in passes if key != "pass_at_1")]
    return _table("side", sides, shown_as, "")


def _by_difficulty(raw: Mapping[str, Any]) -> Table | None:
    levels = {
        f"{label} / {name}": level
        for name, side in _mapping(raw.get("problems")).items()
        for label, level in _mapping(side.get("by_difficulty")).items()
    }
    return _table("difficulty / side", dict(sorted(levels.items())), _MEASURES[:2], "By difficulty")


def _changes(raw: Mapping[str, Any]) -> Table | None:
    sides = _mapping(raw.get("problem_differences"))
    scores = sorted({key for side in sides.values() for key in side if key.startswith("aes_")})
    weighed = [Measure(key, f"efficiency score ({', '.join(key.split('_')[1:])})", 1) for key in scores]
    return _table("side", sides, (*_CHANGES, *weighed), "Against the first side, on the same problems", signed=True)


def _equal_accuracy(raw: Mapping[str, Any]) -> Table | None:
    levels = _mapping(raw.get("tokens_at_equal_accuracy"))
    methods = sorted({name for level in levels.values() for name in level})
    measures = [Measure(name, shown(name, 60), 1) for name in methods]
    return _table("accuracy %", levels, measures, "Tokens a completion at equal accuracy, by method")


def _table(
    what: str, raw_levels: Mapping[str, Any], measures: Sequence[Measure], title: str, *, signed: bool = False
) -> Table | None:
    """A row a level, a column a measure that some level has."""
    levels: dict[str, Level] = {shown(name, 60): parse_level(level) for name, level in raw_levels.items()}
    kept = [m for m in measures if any(m.key in level for level in levels.values())]
    cell = difference_cell if signed else metric_cell
    rows = [(Cell(name), *(cell(level.get(m.key), m) for m in kept)) for name, level in levels.items()]
    return Table((what, *(m.title for m in kept)), tuple(rows), title=title) if rows and kept else None


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}
