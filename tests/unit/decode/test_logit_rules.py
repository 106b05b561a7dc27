"""Rules on logits: the sheet's vectors, and nothing else touched."""

from __future__ import annotations

import math

import pytest
import torch

from lengthctl.decode.logit_rules import StopScale, TokenBudget, build_rules

BASE = [2.0, 1.0, 0.5, 1.5]


@pytest.mark.parametrize(
    ("mode", "value", "shift", "stop_probability"),
    [
        ("bias", 0.0, 0, 0.2760),
        ("raw", 0.75, 0, 0.3859),
        ("raw", 0.5, 0, 0.6308),
        ("raw", 1.5, 0, 0.1878),
        ("raw", 0.5, -4, 0.0303),
        ("raw", 2.0, -4, 0.5709),
        ("bias", 0.6, 0, 0.4099),
        ("bias", 1.0, 0, 0.5089),
        ("bias", -1.0, 0, 0.1230),
        ("bias", 1.0, -4, 0.5089),
        ("logp", 2.0, 0, 0.4205),
        ("logp", 0.5, 0, 0.0952),
        ("logp", 0.5, -4, 0.0952),
    ],
)
def test_stop_scale_vectors(mode: str, value: float, shift: float, stop_probability: float) -> None:
    row = torch.tensor(BASE) + shift
    before = row.clone()
    StopScale((3,), mode, value).apply(row, [0, 0])  # type: ignore[arg-type]
    assert row.softmax(0)[3].item() == pytest.approx(stop_probability, abs=5e-5)
    assert torch.equal(row[:3], before[:3])


def test_bias_multiplies_the_odds() -> None:
    row = torch.tensor(BASE)
    p = row.softmax(0)[3].item()
    StopScale((3,), "bias", 0.8).apply(row, [])
    assert row.softmax(0)[3].item() == pytest.approx(math.exp(0.8) * p / (1 - p + math.exp(0.8) * p), rel=1e-6)


def test_stop_scale_waits_and_ends_with_the_phase() -> None:
    rule = StopScale((3,), "bias", 1.0, after=2)
    for written, is_shifted in (([0], False), ([0, 0], True), ([0, 0, 3], False), ([0, 0, 3, 0], False)):
        row = torch.tensor(BASE)
        rule.apply(row, written)
        assert (row[3].item() == 2.5) is is_shifted


def test_token_budget_forces_and_lets_go() -> None:
    rule = TokenBudget(2, (1, 3), until=(3,))
    chosen = []
    for written in ([0], [0, 0], [0, 0, 1], [0, 0, 1, 3]):
        row = torch.tensor(BASE)
        rule.apply(row, written)
        chosen.append(int(row.argmax()) if math.isinf(row.min()) else None)
    assert chosen == [None, 1, 3, None]
    rule = TokenBudget(3, (1,), until=(3,))
    for written in ([0], [0, 3], [0, 3, 0], [0, 3, 0, 0]):
        row = torch.tensor(BASE)
        rule.apply(row, written)
        assert row.tolist() == BASE


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"nothing": {}}, "no logit rule"),
        ({"stop_scale": {"tokens": [], "mode": "bias", "value": 1.0}}, "needs token ids"),
        ({"stop_scale": {"tokens": [1], "mode": "up", "value": 1.0}}, "bias, raw or logp"),
        ({"stop_scale": {"tokens": [1], "mode": "raw", "value": 0.0}}, "above 0"),
        ({"stop_scale": {"tokens": [1], "mode": "bias", "value": math.nan}}, "finite"),
        ({"token_budget": {"limit": -1, "force": [1]}}, "at least 0"),
        ({"token_budget": {"limits": 1}}, "token_budget"),
    ],
)
def test_bad_rules_are_refused(settings: dict[str, dict[str, object]], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        build_rules(settings)
