"""Verdicts and costs of a bench, from answers written by hand."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from two_method_bench import plan

from lengthctl.checking import Status
from lengthctl.evaluate.attempts import Attempt
from lengthctl.evaluate.bench_sections import bench_verdict
from lengthctl.evaluate.cost import Drawn
from lengthctl.pipelines.problem_bench import Answered
from lengthctl.pipelines.reasoning_bench_measure import Measured
from lengthctl.pipelines.reasoning_bench_results import BenchFound, bench_results

GOLDEN = json.loads((Path(__file__).parents[2] / "golden" / "reasoning_bench.json").read_text())


def measured(right: Sequence[bool], tokens: Sequence[int], seconds: float = 0.0, thought: float = 0.0) -> Measured:
    """Answers of `tokens`, of which the share `thought` is reasoning."""
    attempts = [
        Attempt(
            *(f"p{i}", 0, Status.CORRECT if ok else Status.WRONG, int(thought * n), int((1 - thought) * n), n),
            is_truncated=False,
            difficulty=1.0,
        )
        for i, (ok, n) in enumerate(zip(right, tokens, strict=True))
    ]
    drawn = [Drawn(a.problem_id, a.total_tokens, is_fm=False, is_hit=a.is_correct) for a in attempts]
    return Measured([Answered(a, a) for a in attempts], drawn, seconds, len(attempts) if seconds else 0)


def results(sides: dict[str, dict[int, Measured]], seeds: Sequence[int] = (1,)) -> dict[str, Any]:
    methods = {name: {"control": "level"} for name in sides if name != "base"}
    made = plan(Path("out"), methods, seeds)
    return bench_results(made, BenchFound(measured=sides))


@pytest.mark.parametrize("case", GOLDEN["verdicts"], ids=lambda case: case["name"])
def test_verdicts_by_hand(case: dict[str, Any]) -> None:
    n, lost = case["problems"], case["lost"]
    base = measured([True] * n, [case["base_tokens"]] * n)
    other = measured([i >= lost for i in range(n)], [case["tokens"]] * n)
    found = results({"base": {1: base}, "m": {1: other}})
    verdict = found["verdicts"]["m"]
    assert verdict["accuracy_change"]["value"] == pytest.approx(case["accuracy_change"])
    assert verdict["saved"]["value"] == pytest.approx(case["saved"])
    assert verdict["is_not_inferior"] is case["is_not_inferior"]
    assert verdict["saves_half"] is case["saves_half"]
    assert found["best"] == case["best"]


@pytest.mark.parametrize("case", GOLDEN["costs"], ids=str)
def test_costs_by_hand(case: dict[str, Any]) -> None:
    side = measured(case["right"], case["tokens"], case["seconds"])
    cost = results({"base": {1: side}})["costs"]["base"]
    assert cost["tokens_drawn"]["value"] == pytest.approx(case["tokens_drawn"])
    per_correct = cost["tokens_per_correct"]
    assert (per_correct and per_correct["value"]) == case["tokens_per_correct"]
    assert cost["seconds_per_correct"] == (
        None if case["seconds_per_correct"] is None else pytest.approx(case["seconds_per_correct"])
    )
    assert json.loads(json.dumps(cost, allow_nan=False)) == cost


def test_seconds_are_a_rate_over_what_was_timed() -> None:
    killed = Measured(measured([True] * 4, [10] * 4).answers, measured([True] * 4, [10] * 4).drawn, 6.0, 3)
    assert results({"base": {1: killed}})["costs"]["base"]["seconds"] == 2.0


def test_seeds_are_pooled_within_their_problems() -> None:
    always, never = measured([True, True], [10, 10]), measured([False, False], [30, 30])
    found = results({"base": {1: always, 2: never}}, seeds=(1, 2))
    overall = found["problems"]["base"]["overall"]
    assert overall["accuracy"] == {"value": 0.5, "low": 0.5, "high": 0.5, "n": 4}  # no problem differs from another
    assert overall["mean_total_tokens"]["value"] == 20
    second = found["by_seed"]["base"]["2"]
    assert (second["accuracy"], second["mean_total_tokens"], second["n"]) == (0.0, 30.0, 2)


def test_a_method_is_compared_over_the_seeds_that_both_have() -> None:
    base = {1: measured([True] * 4, [10] * 4), 2: measured([False] * 4, [10] * 4)}
    found = results({"base": base, "m": {2: measured([False] * 4, [5] * 4)}}, seeds=(1, 2))
    assert found["verdicts"]["m"]["accuracy_change"]["value"] == 0.0
    assert found["problem_differences"]["m"]["accuracy"]["value"] == 0.0


def test_the_change_of_a_single_seed_is_the_paired_one() -> None:
    sides = {
        "base": {1: measured([True, True, False, True, False], [10] * 5)},
        "m": {1: measured([True, False, True, False, False], [10] * 5)},
    }
    found = results(sides)
    assert found["by_seed"]["m"]["1"]["accuracy_change"] == pytest.approx(found["verdicts"]["m"]["accuracy_change"])
    assert found["by_seed"]["base"]["1"]["accuracy_change"] == {"value": 0.0, "low": 0.0, "high": 0.0, "n": 5}


def test_reasoning_that_is_saved_is_counted_apart() -> None:
    sides = {
        "base": {1: measured([True, True], [100, 300], thought=0.5)},
        "m": {1: measured([True, True], [100, 100], thought=0.25)},
    }
    verdict = results(sides)["verdicts"]["m"]
    assert verdict["saved"]["value"] == pytest.approx(0.5)
    assert verdict["saved_reasoning"] == pytest.approx({"value": 0.75, "low": 0.5, "high": 1 - 1 / 6, "n": 2})
    assert (
        results({**sides, "base": {1: measured([True, True], [100, 300])}})["verdicts"]["m"]["saved_reasoning"] is None
    )


def test_beside_a_base_that_solves_next_to_nothing_no_method_is_best() -> None:
    base = measured([True] * 3 + [False] * 597, [10] * 600)
    found = results({"base": {1: base}, "m": {1: measured([False] * 600, [1] * 600)}})
    assert found["verdicts"]["m"]["is_not_inferior"]  # as it is defined: half a point was lost, of two
    assert found["best"] is None
    told = bench_verdict({**found, "problem_count": 600, "seeds": [1]})
    assert told.startswith("The base itself solves 0.5 %: none can lose 2 points")


def test_the_base_is_needed() -> None:
    with pytest.raises(ValueError, match="base was not measured"):
        results({"m": {1: measured([True], [1])}})


SIDES = st.lists(st.tuples(st.booleans(), st.integers(1, 50)), min_size=5, max_size=5)


@settings(max_examples=6)
@given(st.tuples(SIDES, SIDES, SIDES))
def test_the_best_is_never_inferior_and_saves(drawn: tuple[list[tuple[bool, int]], ...]) -> None:
    sides = {
        name: {1: measured([ok for ok, _ in rows], [n for _, n in rows])}
        for name, rows in zip(("base", "a", "b"), drawn, strict=True)
    }
    found = results(sides)
    verdicts, best = found["verdicts"], found["best"]
    for verdict in verdicts.values():
        assert verdict["is_not_inferior"] == (verdict["accuracy_change"]["low"] > -verdict["margin"])
    can_fall = any(ok for ok, _ in drawn[0])
    good = [n for n, v in verdicts.items() if can_fall and v["is_not_inferior"] and v["saved"]["value"] > 0]
    assert (best in good) if good else best is None
    told = bench_verdict({**found, "problem_count": 5, "seeds": [1]})
    assert told.startswith(best or ("No method saves tokens" if can_fall else "The base itself solves 0.0 %"))
