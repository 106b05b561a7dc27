"""Accuracy against tokens: golden vectors, intervals, paired comparison."""

from __future__ import annotations

import itertools
import json
import random
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lengthctl.checking import Status
from lengthctl.evaluate.attempts import Attempt
from lengthctl.evaluate.bootstrap import interval
from lengthctl.evaluate.reasoning import (
    compare_attempts,
    curve_point,
    paired_draws,
    summarise_attempts,
    tokens_at_equal_accuracy,
)
from lengthctl.evaluate.tradeoff import (
    AesWeights,
    Point,
    accuracy_efficiency,
    budget_control,
    budget_performance,
    budget_scaling,
    pareto_set,
    pass_at_k,
    tokens_at_accuracy,
)

GOLDEN = json.loads((Path(__file__).parents[2] / "golden" / "reasoning.json").read_text())


def attempt(problem: str, sample: int, status: Status, tokens: int, *, truncated: bool = False) -> Attempt:
    return Attempt(problem, sample, status, tokens - 3, 2, tokens, truncated)


def system(problems: int, samples: int, seed: int, extra: int = 0) -> list[Attempt]:
    rng = random.Random(seed)
    statuses = [Status.CORRECT, Status.CORRECT, Status.WRONG, Status.NO_ANSWER]
    return [
        attempt(f"p{i}", j, rng.choice(statuses), rng.randint(10, 100) + extra)
        for i in range(problems)
        for j in range(samples)
    ]


def test_pareto_set() -> None:
    points = [Point(*p) for p in GOLDEN["pareto"]["points"]]
    assert [[p.tokens, p.accuracy] for p in pareto_set(points)] == GOLDEN["pareto"]["expected"]
    assert pareto_set([Point(1, 1, "a"), Point(1, 1, "b")]) == [Point(1, 1, "a"), Point(1, 1, "b")]
    assert pareto_set([]) == []


@given(st.lists(st.tuples(st.integers(1, 5), st.integers(0, 5)), max_size=12))
def test_pareto_set_is_what_the_definition_says(pairs: list[tuple[int, int]]) -> None:
    points = [Point(t, a) for t, a in pairs]

    def beats(p: Point, q: Point) -> bool:
        return p.tokens <= q.tokens and p.accuracy >= q.accuracy and (p.tokens, p.accuracy) != (q.tokens, q.accuracy)

    expected = sorted((p.tokens, p.accuracy) for p in points if not any(beats(q, p) for q in points))
    assert [(p.tokens, p.accuracy) for p in pareto_set(points)] == expected


def test_tokens_at_equal_accuracy() -> None:
    case = GOLDEN["equal_accuracy"]
    first, second = ([Point(*p) for p in case[key]] for key in ("a", "b"))
    for accuracy, *expected in case["expected"]:
        assert [tokens_at_accuracy(c, accuracy) for c in (first, second)] == [pytest.approx(e) for e in expected]
    assert tokens_at_accuracy(first, 59) is None
    assert tokens_at_accuracy(first[::-1], 60) == 500
    assert tokens_at_accuracy([Point(100, 70), Point(200, 60), Point(300, 70)], 65) == 150
    assert tokens_at_accuracy([], 1) is None


@pytest.mark.parametrize("row", GOLDEN["accuracy_efficiency"], ids=str)
def test_accuracy_efficiency(row: list[float | None]) -> None:
    base_tokens, tokens, base_accuracy, accuracy, usual, strict = row
    base, point = Point(base_tokens, base_accuracy), Point(tokens, accuracy)  # type: ignore[arg-type]
    assert accuracy_efficiency(base, point) == pytest.approx(usual, abs=5e-4)
    if strict is not None:
        assert accuracy_efficiency(base, point, AesWeights(1, 5, 10)) == pytest.approx(strict, abs=5e-4)
    assert accuracy_efficiency(Point(100, 0), Point(50, 1)) is None


def test_s1_control_scaling_performance() -> None:
    for case in GOLDEN["scaling"]:
        runs = [Point(*run) for run in case["runs"]]
        assert budget_scaling(runs) == pytest.approx(case["expected"], abs=1e-4)
        assert budget_performance(runs) == max(a for _, a in case["runs"])
    control = GOLDEN["control"]
    assert budget_control(control["uses"], control["low"], control["high"]) == control["expected"]
    with pytest.warns(UserWarning, match="equal tokens"):
        assert budget_scaling([Point(1000, 30), Point(1000, 40), Point(2000, 50)]) == pytest.approx(15)
    assert budget_scaling([Point(1000, 30)]) is None


def test_pass_at_k() -> None:
    assert pass_at_k(4, 1, 2) == pytest.approx(1 - 3 / 6)
    assert pass_at_k(10, 3, 1) == pytest.approx(0.3)
    with pytest.raises(ValueError, match="at least 3 samples"):
        pass_at_k(2, 1, 3)


@given(st.integers(1, 8), st.data())
def test_pass_at_k_is_the_share_of_draws_that_hold_a_correct_one(n: int, data: st.DataObject) -> None:
    correct, k = data.draw(st.integers(0, n)), data.draw(st.integers(1, n))
    draws = list(itertools.combinations([i < correct for i in range(n)], k))
    assert pass_at_k(n, correct, k) == pytest.approx(sum(map(any, draws)) / len(draws))


def test_paired_bootstrap_by_enumeration() -> None:
    case = GOLDEN["paired_bootstrap"]
    drawn = np.array([np.bincount(d, minlength=4) for d in itertools.product(range(4), repeat=4)], dtype=float)
    assert len(drawn) == case["resamples"]
    draws = paired_draws([0.0] * 4, case["differences"], drawn)
    assert draws.mean() == pytest.approx(case["mean"])
    assert interval(draws) == (case["low"], case["high"])
    assert (draws <= 0).mean() == case["share_at_or_below_0"]


def test_summary_by_hand() -> None:
    rows = [
        attempt("a", 0, Status.CORRECT, 10),
        attempt("a", 1, Status.WRONG, 20),
        attempt("b", 0, Status.CORRECT, 30, truncated=True),
        attempt("b", 1, Status.NO_ANSWER, 40),
    ]
    summary = summarise_attempts(rows, 0, ks=(1, 2))
    values = {name: metric["value"] for name, metric in summary["overall"].items()}
    assert values == pytest.approx(
        {
            "accuracy": 0.25,
            "no_answer": 0.25,
            "check_timeout": 0,
            "check_error": 0,
            "truncation": 0.25,
            "mean_total_tokens": 25,
            "mean_reasoning_tokens": 22,
            "mean_answer_tokens": 2,
            "pass_at_1": 0.25,
            "pass_at_2": 0.5,
            "mean_total_tokens_correct": 10,
            "mean_total_tokens_wrong": 30,
            "median_total_tokens": 20,
            "p90_total_tokens": 40,
            "p99_total_tokens": 40,
        }
    )
    assert (summary["problems"], summary["samples_per_problem"]) == (2, [2, 2])
    assert json.loads(json.dumps(summary)) == summary


def test_problems_weigh_the_same_however_many_samples() -> None:
    rows = [attempt("a", 0, Status.CORRECT, 10), *(attempt("b", j, Status.WRONG, 20) for j in range(3))]
    overall = summarise_attempts(rows, 0)["overall"]
    assert overall["accuracy"]["value"] == pytest.approx(0.5)
    assert overall["mean_total_tokens"]["value"] == pytest.approx(15)
    assert curve_point("s", rows) == Point(15, 0.5, "s")


def test_undefined_is_none() -> None:
    overall = summarise_attempts([attempt("a", 0, Status.WRONG, 10)], 0)["overall"]
    assert overall["mean_total_tokens_correct"] is None
    change = compare_attempts([attempt("a", 0, Status.WRONG, 10)], [attempt("a", 0, Status.CORRECT, 5)], 0)
    assert change["aes_1_3_5"] is None
    assert change["relative_total_tokens"] == pytest.approx({"value": -0.5, "low": -0.5, "high": -0.5, "n": 1})
    with pytest.raises(ValueError, match="no attempts"):
        summarise_attempts([], 0)
    with pytest.raises(ValueError, match="stands twice"):
        summarise_attempts([attempt("a", 0, Status.WRONG, 1)] * 2, 0)
    with pytest.raises(ValueError, match="no problem in common"):
        compare_attempts([attempt("a", 0, Status.WRONG, 1)], [attempt("b", 0, Status.WRONG, 1)], 0)


def test_intervals_hold_the_value_and_order_does_not_matter() -> None:
    rows = system(20, 4, 1)
    summary = summarise_attempts(rows, 3, ks=(1, 4))
    for metric in summary["overall"].values():
        assert metric["low"] <= metric["value"] <= metric["high"]
    assert summary["overall"]["accuracy"]["low"] < summary["overall"]["accuracy"]["high"]
    shuffled = rows.copy()
    random.Random(0).shuffle(shuffled)
    again = summarise_attempts(shuffled, 3, ks=(1, 4))
    for name, metric in again["overall"].items():
        assert metric == pytest.approx(summary["overall"][name])


def test_comparison_is_paired() -> None:
    base = system(20, 2, 1)
    change = compare_attempts(base, system(20, 2, 1, extra=10), 0)
    assert change["mean_total_tokens"] == pytest.approx({"value": 10, "low": 10, "high": 10, "n": 40})
    assert change["accuracy"] == pytest.approx({"value": 0, "low": 0, "high": 0, "n": 40})
    mean = summarise_attempts(base, 0)["overall"]["mean_total_tokens"]["value"]
    relative, score = change["relative_total_tokens"], change["aes_1_3_5"]
    assert relative is not None
    assert score is not None
    assert relative["value"] == pytest.approx(10 / mean)
    assert score["value"] == pytest.approx(-10 / mean)
    assert "aes_1_5_10" in compare_attempts(base, base, 0, AesWeights(1, 5, 10))


def test_by_difficulty_and_round_trip() -> None:
    rows = [Attempt("a", 0, Status.CORRECT, 1, 1, 4, False, 1.0), Attempt("b", 0, Status.WRONG, 1, 1, 6, False, 2.0)]
    by_difficulty = summarise_attempts(rows, 0)["by_difficulty"]
    assert {label: part["accuracy"]["value"] for label, part in by_difficulty.items()} == {"1": 1.0, "2": 0.0}
    assert [Attempt.parse({"schema": 1, **json.loads(json.dumps(row.to_row()))}) for row in rows] == rows


def test_a_method_is_read_between_its_settings() -> None:
    def setting(tokens: int, right: int) -> list[Attempt]:
        found = (Status.CORRECT if i < right else Status.WRONG for i in range(10))
        return [Attempt(f"p{i}", 0, status, 0, tokens, tokens, False) for i, status in enumerate(found)]

    curves = {"a": [setting(100, 2), setting(200, 4)], "b": [setting(50, 2), setting(150, 3)], "one": [setting(9, 3)]}
    levels = tokens_at_equal_accuracy(curves, seed=1)
    assert list(levels) == ["20.0", "30.0", "40.0"]  # a single setting is no curve
    read = {level: {name: m and m["value"] for name, m in by_name.items()} for level, by_name in levels.items()}
    assert read["20.0"] == {"a": 100, "b": 50}
    assert read["30.0"] == {"a": pytest.approx(150), "b": 150}
    assert read["40.0"] == {"a": 200, "b": None}
    metric = levels["30.0"]["a"]
    assert metric is not None
    assert metric["low"] <= 150 <= metric["high"]
    assert tokens_at_equal_accuracy({}, seed=1) == {}
