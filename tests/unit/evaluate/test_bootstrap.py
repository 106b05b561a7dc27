"""The bootstrap: draws that are the same each time and cannot be changed."""

from __future__ import annotations

import numpy as np
import pytest

from lengthctl.evaluate.bootstrap import resampled


@pytest.mark.parametrize("clusters", [1, 7, 400])  # the last are too many to be kept
def test_draws_are_the_same_each_time_and_cannot_be_changed(clusters: int) -> None:
    draws = resampled(clusters, 3)
    assert np.array_equal(resampled(clusters, 3), draws)
    assert (draws.shape, set(draws.sum(axis=1))) == ((2000, clusters), {float(clusters)})
    with pytest.raises(ValueError, match="read-only"):
        draws[0, 0] = 5
    assert clusters == 1 or not np.array_equal(resampled(clusters, 4), draws)
