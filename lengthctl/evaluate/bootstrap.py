"""The one bootstrap: 95 % percentile intervals over clusters that are drawn whole. Ours are prompts or problems."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray

__all__ = ["RESAMPLES", "interval", "mean_interval", "resampled"]

RESAMPLES = 2000
_KEPT_BYTES = 4 * 2**20
"""Draws up to this size are kept for the next metric, of which a report has hundreds over the same clusters."""


def resampled(clusters: int, seed: int, resamples: int = RESAMPLES) -> NDArray[np.float64]:
    """How often each cluster is drawn: (resamples, clusters), not to be written to. The same seed and number give the
    same draws, so that two systems measured on the same clusters are compared in pairs."""
    kept = clusters * resamples * 8 <= _KEPT_BYTES
    return _drawn_before(clusters, seed, resamples) if kept else _drawn(clusters, seed, resamples)


def _drawn(clusters: int, seed: int, resamples: int) -> NDArray[np.float64]:
    import numpy as np

    counts = np.random.default_rng(seed).multinomial(clusters, np.full(clusters, 1 / clusters), size=resamples)
    draws = counts.astype(np.float64)
    draws.flags.writeable = False
    return draws


_drawn_before = functools.lru_cache(maxsize=8)(_drawn)


def interval(draws: NDArray[np.float64]) -> tuple[float, float]:
    """The 2.5 and 97.5 percentiles of bootstrap draws."""
    import numpy as np

    low, high = np.percentile(draws, [2.5, 97.5])
    return float(low), float(high)


def mean_interval(values: Sequence[float], clusters: Sequence[str], seed: int) -> tuple[float, float]:
    """95 % interval of the pooled mean of `values`, whose clusters (a name each) are drawn whole."""
    import numpy as np

    names, index = np.unique(np.array(clusters), return_inverse=True)
    sums = np.bincount(index, weights=np.asarray(values, dtype=np.float64))
    weights = resampled(len(names), seed)
    return interval((weights @ sums) / (weights @ np.bincount(index)))
