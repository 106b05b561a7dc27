"""Rows under conditions, their ablations and order, and the ratio over a corpus."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lengthctl.conditions import COMPRESSION_LEVELS, LONG, SHORT, ask_condition
from lengthctl.data_gen.c3ot_rows import Ablation, RowLengths, build_c3ot_rows, corpus_compression, row_rank
from lengthctl.data_gen.reasoned_rows import ReasonedRow, Solution

GOLDEN = json.loads((Path(__file__).parents[2] / "golden" / "c3ot.json").read_text(encoding="utf-8"))
ASKED = ({"role": "user", "content": "How many?"},)
ROW = ReasonedRow("r", ASKED, Solution("", "Two and three make five.", "\n#### 5", "5", "steps"), "s", "cc0")
LENGTHS = RowLengths(len, "characters")


@pytest.mark.parametrize("case", GOLDEN["corpus"], ids=str)
def test_golden_ratio(case: dict[str, Any]) -> None:
    found = corpus_compression(map(tuple, case["pairs"]))
    assert found == (None if case["compression"] is None else pytest.approx(case["compression"]))
    if "mean_of_pairs" in case:
        mean = sum(1 - short / long for long, short in case["pairs"]) / len(case["pairs"])
        assert mean == pytest.approx(case["mean_of_pairs"])
        assert found != pytest.approx(mean)


@given(st.lists(st.tuples(st.integers(1, 500), st.integers(0, 500)), min_size=1))
def test_the_ratio_depends_on_the_sums_alone(pairs: list[tuple[int, int]]) -> None:
    whole = (sum(long for long, _ in pairs), sum(short for _, short in pairs))
    assert corpus_compression(pairs) == pytest.approx(corpus_compression([whole]))
    found = corpus_compression(pairs)
    assert found is not None
    assert found <= 1


@pytest.mark.parametrize(
    ("ablation", "conditions", "asks"),
    [
        (Ablation.NONE, (LONG, SHORT), True),
        (Ablation.SHORT_ONLY, (SHORT,), False),
        (Ablation.LONG_ONLY, (LONG,), False),
        (Ablation.NO_CONDITION, (LONG, SHORT), False),
        (Ablation.LEVELS, (LONG, *COMPRESSION_LEVELS), True),
    ],
)
def test_which_rows_there_are_and_how_they_ask(ablation: Ablation, conditions: tuple[str, ...], asks: bool) -> None:
    shorts = {SHORT: "2+3=5", **dict.fromkeys(COMPRESSION_LEVELS, "5"), "level_6": ""}
    rows = build_c3ot_rows(ROW, shorts, ablation, LENGTHS)
    assert tuple(row["condition"] for row in rows) == conditions
    assert len({row["id"] for row in rows}) == len(rows)
    for row in rows:
        asked = ask_condition(ASKED, row["condition"]) if asks else ASKED
        assert row["prompt"] == [dict(message) for message in asked]
        assert row["completion"][0]["content"].endswith("#### 5")
        assert row["long_length"] == len(ROW.solution.reasoning)
        assert (row["answer"], row["source"], row["licence"], row["length_unit"]) == ("5", "s", "cc0", "characters")
    by_condition = {row["condition"]: row for row in rows}
    if SHORT in by_condition:
        assert by_condition[SHORT]["completion"][0]["content"] == "2+3=5\n#### 5"
        assert by_condition[SHORT]["reasoning_length"] == 5
    if "level_6" in by_condition:
        assert by_condition["level_6"]["completion"][0]["content"] == "#### 5"
        assert by_condition["level_6"]["reasoning_length"] == 0


def test_a_long_row_stays_without_its_twin() -> None:
    assert [row["condition"] for row in build_c3ot_rows(ROW, {}, Ablation.NONE, LENGTHS)] == [LONG]
    assert build_c3ot_rows(ROW, {}, Ablation.SHORT_ONLY, LENGTHS) == []


def test_the_order_is_by_seed_and_content() -> None:
    long, short = build_c3ot_rows(ROW, {SHORT: "2+3=5"}, Ablation.NONE, LENGTHS)
    assert row_rank(1, long) == row_rank(1, dict(long))
    assert len({row_rank(1, long), row_rank(1, short), row_rank(2, long)}) == 3
