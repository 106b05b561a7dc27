"""The part of the report about problems: accuracy against tokens, by side, level, difficulty and equal accuracy."""

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
    Measure("format", "answer marked %"),
    Measure("accuracy_last_number", "accuracy by the last number %"),
    Measure("truncation", "truncated %"),
)
_PART_MEASURES = _MEASURES[:2]
_CHANGES = (
    Measure("accuracy", "accuracy, points"),
    Measure("accuracy_last_number", "by the last number, points"),
    Measure("format", "answer marked, points"),
    Measure("relative_total_tokens", "tokens, %"),
    Measure("truncation", "truncated, points"),
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
    parts = {
        "Problems by side": _by_side(summary.raw),
        "Problems by level": _by_part(summary.raw, "by_level", "level"),
        "Problems by difficulty": _by_part(summary.raw, "by_difficulty", "difficulty"),
        "Problems: change against the first side, on the same ones": _changes(summary.raw),
        "Tokens a completion at equal accuracy, by method": _equal_accuracy(summary.raw),
    }
    note = "95 % intervals, bootstrap over problems. A text that the limit ended is not correct."
    return [plot, *(Section(title, tables=(table,), note=note) for title, table in parts.items() if table is not None)]


def _by_side(raw: Mapping[str, Any]) -> Table | None:
    sides = {name: side["overall"] for name, side in _mapping(raw.get("problems")).items()}
    passes = sorted({key for level in sides.values() for key in level if key.startswith("pass_at_")}, key=len)
    shown_as = [*_MEASURES, *(Measure(key, f"pass@{key.rpartition('_')[2]} %") for key in passes if key != "pass_at_1")]
    return _table("side", sides, shown_as)


def _by_part(raw: Mapping[str, Any], key: str, title: str) -> Table | None:
    """Accuracy and tokens of each part of the problems, the sides beneath each other."""
    sides = {name: _mapping(side.get(key)) for name, side in _mapping(raw.get("problems")).items()}
    rows = [
        (Cell(shown(label, 60)), Cell(shown(name, 60)), *(metric_cell(level.get(m.key), m) for m in _PART_MEASURES))
        for label in dict.fromkeys(label for by in sides.values() for label in by)
        for name, by in sides.items()
        if (level := parse_level(by.get(label)))
    ]
    return Table((title, "side", *(m.title for m in _PART_MEASURES)), tuple(rows), labels=2) if rows else None


def _changes(raw: Mapping[str, Any]) -> Table | None:
    sides = _mapping(raw.get("problem_differences"))
    scores = sorted({key for side in sides.values() for key in side if key.startswith("aes_")})
    weighed = [Measure(key, f"efficiency score ({', '.join(key.split('_')[1:])})", 1) for key in scores]
    return _table("side", _with_levels(sides), (*_CHANGES, *weighed), signed=True)


def _with_levels(sides: Mapping[str, Any]) -> dict[str, Any]:
    """Each side, and beneath it the same at each level."""
    found: dict[str, Any] = {}
    for name, side in sides.items():
        found[name] = side
        found |= {f"{name}, {label}": level for label, level in _mapping(side.get("by_level")).items()}
    return found


def _equal_accuracy(raw: Mapping[str, Any]) -> Table | None:
    levels = _mapping(raw.get("tokens_at_equal_accuracy"))
    methods = sorted({name for level in levels.values() for name in level})
    measures = [Measure(name, shown(name, 60), 1) for name in methods]
    return _table("accuracy %", levels, measures)


def _table(
    what: str, raw_levels: Mapping[str, Any], measures: Sequence[Measure], *, signed: bool = False
) -> Table | None:
    """A row a level, a column a measure that some level has."""
    levels: dict[str, Level] = {shown(name, 60): parse_level(level) for name, level in raw_levels.items()}
    kept = [m for m in measures if any(m.key in level for level in levels.values())]
    cell = difference_cell if signed else metric_cell
    rows = [(Cell(name), *(cell(level.get(m.key), m) for m in kept)) for name, level in levels.items()]
    return Table((what, *(m.title for m in kept)), tuple(rows)) if rows and kept else None


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}
