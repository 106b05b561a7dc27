"""Which groups are trained: golden vector, the rules at their edges, invariants."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lengthctl.train.group_filters import teaching_groups

CASES = json.loads((Path(__file__).parents[2] / "golden" / "rl_objectives.json").read_text())["cases"]
REWARD = st.one_of(st.none(), st.floats(-1, 1, width=16))
GROUPS = st.lists(st.lists(REWARD, min_size=1, max_size=5), min_size=1, max_size=5)


def test_golden_dynamic_sampling() -> None:
    (case,) = [c for c in CASES if c["method"] == "filter.dynamic_sampling"]
    correct = [[bool(value) for value in group] for group in case["inputs"]["correct"]]
    rewards = [[float(value) for value in group] for group in correct]
    assert teaching_groups(rewards, "correct", correct=correct) == case["expected"]


def test_graded_rewards_teach_where_all_are_right() -> None:
    rewards, correct = [[1.0, 0.9]], [[True, True]]
    assert teaching_groups(rewards, "spread") == [True]
    assert teaching_groups(rewards, "correct", correct=correct) == [False]


def test_answers_that_cannot_be_checked_drop_no_group() -> None:
    rewards: list[list[float | None]] = [[1.0, 0.0], [1.0, 0.0], [None, None], [1.0, 1.0, 0.0]]
    correct = [[None, None], [True, None], [None, None], [True, None, False]]
    assert teaching_groups(rewards, "correct", correct=correct) == [True, False, False, True]


@pytest.mark.parametrize(
    ("group", "kept"),
    [
        ([1.0] * 12 + [-1.0] * 3 + [0.0], True),  # sum 9 of 16: 0.5625
        ([1.0] * 13 + [-1.0] * 2 + [0.0], False),  # sum 11
        ([-1.0] * 3 + [0.0] * 2, True),  # 3 of 5 is 0.6
        ([0.0, 1.0], True),  # two members: 0.5
        ([1.0, 1.0, 0.0], False),
        ([None, 1.0, 0.0], True),
        ([None, None], False),
    ],
)
def test_skew_of_wins_and_losses(group: list[float | None], kept: bool) -> None:
    assert teaching_groups([group], "skew", max_skew=0.6) == [kept]


def test_rounding_is_no_spread() -> None:
    assert teaching_groups([[0.1 + 0.2, 0.3], [0.3, 0.31], [0.5], [0.5, None]], "spread") == [False, True, False, False]


def test_a_filter_by_answers_needs_them() -> None:
    with pytest.raises(ValueError, match="whether it is right"):
        teaching_groups([[1.0]], "correct")
    with pytest.raises(ValueError, match="whether it is right"):
        teaching_groups([[1.0, 0.0]], "correct", correct=[[True]])


@given(GROUPS)
def test_no_filter_keeps_all(groups: list[list[float | None]]) -> None:
    assert teaching_groups(groups, "none") == [True] * len(groups)


@given(GROUPS, st.sampled_from(["spread", "skew"]), st.integers(0, 4))
def test_each_group_is_judged_alone_and_without_order(groups: list[list[float | None]], rule: str, place: int) -> None:
    flags = teaching_groups(groups, rule)  # type: ignore[arg-type]
    group = groups[place % len(groups)]
    assert teaching_groups([group[::-1]], rule) == [flags[place % len(groups)]]  # type: ignore[arg-type]
