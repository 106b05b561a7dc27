"""Likelihoods of texts: by hand on a tiny model, pooled over tokens."""

from __future__ import annotations

import math
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from word_model import VOCABULARY, word_tokenizer

from lengthctl.evaluate.likelihood import (
    LikelyText,
    TextLikelihood,
    likelihood_change,
    likelihood_levels,
    text_likelihoods,
)


class FakeNextWord:
    """Logits that depend on the word before: twice its id's share for the next id."""

    device = torch.device("cpu")

    def __call__(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> Any:
        logits = torch.zeros(*input_ids.shape, len(VOCABULARY))
        following = (input_ids + 1) % len(VOCABULARY)
        logits.scatter_(2, following[..., None], math.log(3.0))
        return SimpleNamespace(logits=logits)


def test_likelihoods_by_hand_and_whatever_the_batch() -> None:
    ask = [{"role": "user", "content": "x"}]
    texts = [(ask, "Bee Cat"), (ask, "Cat Bee Ant Dog Elk"), (ask, "")]
    n = len(VOCABULARY)
    following, other = -math.log(3 / (n + 2)), -math.log(1 / (n + 2))
    first, second, empty = text_likelihoods(FakeNextWord(), word_tokenizer(), texts)
    # the prompt is the one token 2, "Bee"; Cat follows Bee
    assert first.nll == pytest.approx(other + following, rel=1e-5)
    assert second.nll == pytest.approx(following + 3 * other + following, rel=1e-5)
    assert (empty.nll, empty.tokens) == (0, 0)
    assert first.nll_open == pytest.approx(first.nll - 2 * math.log((n + 2) / (n + 1)), rel=1e-5)
    (alone,) = text_likelihoods(FakeNextWord(), word_tokenizer(), texts[:1])
    assert alone.nll == pytest.approx(first.nll, rel=1e-6)


def rows(*values: tuple[str, str, float, int]) -> list[LikelyText]:
    return [LikelyText(p, t, TextLikelihood(nll, nll / 2, n)) for p, t, nll, n in values]


def test_levels_pool_nats_over_tokens() -> None:
    found = likelihood_levels(
        rows(("a", "10", 4.0, 2), ("b", "10", 1.0, 2), ("a", "30", 10.0, 6), ("b", "30", 0.0, 0)), 0
    )
    assert found["overall"]["nll_per_token"]["value"] == pytest.approx(15 / 10)
    assert found["by_target"]["10"]["nll_per_token"]["value"] == pytest.approx(5 / 4)
    assert found["by_target"]["30"]["nll_open_per_token"] == {
        "value": pytest.approx(5 / 6),
        "low": pytest.approx(5 / 6),
        "high": pytest.approx(5 / 6),
        "n": 1,
    }


def test_change_is_paired_by_prompt() -> None:
    before = rows(*((str(i), "10", 10.0 * i, 10) for i in range(1, 9)))
    after = rows(*((str(i), "10", 10.0 * i + 1, 10) for i in range(1, 9)))
    change = likelihood_change(before, after, 0)["nll_per_token"]
    assert (change["value"], change["low"], change["high"]) == pytest.approx((0.1, 0.1, 0.1))
    assert likelihood_change(before, rows(("z", "10", 1.0, 1)), 0) == {}
