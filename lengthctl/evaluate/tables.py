"""Tables of the report: every number of the figures and of the summary, with its 95 % interval."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from lengthctl.evaluate.cost import TokenCost
from lengthctl.evaluate.metrics import Metric
from lengthctl.evaluate.summary import Level, Measure, Side, Summary, count

__all__ = [
    "Cell",
    "Table",
    "adherence_table",
    "all_measures_table",
    "control_table",
    "curve_table",
    "deviation_table",
    "difference_cell",
    "differences_table",
    "levels_table",
    "metric_cell",
]


@dataclass(frozen=True)
class Cell:
    """A value, and its interval in brackets; `is_strong` where the interval of a difference leaves out 0."""

    text: str
    interval: str = ""
    is_strong: bool = False


@dataclass(frozen=True)
class Table:
    """`labels` counts the leading columns that name the row, `prose` the last ones that hold sentences; `groups` has
    headings by the row that they stand above."""

    head: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    note: str = ""
    title: str = ""
    labels: int = 1
    groups: Mapping[int, str] = field(default_factory=dict)
    is_folded: bool = False
    prose: int = 0


def adherence_table(summary: Summary) -> Table:
    """Every measure that the summary has, by target and side; all targets last."""
    measures = summary.measures()
    rows: list[tuple[Cell, ...]] = []
    groups: dict[int, str] = {}
    for label in [*summary.labels, "all"]:
        groups[len(rows)] = "all targets" if label == "all" else f"target {label}"
        for side in summary.sides:
            if level := side.at(label):
                cells = [metric_cell(level.get(m.key), m) for m in measures]
                rows.append((Cell(side.name), *cells, Cell(str(count(level)))))
    head = ("side", *(m.title for m in measures), "n")
    note = "In brackets: 95 % intervals, bootstrap over prompts. PM and FM: Ruler's bands (arXiv 2409.18943)."
    return Table(head, tuple(rows), note, groups=groups)


def control_table(summary: Summary, costs: Mapping[str, TokenCost]) -> Table:
    """What each side reaches, and what it spends on it."""
    keys = ("fm", "mean_abs_relative_deviation", "hit", "repetition", "cut", "finished", "nll_per_token")
    measures = [m for m in summary.measures() if m.key in keys]
    has_seconds = any(side.seconds is not None for side in summary.sides)
    has_control = any(side.control != side.name for side in summary.sides if side.control)
    models = {side.model for side in summary.sides if side.model}
    head = [
        "side",
        *(["control"] if has_control else []),
        *(["model"] if len(models) > 1 else []),
        *(m.title for m in measures),
        *("tokens a completion", "tokens per FM hit", "FM hits", "tokens per hit", "hits"),
        *(["seconds"] if has_seconds else []),
        "n",
    ]
    rows = []
    for side in summary.sides:
        cost = costs.get(side.name)
        fm, hit = (cost.per_fm, cost.per_hit) if cost else (None, None)
        row = [
            Cell(side.name),
            *([Cell(side.control)] if has_control else []),
            *([Cell(side.model)] if len(models) > 1 else []),
            *(metric_cell(side.overall.get(m.key), m) for m in measures),
            metric_cell(cost.tokens if cost else None, _TOKENS),
            *(metric_cell(fm, _TOKENS), Cell(str(fm.n) if fm else "")),
            *(metric_cell(hit, _TOKENS), Cell(str(hit.n) if hit else "")),
            *([Cell("" if side.seconds is None else f"{side.seconds:.1f}")] if has_seconds else []),
            Cell(str(count(side.overall))),
        ]
        rows.append(tuple(row))
    note = (
        "Tokens are all that were drawn, discarded ones included; per hit, they are divided by the completions in "
        "Ruler's FM band or by the hits: within 5 % or 2 of an exact target, inside the band of another. A dash: no "
        "hit, or no upper end."
    )
    if len(models) == 1:
        note = f"Model: {models.pop()}. {note}"
    return Table(tuple(head), tuple(rows), note, labels=1 + has_control + (head[1 + has_control] == "model"))


def deviation_table(sides: Mapping[str, Sequence[float]], clip: float) -> Table:
    """Percentiles of the relative deviation, and the share of completions beyond what is drawn."""
    parts = (5, 25, 50, 75, 95)
    rows = []
    for name, values in sides.items():
        ordered = sorted(values)
        # nearest rank
        points = [ordered[max(0, math.ceil(p / 100 * len(ordered)) - 1)] for p in parts]
        beyond = sum(value > clip + 1e-9 for value in ordered) / len(ordered)
        cells = [Cell(f"{100 * value:+.1f}") for value in points]
        rows.append((Cell(name), *cells, Cell(f"{100 * beyond:.1f}"), Cell(str(len(ordered)))))
    head = ("side", *(f"P{p} %" for p in parts), f"share above {clip * 100:+.0f} %", "n")
    return Table(head, tuple(rows), "P5 to P95: percentiles of the signed relative deviation in percent.")


def differences_table(summary: Summary, *, by_target: bool) -> Table | None:
    """Each side minus the first, in percentage points; None where nothing is compared."""
    measures = [m for m in summary.measures() if any(m.key in side.difference for side in summary.sides[1:])]
    rows: list[tuple[Cell, ...]] = []
    groups: dict[int, str] = {}
    for side in summary.sides[1:]:
        if by_target:
            groups[len(rows)] = side.name
        levels = side.difference_by_target if by_target else {side.name: side.difference}
        for label, level in levels.items():
            if level:
                cells = [difference_cell(level.get(m.key), m) for m in measures]
                rows.append((Cell(label), *cells, Cell(str(count(level)))))
    if not rows or not measures:
        return None
    first = summary.sides[0].name
    note = f"Percentage points, each minus {first}, paired by prompt. Bold: the 95 % interval leaves out 0."
    title = "Differences by target" if by_target else ""
    head = ("target" if by_target else "side", *(m.title for m in measures), "n")
    return Table(head, tuple(rows), note, title, groups=groups, is_folded=by_target)


def all_measures_table(sides: Sequence[Side]) -> Table:
    """Everything that was measured over all targets, as it stands in the summary: shares as 0 to 1."""
    keys = list(dict.fromkeys(key for side in sides for key in side.overall))
    plain = {key: Measure(key, key.replace("_", " "), 1) for key in keys}
    rows = [
        (Cell(plain[k].title), *(metric_cell(side.overall.get(k), plain[k], places=4) for side in sides)) for k in keys
    ]
    return Table(
        ("measure", *(side.name for side in sides)),
        tuple(rows),
        "Shares as 0 to 1; lengths in the target's unit.",
        "All measures",
        is_folded=True,
    )


def levels_table(levels: Mapping[str, Level], units: Mapping[str, Measure] | None = None) -> Table:
    """A row a name, a column a measure; `units` says how a measure is shown, others as they are."""
    keys = list(dict.fromkeys(key for level in levels.values() for key in level))
    shown_as = {key: (units or {}).get(key) or Measure(key, key.replace("_", " "), 1) for key in keys}
    rows = [
        (Cell(name), *(metric_cell(level.get(key), shown_as[key]) for key in keys), Cell(str(count(level))))
        for name, level in levels.items()
        if level
    ]
    return Table(("side", *(shown_as[key].title for key in keys), "n"), tuple(rows))


def curve_table(records: Sequence[Mapping[str, object]], names: Mapping[str, str], limit: int = 24) -> Table:
    """The figures' values at no more than about `limit` steps, evenly chosen, the last one included."""
    points: dict[tuple[int, str], dict[str, float]] = {}
    for record in records:
        step, split = record.get("step"), str(record.get("split", ""))
        if isinstance(step, int):
            row = points.setdefault((step, split), {})
            row.update({k: float(v) for k in names if isinstance(v := record.get(k), int | float)})
    filled = [(key, row) for key, row in sorted(points.items()) if row]
    stride = max(1, math.ceil(len(filled) / limit))
    chosen = [item for i, item in enumerate(filled) if (len(filled) - 1 - i) % stride == 0]
    rows = [
        (Cell(str(step)), Cell(split), *(Cell(f"{row[key]:.4g}" if key in row else "") for key in names))
        for (step, split), row in chosen
    ]
    note = f"{len(chosen)} of {len(filled)} logged steps." if len(chosen) < len(filled) else ""
    return Table(("step", "split", *names.values()), tuple(rows), note, "Values of the curves", 2, is_folded=True)


_TOKENS = Measure("tokens", "tokens", 1)


def metric_cell(metric: Metric | None, measure: Measure, places: int = 1) -> Cell:
    """Value and interval; empty for None."""
    if metric is None:
        return Cell("")
    text, interval = _number(metric.value * measure.scale, places), ""
    if text != "-":
        low, high = (_number(end * measure.scale, places) for end in (metric.low, metric.high))
        interval = f"[{low}, {high}]"
    return Cell(text, interval)


def difference_cell(metric: Metric | None, measure: Measure) -> Cell:
    """The same with signs, strong where the interval leaves out 0."""
    if metric is None:
        return Cell("")
    value, low, high = (f"{end * measure.scale:+.1f}" for end in (metric.value, metric.low, metric.high))
    return Cell(value, f"[{low}, {high}]", is_strong=metric.low > 0 or metric.high < 0)


def _number(value: float, places: int) -> str:
    return f"{value:.{places}f}" if math.isfinite(value) else "-"
