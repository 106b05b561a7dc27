"""The lengths at which a control may end a text."""

from __future__ import annotations

import math

from lengthctl.length import Band, Relation, Target

__all__ = ["DEFAULT_SLACK", "DEFAULT_TOLERANCE", "closing_band"]

DEFAULT_TOLERANCE = 0.05
"""Relative half-width."""
DEFAULT_SLACK = 2
"""Least half-width, in the target's unit."""


def closing_band(target: Target, tolerance: float, slack: int) -> Band:
    """Of an exact target: within `tolerance` (relative) or `slack` (in its unit), whichever is wider, and at least 1.
    Other targets bring their own band. Ours."""
    if target.relation is not Relation.EXACT:
        return target.band
    half = max(float(slack), tolerance * target.value)
    return Band(max(1, math.ceil(target.value - half - 1e-9)), math.floor(target.value + half + 1e-9))
