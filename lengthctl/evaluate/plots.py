"""Figures of the report as inline SVG: the same data gives the same bytes."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import Any

from lengthctl.length import BandKind, ruler_band
from lengthctl.scoring import Scored

__all__ = ["curve_figure", "scatter_figure"]

_BLUE, _ORANGE, _GREY = "#0072b2", "#d55e00", "#999999"  # safe for colour-blind readers


def scatter_figure(before: Sequence[Scored], after: Sequence[Scored]) -> str:
    """Length against target, one panel a side, Ruler's FM band shaded and the target as a bar; log axis of lengths."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

    sides = [(name, rows) for name, rows in (("before", before), ("after", after)) if rows]
    figure, axes = _figure(len(sides), same_scale=True)
    targets = sorted({s.target for _, rows in sides for s in rows}, key=lambda t: (t.value, t.label))
    for axis, (name, rows) in zip(axes, sides, strict=True):
        for x, target in enumerate(targets):
            band = ruler_band(target, BandKind.FLEXIBLE)
            top = min(band.high, 4 * target.value)
            axis.fill_between([x - 0.4, x + 0.4], band.low, top, color=_GREY, alpha=0.3, linewidth=0)
            axis.plot([x - 0.4, x + 0.4], [target.value] * 2, color="black", linewidth=1.2)
            lengths = [max(1, s.length) for s in rows if s.target == target]
            spread = [x - 0.3 + 0.6 * (i * 0.618 % 1) for i in range(len(lengths))]
            colour, marker = (_ORANGE, "x") if name == "before" else (_BLUE, "o")
            axis.scatter(spread, lengths, s=12, color=colour, marker=marker, alpha=0.6, linewidths=0.8)
        axis.set_yscale("log")
        axis.yaxis.set_major_locator(LogLocator(subs=(1, 3)))
        axis.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axis.yaxis.set_minor_locator(NullLocator())
        axis.set_xticks(range(len(targets)), [t.label for t in targets])
        axis.set_xlabel(f"target ({targets[0].unit})")
        axis.set_ylabel(f"length ({targets[0].unit}, log)")
        axis.set_title(f"{name}, n = {len(rows)}")
    return _svg(figure)


def curve_figure(records: Sequence[Mapping[str, Any]], names: Mapping[str, str]) -> str:
    """One panel a metric over training steps; `names` maps a metric to its label."""
    from matplotlib.ticker import MaxNLocator

    shown = {key: label for key, label in names.items() if any(key in r for r in records)}
    figure, axes = _figure(max(1, len(shown)))
    for axis, (key, label) in zip(axes, shown.items(), strict=False):
        for split, colour, style in (("train", _BLUE, "-"), ("eval", _ORANGE, "o--")):
            points = [(r["step"], r[key]) for r in records if key in r and r.get("split") == split]
            if points:
                axis.plot(*zip(*points, strict=True), style, color=colour, label=split, markersize=4)
        axis.xaxis.set_major_locator(MaxNLocator(integer=True))
        axis.set_xlabel("step")
        axis.set_ylabel(label)
        axis.legend(frameon=False)
    return _svg(figure)


def _figure(panels: int, *, same_scale: bool = False) -> tuple[Any, list[Any]]:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(4.6 * panels, 3.6), layout="constrained")
    axes = figure.subplots(1, panels, squeeze=False, sharey=same_scale)[0]
    for axis in axes:
        axis.grid(alpha=0.25)
        axis.spines[["top", "right"]].set_visible(False)
    return figure, list(axes)


def _svg(figure: Any) -> str:
    import matplotlib

    buffer = io.StringIO()
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": "lengthctl"}):
        figure.savefig(buffer, format="svg", metadata={"Date": None})
    text = buffer.getvalue()
    return text[text.index("<svg") :]
