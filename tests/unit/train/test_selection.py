"""Selection of group members: a golden vector of our own, invariants, refusals."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lengthctl.train.selection import select_extremes

# Two groups of six by hand. Group 1 sorted: .9(1) .8(4) .5(0) .5(5) .2(3) .1(2): best two 1, 4; worst one 2.
# Group 2: best two 7 and 8 (0.4, lower index first among the three), worst one 6.
REWARDS = [0.5, 0.9, 0.1, 0.2, 0.8, 0.5, 0.0, 0.4, 0.4, 0.4, 0.1, 0.1]


def test_golden_vector() -> None:
    assert select_extremes(REWARDS, 6, keep_best=2, keep_worst=1) == [1, 2, 4, 6, 7, 8]


def test_group_without_spread_is_left_out() -> None:
    assert select_extremes([0.3] * 4 + [0.0, 1.0, 0.5, 0.5], 4, keep_best=1, keep_worst=1) == [4, 5]


def test_a_step_always_has_rows() -> None:
    assert select_extremes([0.3] * 8, 4, keep_best=1, keep_worst=1) == [0, 1]


def test_members_without_reward_are_no_worst() -> None:
    assert select_extremes([None, 0.5, 0.9, 0.7], 4, keep_best=1, keep_worst=1) == [1, 2]
    assert select_extremes([None, 0.5, 0.5, 0.5, 0.1, 0.2, None, 0.3], 4, keep_best=1, keep_worst=1) == [4, 7]


@pytest.mark.parametrize(("best", "worst"), [(0, 0), (3, 2), (-1, 2)])
def test_sizes_that_do_not_fit_are_refused(best: int, worst: int) -> None:
    with pytest.raises(ValueError, match="cannot keep"):
        select_extremes([0.0] * 4, 4, best, worst)


def test_partial_groups_are_refused() -> None:
    with pytest.raises(ValueError, match="do not form groups"):
        select_extremes([0.0] * 5, 4, 1, 1)


@given(st.lists(st.floats(0, 1), min_size=4, max_size=4), st.lists(st.floats(0, 1), min_size=4, max_size=4))
def test_groups_do_not_touch_each_other(first: list[float], second: list[float]) -> None:
    second = [0.0, 1.0, *second[2:]]
    alone = [i + 4 for i in select_extremes(second, 4, 1, 1)]
    together = [i for i in select_extremes(first + second, 4, 1, 1) if i >= 4]
    assert together == alone


@given(st.lists(st.floats(0, 1), min_size=8, max_size=8), st.integers(0, 4), st.integers(0, 4))
def test_kept_are_distinct_and_extreme(rewards: list[float], best: int, worst: int) -> None:
    if best + worst == 0:
        return
    kept = select_extremes(rewards, 8, best, worst)
    assert len(kept) == len(set(kept)) == best + worst
    dropped = sorted(set(range(8)) - set(kept))
    ordered = sorted(rewards[i] for i in kept)
    if max(rewards) - min(rewards) >= 1e-6:
        for i in dropped:
            assert worst == 0 or ordered[worst - 1] <= rewards[i]
            assert best == 0 or ordered[-best] >= rewards[i]
