"""Silent steps are counted by step, whatever the calls."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lengthctl.errors import FailureBudgetError
from lengthctl.pipelines.judge_silence import SilenceWatch


def goes_on(watch: SilenceWatch, calls: Sequence[tuple[int | None, int, int]]) -> bool:
    try:
        for step, asked, heard in calls:
            watch.begin(step)
            watch.add(asked, heard)
    except FailureBudgetError:
        return False
    return True


def test_a_step_is_known_when_the_next_one_begins() -> None:
    assert goes_on(SilenceWatch(1), [(0, 10, 0), (0, 10, 2), (1, 10, 1)])
    assert not goes_on(SilenceWatch(1), [(0, 10, 0), (0, 10, 1), (1, 10, 10)])
    assert goes_on(SilenceWatch(2), [(0, 10, 0), (1, 10, 1), (2, 10, 0), (3, 10, 10)])
    assert not goes_on(SilenceWatch(2), [(0, 10, 0), (1, 10, 0), (2, 10, 10)])


def test_without_steps_each_call_is_one() -> None:
    assert goes_on(SilenceWatch(2), [(None, 10, 0), (None, 10, 1), (None, 10, 0)])
    assert not goes_on(SilenceWatch(2), [(None, 10, 0), (None, 10, 0)])


def test_what_was_found_is_told() -> None:
    watch = SilenceWatch(1)
    watch.begin(4)
    watch.add(20, 1)
    with pytest.raises(FailureBudgetError, match=r"1 verdicts on 20 questions in step 5, .* last 1 steps"):
        watch.begin(5)


@given(
    calls=st.lists(st.lists(st.tuples(st.integers(1, 20), st.booleans()), min_size=1, max_size=4), max_size=8),
    most=st.integers(1, 4),
)
def test_only_sums_of_steps_count(calls: list[list[tuple[int, bool]]], most: int) -> None:
    split = [(step, asked, asked if ok else 0) for step, parts in enumerate(calls) for asked, ok in parts]
    whole = [(step, sum(n for n, _ in parts), sum(n for n, ok in parts if ok)) for step, parts in enumerate(calls)]
    assert goes_on(SilenceWatch(most), split) == goes_on(SilenceWatch(most), whole)
