"""The survivors' baseline: worked examples, and what holds for every group."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lengthctl.train.estimators import survivor_advantages

MEMBERS = st.lists(st.tuples(st.one_of(st.none(), st.floats(0, 1)), st.integers(0, 12)), min_size=1, max_size=6)


def test_worked_example() -> None:
    """Lengths 1, 2, 3 with rewards 0, 0.6, 0.3: V(0) = 0.3, V(1) = 0.45, V(2) = 0.3.

    Whole credit is reward - V(t). Without any, a token answers for its own move alone: living past token 1 gains 0.15,
    ending at token 2 gains 0.15 and going on from there loses as much.
    """
    rewards, lengths = [0.0, 0.6, 0.3], [1, 2, 3]
    whole = survivor_advantages(rewards, lengths)
    assert [pytest.approx(row) for row in whole] == [[-0.3], [0.3, 0.15], [0.0, -0.15, 0.0]]
    own = survivor_advantages(rewards, lengths, decay=0.0)
    assert [pytest.approx(row) for row in own] == [[-0.3], [0.15, 0.15], [0.15, -0.15, 0.0]]
    half = survivor_advantages(rewards, lengths, decay=0.5)
    assert half[1] == pytest.approx([0.15 + 0.5 * 0.15, 0.15])


def test_a_member_that_does_not_count_moves_nothing() -> None:
    with_it = survivor_advantages([0.0, None, 1.0], [2, 9, 3], decay=0.9)
    assert with_it[1] == [0.0] * 9
    assert [with_it[0], with_it[2]] == survivor_advantages([0.0, 1.0], [2, 3], decay=0.9)
    assert survivor_advantages([None], [3]) == [[0.0] * 3]


@pytest.mark.parametrize("decay", [-0.1, 1.1])
def test_a_decay_outside_its_range_is_refused(decay: float) -> None:
    with pytest.raises(ValueError, match="decay"):
        survivor_advantages([1.0], [1], decay=decay)


@given(MEMBERS, st.floats(0, 1))
def test_shapes_equal_groups_and_order(members: list[tuple[float | None, int]], decay: float) -> None:
    rewards, lengths = [r for r, _ in members], [n for _, n in members]
    out = survivor_advantages(rewards, lengths, decay=decay)
    assert [len(row) for row in out] == lengths
    flipped = survivor_advantages(rewards[::-1], lengths[::-1], decay=decay)
    for row, other in zip(out, flipped[::-1], strict=True):
        assert row == pytest.approx(other, abs=1e-9)
    level = survivor_advantages([0.7 for _ in rewards], lengths, decay=decay)
    assert all(value == pytest.approx(0, abs=1e-9) for row in level for value in row)


@given(MEMBERS)
def test_whole_credit_sums_to_nothing_over_those_alive_and_starts_at_the_group_mean(
    members: list[tuple[float | None, int]],
) -> None:
    rewards, lengths = [r for r, _ in members], [n for _, n in members]
    out = survivor_advantages(rewards, lengths)
    for place in range(max(lengths)):
        assert sum(row[place] for row in out if len(row) > place) == pytest.approx(0, abs=1e-9)
    known = [r for r, n in members if r is not None and n > 0]
    for row, (reward, length) in zip(out, members, strict=True):
        if reward is not None and length:
            assert row[0] == pytest.approx(reward - sum(known) / len(known))


@given(MEMBERS)
def test_single_moves_add_up_to_the_whole(members: list[tuple[float | None, int]]) -> None:
    rewards, lengths = [r for r, _ in members], [n for _, n in members]
    whole, moves = survivor_advantages(rewards, lengths), survivor_advantages(rewards, lengths, decay=0.0)
    for full, own in zip(whole, moves, strict=True):
        assert sum(own) == pytest.approx(full[0] if full else 0.0)
