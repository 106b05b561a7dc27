"""Bounds for CI: what is parsed, what breaks, what is refused."""

from __future__ import annotations

import pytest

from lengthctl.errors import ConfigError
from lengthctl.evaluate.metrics import FRACTIONS, MEASURES, summarise
from lengthctl.evaluate.thresholds import Bound, broken_bounds, parse_bounds
from lengthctl.length import Target
from lengthctl.scoring import Scored


def test_measures_with_and_without_mean() -> None:
    found = parse_bounds(["pm=0.5"], ["abs_relative_deviation=0.2", "mean_length = 90"])
    assert found == [
        Bound("pm", 0.5, True),
        Bound("mean_abs_relative_deviation", 0.2, False),
        Bound("mean_length", 90, False),
    ]


@pytest.mark.parametrize("name", MEASURES)
def test_every_measure_can_be_bounded(name: str) -> None:
    assert parse_bounds([f"{name}=0.5"], [f"{name.removeprefix('mean_')}=0.5"])[1].measure == name


def test_a_value_on_the_bound_keeps_it() -> None:
    metrics = {"pm": {"value": 0.5}, "mean_length": {"value": 61.25}}
    kept = parse_bounds(["pm=0.5"], ["pm=0.5"])
    assert broken_bounds(kept, metrics) == []
    broken = broken_bounds(parse_bounds(["pm=0.51"], ["length=61"]), metrics, "base")
    assert broken == ["base: pm is 0.5, under the bound of 0.51", "base: mean_length is 61.25, over the bound of 61"]


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("violaton=0.5", "did you mean violation?"),
        ("abs_relative_devation=0.5", "did you mean abs_relative_deviation?"),
        ("pm", "no `=`"),
        ("pm=half", "'half' is no number"),
        ("pm=nan", "no number"),
        ("pm=50", "give 0.5"),
        ("violation=-1", "from 0 to 1"),
    ],
)
def test_refusals(text: str, match: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_bounds([text], ["x=1"])
    assert match in str(caught.value)
    assert "2 problems" in str(caught.value)


def test_what_was_not_measured_does_not_pass() -> None:
    with pytest.raises(ConfigError, match="violation"):
        broken_bounds(parse_bounds(None, ["violation=0.1"]), {"pm": {"value": 1.0}})


def test_fractions_are_fractions() -> None:
    rows = [Scored("p", Target(10), n, n, n > 50, "a b. " * n, n, True) for n in (0, 1, 10, 1000)]
    for name, metric in summarise(rows, 0)["overall"].items():
        assert name not in FRACTIONS or 0 <= metric["low"] <= metric["high"] <= 1
