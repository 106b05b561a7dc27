"""Figures of the report as inline SVG: one small figure a panel, so that the page can stack them on a phone."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from lengthctl.evaluate.cost import NEAR, Mark, pareto_front
from lengthctl.evaluate.metrics import Metric
from lengthctl.evaluate.svg import GREY, TEXT, axis_style, drawing, figure_svg
from lengthctl.length import BandKind, Target, ruler_band
from lengthctl.scoring import Scored

__all__ = [
    "CLIP",
    "curve_figures",
    "deviation_figure",
    "error_bars",
    "lines_figure",
    "new_figure",
    "pareto_figure",
    "quantiles_figure",
    "reward_length_figure",
    "scatter_figures",
    "short_name",
]

CLIP = 2.0
"""Relative deviation beyond which the distribution is not drawn; below it ends at -1, the empty text."""
_MAX_POINTS = 3000
"""Completions drawn over all panels; more are thinned evenly."""
_MAX_STEPS = 600
"""Steps drawn of a line that stands beside others; more are thinned evenly."""
_SHORT_LABEL = 24
"""Characters of a name that can stand beside another below a figure."""
_SMALL, _LARGE = (3.6, 2.7), (4.8, 3.7)


def scatter_figures(sides: Mapping[str, Sequence[Scored]]) -> list[str]:
    """Length against target, one figure a side on one scale: Ruler's FM band shaded, the target as a bar.

    The axis of lengths is logarithmic where targets or lengths span more than a decade; an empty text stands at 1 then.
    """
    rows = [s for part in sides.values() for s in part]
    targets = sorted({s.target for s in rows}, key=lambda t: (t.unit, t.value, t.label))
    values = [max(1, s.length) for s in rows] + [t.value for t in targets]
    is_log = max(values) > 10 * min(values)
    low = min(values) * 0.8 if is_log else 0
    high = max(values) * (1.25 if is_log else 1.05)
    step = max(1, math.ceil(len(rows) / _MAX_POINTS))
    out = []
    with drawing():
        for place, (name, part) in enumerate(sides.items()):
            figure, axis = new_figure(_SMALL)
            for x, target in enumerate(targets):
                lengths = [s.length for s in part if s.target == target][::step]
                _draw_target(axis, x, target, high)
                _draw_lengths(axis, x, lengths, place, is_log)
            if is_log:
                _log_axis(axis.yaxis)
            axis.set_ylim(low, high)
            _name_targets(axis, targets)
            axis.set_title(f"{short_name(name)}, n = {len(part)}")
            out.append(figure_svg(figure, f"Length against target: {name}"))
    return out


def deviation_figure(sides: Mapping[str, Sequence[float]]) -> str:
    """Share of completions up to each relative deviation, one line a side; within 5 % is shaded."""
    from matplotlib.ticker import PercentFormatter

    grid = [k / 100 for k in range(-100, round(CLIP * 100) + 1)]
    with drawing():
        figure, axis = new_figure(_LARGE)
        axis.axvspan(-NEAR, NEAR, color=GREY, alpha=0.35, linewidth=0)
        for place, (name, values) in enumerate(sides.items()):
            colour, _, dashes = axis_style(place)
            axis.step(
                grid,
                _shares(values, grid),
                where="post",
                color=colour,
                linestyle=dashes,
                label=_legend(name, len(values)),
            )
        axis.set_xlim(-1, CLIP)
        axis.set_ylim(0, 1)
        axis.xaxis.set_major_formatter(PercentFormatter(1, symbol=""))
        axis.yaxis.set_major_formatter(PercentFormatter(1, symbol=""))
        axis.set_xlabel("relative deviation (%); below 0: too short")
        axis.set_ylabel("completions up to it (%)")
        _outside_legend(figure)
        return figure_svg(figure, "Distribution of the relative deviation")


def pareto_figure(points: Sequence[Mark], cost: str, value: str, *, higher_is_better: bool) -> str:
    """Value against cost with 95 % intervals; sides that none beats on both are joined. Values are shares."""
    from matplotlib.ticker import PercentFormatter

    front = pareto_front(points, higher_is_better=higher_is_better)
    with drawing():
        figure, axis = new_figure(_LARGE)
        axis.plot([p.cost.value for p in front], [p.value.value for p in front], color=GREY, linewidth=1.5, zorder=1)
        for place, point in enumerate(points):
            colour, marker, _ = axis_style(place)
            axis.errorbar(
                [point.cost.value],
                [point.value.value],
                xerr=error_bars(point.cost),
                yerr=error_bars(point.value),
                color=colour,
                marker=marker,
                markersize=8,
                capsize=3,
                elinewidth=1,
                linestyle="none",
                label=_legend(point.name, point.value.n),
            )
        costs = [p.cost.value for p in points]
        if max(costs) > 10 * min(costs) > 0:
            _log_axis(axis.xaxis)
        else:
            axis.set_xlim(left=0)  # a small difference shall look small
        axis.set_ylim(bottom=0)
        axis.yaxis.set_major_formatter(PercentFormatter(1, symbol=""))
        axis.set_xlabel(cost)
        axis.set_ylabel(value)
        _outside_legend(figure)
        return figure_svg(figure, f"{value} against {cost}")


def curve_figures(records: Sequence[Mapping[str, Any]], names: Mapping[str, str]) -> list[str]:
    """One figure a metric over training steps; `names` maps a metric to its label."""
    out = []
    with drawing():
        for key, label in names.items():
            figure, axis = new_figure(_SMALL)
            for place, split in enumerate(("train", "eval")):
                points = [(r["step"], r[key]) for r in records if key in r and r.get("split") == split]
                colour, marker, dashes = axis_style(place)
                if points:
                    line = {"marker": marker} if split == "eval" or len(points) == 1 else {}
                    axis.plot(*zip(*points, strict=True), color=colour, linestyle=dashes, label=split, **line)
            _step_axis(axis)
            axis.set_ylabel(label)
            axis.legend()
            out.append(figure_svg(figure, f"{label} over training"))
    return out


def lines_figure(records: Sequence[Mapping[str, Any]], names: Mapping[str, str], label: str) -> str:
    """Several metrics of training on one axis over steps; `names` maps a metric to what the legend calls it."""
    with drawing():
        figure, axis = new_figure(_SMALL)
        for place, (key, name) in enumerate(names.items()):
            points = _over_steps(records, key)
            colour, marker, dashes = axis_style(place)
            line = {"marker": marker} if len(points) == 1 else {}
            steps, values = zip(*points, strict=True) if points else ((), ())
            axis.plot(steps, values, color=colour, linestyle=dashes, label=f"\u200a{short_name(name)}", **line)
        _step_axis(axis)
        axis.set_ylabel(label)
        _outside_legend(figure)
        return figure_svg(figure, f"{label} over training")


def quantiles_figure(records: Sequence[Mapping[str, Any]], keys: Sequence[str], label: str) -> str:
    """A median over steps with two bands; `keys` names five metrics, from the lowest percentile to the highest."""
    columns = [dict(_over_steps(records, key)) for key in keys]
    steps = [step for step in columns[0] if all(step in column for column in columns)]
    with drawing():
        figure, axis = new_figure(_SMALL)
        colour, marker, dashes = axis_style(0)
        for low, high, alpha in ((0, 4, 0.2), (1, 3, 0.35)):
            ends = [[columns[end][step] for step in steps] for end in (low, high)]
            axis.fill_between(steps, *ends, color=colour, alpha=alpha, linewidth=0)
        line = {"marker": marker} if len(steps) == 1 else {}
        axis.plot(steps, [columns[2][step] for step in steps], color=colour, linestyle=dashes, **line)
        _step_axis(axis)
        axis.set_ylabel(label)
        return figure_svg(figure, f"{label} over training")


def reward_length_figure(sides: Mapping[str, Sequence[tuple[int, float]]]) -> str:
    """Reward against tokens, one mark a completion; the axis of tokens is logarithmic where they span a decade."""
    points = [point for part in sides.values() for point in part]
    stride = max(1, math.ceil(len(points) / _MAX_POINTS))
    with drawing():
        figure, axis = new_figure(_LARGE)
        for place, (name, part) in enumerate(sides.items()):
            colour, marker, _ = axis_style(place)
            shown = part[::stride]
            axis.plot(
                [max(1, tokens) for tokens, _ in shown],
                [reward for _, reward in shown],
                linestyle="none",
                marker=marker,
                markersize=4,
                color=colour,
                alpha=0.65,
                label=_legend(name, len(part)),
            )
        lengths = [max(1, tokens) for tokens, _ in points]
        if max(lengths, default=1) > 10 * min(lengths, default=1):
            _log_axis(axis.xaxis)
        axis.set_xlabel("tokens of the completion")
        axis.set_ylabel("reward")
        _outside_legend(figure)
        return figure_svg(figure, "Reward against length")


def _over_steps(records: Sequence[Mapping[str, Any]], key: str) -> list[tuple[int, float]]:
    """Step and value of a metric of training, thinned; the last one stays."""
    found = [(r["step"], float(r[key])) for r in records if r.get("split") == "train" and key in r]
    stride = max(1, math.ceil(len(found) / _MAX_STEPS))
    return found[::-1][::stride][::-1]


def _step_axis(axis: Any) -> None:
    from matplotlib.ticker import MaxNLocator

    axis.xaxis.set_major_locator(MaxNLocator(nbins=6, integer=True))
    axis.set_xlabel("step")


def _outside_legend(figure: Any) -> None:
    """Below the axes: in two columns where the names are short enough for the figure's width."""
    labels = [label for axis in figure.axes for label in axis.get_legend_handles_labels()[1]]
    columns = 2 if max(map(len, labels), default=0) <= _SHORT_LABEL else 1
    figure.legend(loc="outside lower center", ncols=columns, fontsize=9)


def new_figure(size: tuple[float, float]) -> tuple[Any, Any]:
    """A figure of this width and height in inches, and its axes; within `drawing()`."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=size, layout="constrained")
    return figure, figure.subplots()


def _draw_target(axis: Any, x: int, target: Target, high: float) -> None:
    band = ruler_band(target, BandKind.FLEXIBLE)
    edges = [x - 0.42, x + 0.42]
    axis.fill_between(edges, band.low, min(band.high, high), color=GREY, alpha=0.35, linewidth=0)
    for end in {target.value, target.high or target.value}:
        axis.plot(edges, [end, end], color=TEXT, linewidth=1.2)


def _draw_lengths(axis: Any, x: int, lengths: Sequence[int], place: int, is_log: bool) -> None:
    colour, marker, _ = axis_style(place)
    spread = [x - 0.32 + 0.64 * (i * 0.618 % 1) for i in range(len(lengths))]  # golden section: even for any number
    heights = [max(1, length) if is_log else length for length in lengths]
    axis.plot(spread, heights, linestyle="none", marker=marker, markersize=4, color=colour, alpha=0.65)


def _name_targets(axis: Any, targets: Sequence[Target]) -> None:
    units = {str(t.unit) for t in targets}
    names = [t.label if len(units) == 1 else f"{t.label} {t.unit}" for t in targets]
    is_long = sum(map(len, names)) > 24
    axis.set_xticks(range(len(targets)), names, rotation=45 if is_long else 0, ha="right" if is_long else "center")
    axis.tick_params("x", length=0)
    axis.grid(False, axis="x")
    unit = units.pop() if len(units) == 1 else "its unit"
    axis.set_xlabel(f"target ({unit})")
    axis.set_ylabel(f"length ({unit})")


def _log_axis(axis: Any) -> None:
    from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

    axis.axes.set(**{f"{axis.axis_name}scale": "log"})
    axis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axis.set_minor_locator(NullLocator())


def _shares(values: Sequence[float], grid: Sequence[float]) -> list[float]:
    from bisect import bisect_right

    ordered = sorted(values)
    return [bisect_right(ordered, x + 1e-9) / len(ordered) for x in grid]


def short_name(name: str, characters: int = 28) -> str:
    """A name that fits a legend, the middle left out of a long one."""
    return name if len(name) <= characters else f"{name[: characters - 13]}\u2026{name[-12:]}"


def error_bars(metric: Metric) -> list[list[float]]:
    """How far the ends of the interval lie below and above the value, as matplotlib takes it."""
    return [[max(0.0, metric.value - metric.low)], [max(0.0, metric.high - metric.value)]]


def _legend(name: str, n: int) -> str:
    """A hair space in front: matplotlib leaves labels out that start with an underscore."""
    return f"\u200a{short_name(name)} (n = {n})"
