"""The figure of a bench: accuracy against tokens, a line a method, with what counts as not inferior and as half."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from lengthctl.evaluate.cost import Mark, pareto_front
from lengthctl.evaluate.plots import error_bars, new_figure, short_name
from lengthctl.evaluate.svg import GREY, axis_style, drawing, figure_svg

__all__ = ["curves_figure"]

_WIDTH, _HEIGHT, _LEGEND_ROW = 5.6, 3.7, 0.19
"""Of the figure, and what each row of names adds to its height."""


def curves_figure(curves: Mapping[str, Sequence[Mark]], axes: tuple[str, str], margin: float) -> str:
    """Value (a share) against cost, the settings of a method joined by cost, with 95 % intervals.

    Shaded: values from the first curve's first mark down to `margin` below it; dotted: half of its cost. A broad grey
    line joins the settings that no other beats on both counts.
    """
    from matplotlib.ticker import PercentFormatter

    marks = [mark for part in curves.values() for mark in part]
    first = marks[0]
    front = pareto_front(marks, higher_is_better=True)
    with drawing():
        figure, axis = new_figure((_WIDTH, _HEIGHT + _LEGEND_ROW * math.ceil(len(curves) / 2)))
        axis.axhspan(first.value.value - margin, first.value.value, color=GREY, alpha=0.35, linewidth=0)
        axis.axvline(first.cost.value / 2, color=GREY, linewidth=1, linestyle=":")
        axis.plot([m.cost.value for m in front], [m.value.value for m in front], color=GREY, linewidth=4, alpha=0.5)
        for place, (name, part) in enumerate(curves.items()):
            colour, marker, dashes = axis_style(place)
            ordered = sorted(part, key=lambda mark: mark.cost.value)
            errors = [[error_bars(metric) for metric in (mark.cost, mark.value)] for mark in ordered]
            across, along = ([[e[k][side][0] for e in errors] for side in (0, 1)] for k in (0, 1))
            axis.errorbar(
                [mark.cost.value for mark in ordered],
                [mark.value.value for mark in ordered],
                xerr=across,
                yerr=along,
                color=colour,
                marker=marker,
                markersize=7,
                capsize=2,
                elinewidth=1,
                linestyle=dashes if len(ordered) > 1 else "none",
                label=f"\u200a{short_name(name)}",  # matplotlib leaves labels out that start with an underscore
            )
        axis.set_xlim(left=0)
        axis.yaxis.set_major_formatter(PercentFormatter(1, symbol=""))
        axis.set_xlabel(axes[0])
        axis.set_ylabel(axes[1])
        figure.legend(loc="outside lower center", ncols=2, fontsize=9)
        return figure_svg(figure, f"{axes[1]} against {axes[0]}, by method")
