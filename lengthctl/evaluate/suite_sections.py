"""The parts of the report that a suite adds: Ruler's levels, and long writing by bucket or kind."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lengthctl.evaluate.sections import Section
from lengthctl.evaluate.shown import shown
from lengthctl.evaluate.summary import Summary
from lengthctl.evaluate.tables import Cell, Table

__all__ = ["suite_sections"]

_GROUPS = ("bucket", "kind", "range", "language")
_WRITING = ("s_l", "longen_score", "s_q", "s", "refusal", "truncation")


def suite_sections(summary: Summary) -> list[Section]:
    """Nothing where no side has them."""
    subjects = summary.raw.get("subjects")
    sides = {shown(name, 60): side for name, side in subjects.items()} if isinstance(subjects, Mapping) else {}
    found = []
    if levels := _tlg(sides):
        note = (
            "PM and FM in %, pooled over completions, truncated ones scored as they are, as Ruler's code counts; "
            "95 % intervals over prompts."
        )
        found.append(Section("TLG by target and level", tables=(levels,), note=note))
    if tables := [table for group in _GROUPS if (table := _writing(sides, group)) is not None]:
        found.append(Section("Long writing", tables=tuple(tables), note="Scores from 0 to 1, with 95 % intervals."))
    return found


def _tlg(sides: Mapping[str, Any]) -> Table | None:
    counted = {name: side["tlg"]["as_ruler"] for name, side in sides.items() if "tlg" in side}
    if not counted:
        return None
    levels = list(dict.fromkeys(level for hits in counted.values() for level in hits))
    rows = [(Cell(level), *(_hits(by_level.get(level)) for by_level in counted.values())) for level in levels]
    return Table(("PM / FM", *counted), tuple(rows))


def _hits(level: Mapping[str, Any] | None) -> Cell:
    if level is None:
        return Cell("")
    intervals = ("-".join(f"{100 * end:.0f}" for end in level[f"{kind}_interval"]) for kind in ("pm", "fm"))
    return Cell(f"{100 * level['pm']:.1f} / {100 * level['fm']:.1f}", f"[{' / '.join(intervals)}]")


def _writing(sides: Mapping[str, Any], group: str) -> Table | None:
    parts = {name: side["writing"].get(f"by_{group}") for name, side in sides.items() if "writing" in side}
    parts = {name: levels for name, levels in parts.items() if levels}
    keys = [key for key in _WRITING if any(key in level for levels in parts.values() for level in levels.values())]
    rows = [
        (Cell(label), Cell(name), *(_cell(level.get(key)) for key in keys))
        for label in dict.fromkeys(label for levels in parts.values() for label in levels)
        for name, levels in parts.items()
        if (level := levels.get(label))
    ]
    return Table((group, "side", *keys), tuple(rows), labels=2) if rows else None


def _cell(metric: Mapping[str, float] | None) -> Cell:
    return (
        Cell("") if metric is None else Cell(f"{metric['value']:.3f}", f"[{metric['low']:.3f}, {metric['high']:.3f}]")
    )
