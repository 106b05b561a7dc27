"""Metrics: Ruler's micro averages by hand, intervals that hold the mean, paired changes."""

from __future__ import annotations

import pytest

from lengthctl.evaluate.metrics import adherence, compare, summarise
from lengthctl.length import Target
from lengthctl.scoring import Scored, score_text

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
