"""Scores of a length: golden values of their sources, and what holds for every target and text."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lengthctl.length import Relation, Target, Unit, count_length
from lengthctl.rewards.build import build_reward
from lengthctl.scoring import (
    Scored,
    is_violated,
    lifebench_deviation,
    lifebench_score,
    longen_score,
    s_l,
    score_text,
)

GOLDEN_FOLDER = Path(__file__).parents[1] / "golden"
GOLDEN = json.loads((GOLDEN_FOLDER / "length_scores.json").read_text())
COUNTS = json.loads((GOLDEN_FOLDER / "tlg.json").read_text(encoding="utf-8"))

values = st.integers(1, 20_000)
targets = st.one_of(
    st.builds(Target, values),
    st.builds(Target, values, st.sampled_from([Relation.AT_MOST, Relation.AT_LEAST])),
    st.builds(Target, values, st.just(Relation.ABOUT), tolerance=st.floats(0.01, 0.99)),
    st.tuples(values, values).map(lambda ends: Target(min(ends), Relation.RANGE, high=max(ends))),
)
lengths = st.integers(0, 100_000)


def measured(target: Target, length: int) -> Scored:
    return Scored("p", target, length, length, False, "")


@pytest.mark.parametrize(("required", "actual", "expected"), GOLDEN["s_l"])
def test_golden_s_l(required: int, actual: int, expected: float) -> None:
    assert 100 * s_l(actual, Target(required)) == pytest.approx(expected, abs=5e-5)


def test_golden_mean_of_s_l() -> None:
    scores = [100 * s_l(actual, Target(1000)) for actual in (1000, 500, 2000, 100)]
    assert sum(scores) / 4 == pytest.approx(54.1667, abs=5e-5)


@pytest.mark.parametrize(("deviation", "expected"), GOLDEN["lifebench"])
def test_golden_lifebench(deviation: float, expected: float) -> None:
    length = round(1000 * (1 + deviation))
    assert lifebench_deviation(length, Target(1000)) == pytest.approx(deviation)
    assert 100 * lifebench_score(length, Target(1000)) == pytest.approx(expected, abs=5e-3)


@pytest.mark.parametrize(("target", "length", "expected"), GOLDEN["longen"])
def test_golden_longen(target: dict[str, Any], length: int, expected: float) -> None:
    assert longen_score(length, Target.parse(target)) == pytest.approx(expected, abs=5e-5)


def test_lifebench_pays_in_full_on_the_allowed_side() -> None:
    at_most, at_least = Target(100, Relation.AT_MOST), Target(100, Relation.AT_LEAST)
    assert [lifebench_score(n, at_most) for n in (1, 50, 100)] == [1, 1, 1]
    assert [lifebench_score(n, at_least) for n in (100, 150, 9000)] == [1, 1, 1]
    assert lifebench_score(120, at_most) == pytest.approx(0.6703, abs=5e-5)
    assert lifebench_score(80, at_least) == pytest.approx(0.3679, abs=5e-5)
    assert lifebench_deviation(50, at_most) == -0.5


@pytest.mark.parametrize(
    ("target", "kept", "broken"),
    [
        (Target(50, Relation.AT_MOST), (1, 50), (0, 51)),
        (Target(50, Relation.AT_LEAST), (50, 9999), (0, 49)),
        (Target(50, Relation.RANGE, high=60), (50, 60), (49, 61)),
    ],
)
def test_violations(target: Target, kept: tuple[int, ...], broken: tuple[int, ...]) -> None:
    assert [is_violated(n, target) for n in (*kept, *broken)] == [False, False, True, True]


def test_a_number_has_no_rule_to_violate() -> None:
    assert is_violated(3, Target(50)) is None
    assert is_violated(3, Target(50, Relation.ABOUT, tolerance=0.1)) is None


@pytest.mark.parametrize(("text", "words", "split", "lifebench"), COUNTS["counts"])
def test_golden_counts(text: str, words: int, split: int, lifebench: int) -> None:
    found = [count_length(text, unit) for unit in (Unit.WORDS, Unit.WORDS_SPLIT, Unit.WORDS_LIFEBENCH)]
    assert found == [words, split, lifebench]


@pytest.mark.parametrize(("text", "words"), COUNTS["words_only"])
def test_words_are_those_of_re_whatever_other_engines_count(text: str, words: int) -> None:
    assert count_length(text) == words


@given(targets, lengths)
def test_pm_implies_fm(target: Target, length: int) -> None:
    scored = measured(target, length)
    assert scored.fm or not scored.pm


@given(targets, lengths)
def test_scores_lie_between_0_and_1(target: Target, length: int) -> None:
    for score in (s_l, lifebench_score, longen_score):
        assert 0 <= score(length, target) <= 1


@given(values, st.lists(lengths, min_size=2))
def test_s_l_is_1_at_the_target_and_falls_both_ways(value: int, found: list[int]) -> None:
    target = Target(value)
    assert s_l(value, target) == 1
    below = [s_l(n, target) for n in sorted(n for n in found if n <= value)]
    above = [s_l(n, target) for n in sorted(n for n in found if n >= value)]
    assert below == sorted(below)
    assert above == sorted(above, reverse=True)
    assert s_l(value + 1, target) < 1
    assert s_l(value - 1, target) < 1


@given(st.text(), st.sampled_from([unit for unit in Unit if unit is not Unit.TOKENS]))
def test_any_text_is_counted_and_scored(text: str, unit: Unit) -> None:
    scored = score_text(text, Target(5, unit=unit), prompt_id="p", tokens=0, is_truncated=False)
    assert 0 <= scored.length <= max(len(text), 1)
    assert 0 <= scored.repetition < 1
    assert Scored.parse(json.loads(json.dumps(scored.to_row()))) == scored


@given(st.lists(st.tuples(st.text(), values), max_size=8), st.randoms())
def test_scores_depend_on_neither_order_nor_batch(rows: list[tuple[str, int]], rng: random.Random) -> None:
    def score(batch: list[tuple[str, int]]) -> list[tuple[float, ...]]:
        found = [score_text(t, Target(n), prompt_id="p", tokens=0, is_truncated=False) for t, n in batch]
        return [(s.length, s.pm, s.fm, s.relative_deviation, s.s_l, s.repetition) for s in found]

    whole = score(rows)
    order = rng.sample(range(len(rows)), len(rows))
    assert score([rows[i] for i in order]) == [whole[i] for i in order]
    assert [score([row])[0] for row in rows] == whole


@pytest.mark.parametrize(("name", "score"), [("s_l", s_l), ("lifebench", lifebench_score)])
@given(target=targets, length=st.integers(1, 300))
def test_the_reward_is_the_score(name: str, score: Any, target: Target, length: int) -> None:
    assert build_reward(name, {})(["w " * length], target=[target]) == [score(length, target)]


def test_records_of_earlier_files_are_read() -> None:
    row = {"schema": 1, **measured(Target(10), 4).to_row(), "finish": "eos"}
    del row["drawn_tokens"], row["is_cut"]
    assert Scored.parse(row) == measured(Target(10), 4)
    with pytest.raises(KeyError, match="length"):
        Scored.parse({key: value for key, value in row.items() if key != "length"})
