"""Sampling by inverting the distribution: the right word for each uniform number, and none of probability 0."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

torch = pytest.importorskip("torch")

from lengthctl.rollout.sampler import inverse_cdf_sample  # noqa: E402


def test_words_own_their_share_of_the_unit_interval() -> None:
    probabilities = torch.tensor([[0.25, 0.0, 0.5, 0.25]]).repeat(6, 1)
    uniforms = torch.tensor([0.0, 0.2499, 0.25, 0.7499, 0.75, 1 - 2**-53], dtype=torch.float64)
    assert inverse_cdf_sample(probabilities, uniforms).tolist() == [0, 0, 2, 2, 3, 3]


@given(st.lists(st.sampled_from([0.0, 1e-12, 0.1, 3.0]), min_size=1, max_size=700), st.floats(0, 1, exclude_max=True))
def test_never_a_word_of_probability_zero(weights: list[float], uniform: float) -> None:
    if sum(weights) == 0:
        weights[-1] = 1.0
    row = torch.tensor([weights])
    word = int(inverse_cdf_sample(row, torch.tensor([uniform], dtype=torch.float64))[0])
    assert row[0, word] > 0
    # the running sum up to the word passes the uniform number, the one before it does not
    sums = row[0].double().cumsum(0) / row[0].double().sum()
    assert sums[word] >= uniform - 1e-6
    assert word == 0 or sums[word - 1] <= uniform + 1e-6


def test_frequencies_over_a_large_vocabulary() -> None:
    generator = torch.Generator().manual_seed(0)
    probabilities = torch.softmax(torch.randn(1, 5000, generator=generator) * 3, -1)
    uniforms = torch.rand(200_000, dtype=torch.float64, generator=generator)
    drawn = inverse_cdf_sample(probabilities.expand(1000, -1), uniforms[:1000])
    for start in range(1000, len(uniforms), 1000):
        drawn = torch.cat([drawn, inverse_cdf_sample(probabilities.expand(1000, -1), uniforms[start : start + 1000])])
    found = torch.bincount(drawn, minlength=5000).double() / len(drawn)
    likely = probabilities[0] > 0.002
    gap = (found - probabilities[0]).abs()[likely] / (probabilities[0][likely] / len(drawn)).sqrt()
    assert gap.max() < 5  # standard errors
