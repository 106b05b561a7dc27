"""The one bootstrap: 95 % percentile intervals over clusters that are drawn whole. Ours are prompts or problems."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray

__all__ = ["RESAMPLES", "interval", "mean_interval", "resampled"]

RESAMPLES = 2000


def resampled(clusters: int, seed: int, resamples: int = RESAMPLES) -> NDArray[np.float64]:
    """How often each cluster is drawn: (resamples, clusters). The same seed and number give the same draws, so that
    two systems measured on the same clusters are compared in pairs."""
    import numpy as np

    draws = np.random.default_rng(seed).multinomial(clusters, np.full(clusters, 1 / clusters), size=resamples)
    return draws.astype(np.float64)


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
