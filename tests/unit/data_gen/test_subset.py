"""Quotas over classes, and a choice that hangs on what rows hold, not on the order in which they come."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lengthctl.data_gen.filters import DropReason
from lengthctl.data_gen.subset import Passed, even_quotas


@pytest.mark.parametrize(
    ("counts", "size", "quotas"),
    [
        ({"a": 10, "b": 10}, 10, {"a": 5, "b": 5}),
        ({"a": 2, "b": 10, "c": 10}, 12, {"a": 2, "b": 5, "c": 5}),
        ({"a": 1, "b": 2, "c": 100}, 50, {"a": 1, "b": 2, "c": 47}),
        ({"a": 5, "b": 5, "c": 5}, 7, {"a": 2, "b": 2, "c": 3}),
        ({"a": 3}, 10, {"a": 3}),
        ({}, 10, {}),
        ({"a": 3, "b": 0}, 2, {"a": 2, "b": 0}),
        ({"a": 3}, 0, {"a": 0}),
    ],
)
def test_quotas(counts: dict[str, int], size: int, quotas: dict[str, int]) -> None:
    assert even_quotas(counts, size) == quotas


@given(st.dictionaries(st.text("abcd", min_size=1), st.integers(0, 50), max_size=8), st.integers(0, 200))
def test_quotas_are_even_and_full(counts: dict[str, int], size: int) -> None:
    quotas = even_quotas(counts, size)
    assert sum(quotas.values()) == min(size, sum(counts.values()))
    assert all(0 <= quotas[name] <= counts[name] for name in counts)
    open_ones = [quotas[name] for name in counts if quotas[name] < counts[name]]
    assert all(quota <= min(open_ones) + 1 for quota in quotas.values()) if open_ones else True


@pytest.mark.parametrize(("counts", "size"), [({"a": 1}, -1), ({"a": -1}, 3)])
def test_quotas_out_of_range(counts: dict[str, int], size: int) -> None:
    with pytest.raises(ValueError, match="from 0"):
        even_quotas(counts, size)


Row = tuple[str, str, int, float]
ROWS: list[Row] = [
    ("r0", "en", 500, 0.9),
    ("r1", "en", 800, 0.9),
    ("r2", "en", 700, 0.4),
    ("r3", "zh", 900, 0.2),
    ("r4", "zh", 100, 0.8),
    ("r5", "zh", 300, 0.8),
]


def passed(rows: list[Row], seed: int = 0) -> tuple[Passed, list[str]]:
    found = Passed(seed)
    for at, (name, cell, words, quality) in enumerate(rows):
        found.add(name, name, cell=cell, source=0, at=at, words=words, quality=quality)
    return found, [name for name, *_ in rows]


def test_the_best_of_each_class() -> None:
    found, names = passed(ROWS)
    chosen = found.best(range(len(found)), 4)
    assert {names[i] for i in chosen} == {"r0", "r1", "r4", "r5"}
    assert [found.cell(i) for i in sorted(chosen)] == ["en", "en", "zh", "zh"]
    assert len(found.best(range(len(found)), None)) == 6
    assert {names[i] for i in found.best([2, 3], 10)} == {"r2", "r3"}


def test_the_longest_come_first() -> None:
    found, names = passed(ROWS)
    assert [names[i] for i in found.longest_first()] == ["r3", "r1", "r2", "r0", "r5", "r4"]
    seen = dict(found.distinct(lambda i: DropReason.SAME_REQUEST if names[i] == "r1" else None))
    assert [names[i] for i, reason in seen.items() if reason] == ["r1"]


@given(st.permutations(ROWS), st.integers(1, 6), st.integers(0, 3))
def test_the_order_of_rows_makes_no_difference(rows: list[Row], size: int, seed: int) -> None:
    found, names = passed(rows, seed)
    whole, whole_names = passed(ROWS, seed)
    order = [names[i] for i in found.best(range(len(found)), size)]
    assert order == [whole_names[i] for i in whole.best(range(len(whole)), size)]
    assert [names[i] for i in found.longest_first()] == [whole_names[i] for i in whole.longest_first()]


def test_seeds_draw_among_equals() -> None:
    rows = [(f"r{i}", "en", 100, 0.5) for i in range(20)]
    drawn = set()
    for seed in range(5):
        found, names = passed(rows, seed)
        drawn.add(frozenset(names[i] for i in found.best(range(20), 5)))
    assert len(drawn) == 5
