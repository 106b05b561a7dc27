"""The bootstrap: percentiles as numpy has them, draws that are the same each time and cannot be changed."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lengthctl.evaluate.bootstrap import interval, resampled

VALUES = st.floats(-1e6, 1e6) | st.integers(-3, 3).map(float)


@given(st.lists(VALUES | st.just(float("nan")), min_size=1, max_size=60))
def test_percentiles_are_numpys_to_the_last_bit(values: list[float]) -> None:
    assert np.array_equal(interval(np.array(values)), np.percentile(values, [2.5, 97.5]), equal_nan=True)


@given(st.floats(-1e3, 1e3), st.integers(0, 99))
def test_percentiles_of_many_draws(mean: float, seed: int) -> None:
    draws = np.random.default_rng(seed).normal(mean, 3, 2000)
    assert interval(draws) == tuple(np.percentile(draws, [2.5, 97.5]))


@pytest.mark.parametrize("clusters", [1, 7, 400])  # the last are too many to be kept
def test_draws_are_the_same_each_time_and_cannot_be_changed(clusters: int) -> None:
    draws = resampled(clusters, 3)
    assert np.array_equal(resampled(clusters, 3), draws)
    assert (draws.shape, set(draws.sum(axis=1))) == ((2000, clusters), {float(clusters)})
    with pytest.raises(ValueError, match="read-only"):
        draws[0, 0] = 5
    assert clusters == 1 or not np.array_equal(resampled(clusters, 4), draws)
