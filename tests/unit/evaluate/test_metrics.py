"""Metrics: Ruler's micro averages by hand, intervals that hold the mean, paired changes."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lengthctl.evaluate.metrics import LOGGED, MEASURES, adherence, compare, summarise
from lengthctl.length import Relation, Target
from lengthctl.scoring import Scored, score_text

GOLDEN_LONG = json.loads((Path(__file__).parents[2] / "golden" / "long_texts.json").read_text())

# (target, words, PM, FM) by hand from Ruler's bands.
CASES = [
    (10, 12, 1, 1),
    (10, 20, 1, 1),
    (10, 21, 0, 0),
    (30, 20, 0, 0),
    (30, 33, 1, 1),
    (80, 95, 0, 1),
    (150, 150, 1, 1),
    (300, 250, 0, 1),
]


def scored(target: int, count: int, prompt_id: str = "p") -> Scored:
    text = " ".join(f"w{i}" for i in range(count))
    return score_text(text, Target(target), prompt_id=prompt_id, tokens=count, is_truncated=False)


def test_micro_average_by_hand() -> None:
    rows = [scored(target, count, str(i)) for i, (target, count, _, _) in enumerate(CASES)]
    assert [(int(r.pm), int(r.fm)) for r in rows] == [(pm, fm) for _, _, pm, fm in CASES]
    overall = summarise(rows, 0)["overall"]
    assert overall["pm"]["value"] == pytest.approx(4 / 8)
    assert overall["fm"]["value"] == pytest.approx(6 / 8)
    for metric in overall.values():
        assert metric["low"] <= metric["value"] <= metric["high"]
    assert adherence(rows)["adherence/words/pm"] == pytest.approx(0.5)
    assert adherence(rows)["adherence/words/target_80/fm"] == 1.0


def test_change_is_paired_by_prompt() -> None:
    before = [scored(50, 20 + 10 * i, f"p{i}") for i in range(12)]
    after = [scored(50, 25 + 10 * i, f"p{i}") for i in range(12)]
    change = compare(before, after, 0)["mean_length"]
    assert change == pytest.approx({"value": 5.0, "low": 5.0, "high": 5.0, "n": 12})


def test_an_empty_text_is_no_hit_and_finite() -> None:
    row = scored(10, 0)
    assert (row.pm, row.fm, row.relative_deviation) == (False, False, -1.0)
    assert row.log_ratio < 0


def test_scored_round_trips() -> None:
    row = scored(10, 4)
    assert Scored.parse({"schema": 1, **row.to_row()}) == row


def test_nothing_is_not_zero() -> None:
    with pytest.raises(ValueError, match="no completions"):
        summarise([], 0)


def test_the_training_log_keeps_its_measures() -> None:
    keys = {key.rpartition("/")[2] for key in adherence([scored(10, 12)])}
    assert keys == set(LOGGED)
    assert set(LOGGED) < set(MEASURES)


def test_further_measures_by_hand() -> None:
    rows = [scored(100, n, str(n)) for n in (95, 90, 100, 81, 150)]
    overall = summarise(rows, 0)["overall"]
    found = {name: overall[name]["value"] for name in ("within_5", "within_10", "within_20")}
    assert found == pytest.approx({"within_5": 0.4, "within_10": 0.6, "within_20": 0.8})
    assert overall["lifebench_deviation"]["value"] == pytest.approx((0.05 + 0.1 + 0.19 + 0.5) / 5)
    assert overall["s_l"]["value"] == pytest.approx(sum(row.s_l for row in rows) / 5)
    assert overall["finished"]["value"] == 0
    assert overall["mean_drawn_tokens"]["value"] == overall["mean_tokens"]["value"] == pytest.approx(516 / 5)


def test_a_measure_that_applies_to_none_is_left_out() -> None:
    overall = summarise([score_text("a b", Target(10), prompt_id="p", tokens=0, is_truncated=False)], 0)["overall"]
    assert not {"violation", "mean_tokens", "mean_drawn_tokens"} & set(overall)
    assert {"pm", "s_l", "cut"} <= set(overall)


def test_rows_without_the_measure_are_left_out_of_its_mean() -> None:
    limit = Target(10, Relation.AT_MOST)
    kept, broken = (score_text("w " * n, limit, prompt_id=f"p{n}", tokens=1, is_truncated=False) for n in (9, 11))
    rows = [kept, broken, *(scored(50, 50, f"q{i}") for i in range(30))]
    violation = summarise(rows, 0)["overall"]["violation"]
    assert violation == {"value": 0.5, "low": 0.0, "high": 1.0, "n": 2}
    change = compare(rows, [kept, kept, *rows[1:]], 0)
    assert change["violation"]["n"] == 3
    assert change["by_target"]["<=10"]["violation"]["value"] == pytest.approx(1 / 3 - 1 / 2)
    assert "violation" not in change["by_target"]["50"]


def test_comparing_passes_over_targets_without_a_common_prompt() -> None:
    before, after = [scored(10, 9, "a"), scored(50, 9, "b")], [scored(10, 8, "a"), scored(50, 9, "c")]
    assert list(compare(before, after, 0)["by_target"]) == ["10"]
    with pytest.raises(ValueError, match="no prompt in common"):
        compare(before[1:], after[1:], 0)


@settings(max_examples=15)
@given(st.lists(st.tuples(st.integers(0, 30), st.sampled_from("abcd")), min_size=1, max_size=20), st.randoms())
def test_order_does_not_matter(cases: list[tuple[int, str]], rng: random.Random) -> None:
    rows = [scored(10 if n % 2 else 30, n, name) for n, name in cases]
    first, second = summarise(rows, 1), summarise(rng.sample(rows, len(rows)), 1)
    assert first["overall"]["pm"]["value"] <= first["overall"]["fm"]["value"]
    assert first["by_target"].keys() == second["by_target"].keys()
    for name, metric in first["overall"].items():
        assert second["overall"][name] == pytest.approx(metric, abs=1e-12)


@pytest.mark.parametrize(("text", "share"), GOLDEN_LONG["seq_rep_4"].items())
def test_repeated_four_grams_by_hand(text: str, share: float) -> None:
    one = score_text(text, Target(5), prompt_id="p", tokens=9, is_truncated=False)
    assert summarise([one], 0)["overall"]["seq_rep_4"]["value"] == pytest.approx(share)
