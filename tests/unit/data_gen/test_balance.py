"""Quotas: kept whatever comes, and the same for every order of the rows."""

from __future__ import annotations

import random
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lengthctl.data_gen.balance import Candidates, Fill, fill_quotas
from lengthctl.data_gen.filters import DropReason

Row = tuple[str, int, int]  # content, label, source
ROWS = st.lists(st.tuples(st.text(max_size=3), st.integers(0, 3), st.integers(0, 2)), max_size=40)


def built(rows: list[Row], seed: int = 0) -> Candidates:
    candidates = Candidates(seed)
    for at, (content, label, source) in enumerate(rows):
        candidates.add(content, f"{source}|{label}", label=label, source=source, at=at)
    return candidates


def chosen(rows: list[Row], cap: int | None, fill: Fill, seed: int = 0) -> list[Row]:
    candidates = built(rows, seed)
    taken = [i for i, reason in fill_quotas(candidates, cap, fill, lambda _: None) if reason is None]
    return [rows[candidates.at(i)] for i in candidates.shuffled(taken)]


@given(ROWS, st.integers(1, 10), st.sampled_from(Fill), st.randoms(use_true_random=False))
def test_quotas_hold_and_the_order_of_rows_does_not_matter(
    rows: list[Row], cap: int, fill: Fill, rng: random.Random
) -> None:
    found = chosen(rows, cap, fill)
    have, used = (Counter(label for _, label, _ in some) for some in (rows, found))
    assert all(used[label] == min(cap, n) for label, n in have.items())
    shuffled = list(rows)
    rng.shuffle(shuffled)
    assert chosen(shuffled, cap, fill) == found


@given(ROWS)
def test_without_a_cap_all_are_chosen_once(rows: list[Row]) -> None:
    for fill in Fill:
        assert Counter(chosen(rows, None, fill)) == Counter(rows)


def test_ordered_fills_from_the_first_source() -> None:
    rows: list[Row] = [(f"{source}.{i}", 0, source) for source in range(3) for i in range(10)]
    assert Counter(source for _, _, source in chosen(rows, 15, Fill.ORDERED)) == {0: 10, 1: 5}
    mixed = Counter(source for _, _, source in chosen(rows, 15, Fill.MIXED))
    assert len(mixed) == 3


def test_a_larger_cap_keeps_what_a_smaller_one_chose() -> None:
    rows: list[Row] = [(str(i), i % 2, 0) for i in range(50)]
    assert set(chosen(rows, 5, Fill.MIXED)) < set(chosen(rows, 9, Fill.MIXED))
    assert chosen(rows, 5, Fill.MIXED, seed=1) != chosen(rows, 5, Fill.MIXED, seed=2)


def test_what_is_refused_makes_room_and_a_full_class_refuses() -> None:
    rows: list[Row] = [(str(i), 0, 0) for i in range(10)]
    candidates = built(rows)
    asked: list[int] = []

    def refuse(i: int) -> DropReason | None:
        asked.append(i)
        return DropReason.NEAR_DUPLICATE if len(asked) % 2 else None

    reasons = Counter(reason for _, reason in fill_quotas(candidates, 3, Fill.MIXED, refuse))
    assert reasons == {None: 3, DropReason.NEAR_DUPLICATE: 3, DropReason.OVER_QUOTA: 4}
    assert len(asked) == 6


def test_cap_below_one() -> None:
    with pytest.raises(ValueError, match="at least 1"):
        list(fill_quotas(built([("a", 0, 0)]), 0, Fill.MIXED, lambda _: None))
