"""Bounds for CI: what is parsed, what breaks, what is refused."""

from __future__ import annotations

from typing import Any

import pytest

from lengthctl.checking import Status
from lengthctl.errors import ConfigError
from lengthctl.evaluate.attempts import MEASURES as OF_ATTEMPTS
from lengthctl.evaluate.attempts import Attempt
from lengthctl.evaluate.metrics import FRACTIONS, MEASURES, summarise
from lengthctl.evaluate.thresholds import Bound, bounded_metrics, broken_bounds, parse_bounds
from lengthctl.length import Target
from lengthctl.pipelines.problem_bench import Answered
from lengthctl.pipelines.problem_results import summarise_answers
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
        ("accuracy=70", "give 0.7"),
        ("acuracy=0.7", "did you mean accuracy?"),
        ("total_token=9", "did you mean total_tokens?"),
    ],
)
def test_refusals(text: str, match: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_bounds([text], ["x=1"])
    assert match in str(caught.value)
    assert "2 problems" in str(caught.value)


ANSWERS = {
    "accuracy": {"value": 0.6},
    "format": {"value": 1.0},
    "mean_total_tokens": {"value": 120.0},
    "truncation": {"value": 0.9},
    "mean_total_tokens_correct": None,
    "check_error": None,
}


def test_answers_to_problems_can_be_bounded() -> None:
    summary: dict[str, Any] = {
        "subjects": {"a": {"overall": {"pm": {"value": 0.5}, "truncation": {"value": 0.1}}}, "b": {"overall": ANSWERS}},
        "problems": {"a": {"overall": ANSWERS}, "b": {"overall": ANSWERS}},
    }
    bounds = parse_bounds(["accuracy=0.7", "format=0.9"], ["total_tokens=100", "truncation=0.5"])
    assert broken_bounds(bounds, bounded_metrics(summary, "a")) == [
        "accuracy is 0.6, under the bound of 0.7",
        "mean_total_tokens is 120, over the bound of 100",
    ]  # truncation is that of the texts whose length was asked for
    assert len(broken_bounds(bounds, bounded_metrics(summary, "b"))) == 3
    alone = {"subjects": {"a": summary["subjects"]["a"]}}
    with pytest.raises(ConfigError, match=r"accuracy  was not measured; known here: pm, truncation"):
        broken_bounds(bounds[:1], bounded_metrics(alone, "a"))
    with pytest.raises(ConfigError, match="check_error"):
        broken_bounds(parse_bounds(None, ["check_error=0"]), bounded_metrics(summary, "b"))


def test_every_measure_of_problems_is_measured() -> None:
    attempt = Attempt("p", 0, Status.CORRECT, 1, 1, 2, is_truncated=False)
    found = summarise_answers([Answered(attempt, attempt)], 0)["overall"]
    for name in (*OF_ATTEMPTS, "accuracy_last_number", "format"):
        assert parse_bounds([f"{name}=0.5"], None)[0].measure in found


def test_what_was_not_measured_does_not_pass() -> None:
    with pytest.raises(ConfigError, match="violation"):
        broken_bounds(parse_bounds(None, ["violation=0.1"]), {"pm": {"value": 1.0}})


def test_fractions_are_fractions() -> None:
    rows = [Scored("p", Target(10), n, n, n > 50, "a b. " * n, n, True) for n in (0, 1, 10, 1000)]
    for name, metric in summarise(rows, 0)["overall"].items():
        assert name not in FRACTIONS or 0 <= metric["low"] <= metric["high"] <= 1
