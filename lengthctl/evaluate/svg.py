"""Figures as inline SVG that follows the page: its text colour, its palette, its width. Same data, same bytes."""

from __future__ import annotations

import hashlib
import io
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

__all__ = ["GREY", "STYLES", "TEXT", "axis_style", "drawing", "figure_svg"]

TEXT = "#0a0b0c"
"""Becomes the page's text colour."""
GREY = "#999999"
"""Becomes the page's colour of bands and of what stands back."""
_LINE = "#0a0b0d"
STYLES = (
    ("#0072b2", "o", "-"),
    ("#d55e00", "x", "--"),
    ("#009e73", "s", "-."),
    ("#cc79a7", "^", ":"),
    ("#e69f00", "D", (0, (5, 1))),
    ("#56b4e9", "v", (0, (3, 1, 1, 1))),
    ("#8a6d3b", "P", (0, (1, 1))),
    ("#7570b3", "*", (0, (7, 2))),
)
"""Colour (Okabe and Ito, safe for colour-blind readers, and two more), marker and dashes of a side, by its place."""

_SETTINGS = {
    "svg.fonttype": "none",
    "svg.hashsalt": "lengthctl",
    "text.parse_math": False,  # names of sides may hold a dollar sign
    "font.size": 10,
    "figure.facecolor": "none",
    "axes.facecolor": "none",
    "legend.frameon": False,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": _LINE,
    **dict.fromkeys(("text.color", "axes.edgecolor", "axes.labelcolor", "xtick.color", "ytick.color"), TEXT),
}
_COLOURS = {
    TEXT: "currentColor",
    _LINE: "var(--line)",
    GREY: "var(--band)",
    **{colour: f"var(--c{place})" for place, (colour, _, _) in enumerate(STYLES)},
}
_TAG = re.compile(r"<[^>]*>")
_REFERENCE = re.compile(r'(?:href="|url\()#([^")]+)')


@contextmanager
def drawing() -> Iterator[None]:
    """matplotlib with our settings alone, whatever the user's own file says; restored afterwards."""
    import matplotlib

    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(_SETTINGS)
        yield


def axis_style(place: int) -> tuple[str, str, Any]:
    """Colour, marker and dashes of the side at a place; they repeat after eight, the colours first."""
    colour, _, dashes = STYLES[place % len(STYLES)]
    return colour, STYLES[(place + place // len(STYLES)) % len(STYLES)][1], dashes


def figure_svg(figure: Any, label: str) -> str:
    """A matplotlib figure as an `<svg>` element without size, script, links or ids that could meet another's.

    Args:
        figure: drawn within `drawing()`.
        label: read out in place of the picture.
    """
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg", metadata=dict.fromkeys(("Date", "Creator", "Format", "Type")))
    text = buffer.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"<!--.*?-->|<metadata>.*?</metadata>|<style.*?</style>", "", text, flags=re.DOTALL)
    used = set(_REFERENCE.findall(text))
    prefix = hashlib.sha256(f"{label}{text}".encode("utf-8", "replace")).hexdigest()[:6]
    body = _TAG.sub(lambda tag: _tag(tag.group(), used, prefix), text)
    body = re.sub(r"\s*\n\s*", "\n", body)
    name = re.sub(r"[&<>\"]", " ", label)
    return re.sub(r"<svg\b", f'<svg role="img" aria-label="{name}"', body, count=1)


def _tag(tag: str, used: set[str], prefix: str) -> str:
    """One tag of matplotlib's: colours to those of the page, two decimals, only ids that are referred to."""
    if tag.startswith("<svg"):
        tag = re.sub(r' (?:width|height|version|xmlns(?::xlink)?)="[^"]*"', "", tag)
    tag = re.sub(r' id="([^"]*)"', lambda m: f' id="{prefix}{m[1]}"' if m[1] in used else "", tag)
    tag = re.sub(r'xlink:href="#', f'href="#{prefix}', tag).replace("url(#", f"url(#{prefix}")
    tag = re.sub(r"#[0-9a-f]{6}\b", lambda m: _COLOURS.get(m.group(), m.group()), tag)
    tag = re.sub(r"font: ([\d.]+px) [^;\"]*", r"font: \1 sans-serif", tag)
    return re.sub(r"-?\d+\.\d{3,}", lambda m: f"{float(m.group()):.2f}".rstrip("0").rstrip("."), tag)
