"""Tokens per hit by hand, and the Pareto front against brute force."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lengthctl.evaluate.cost import Drawn, Mark, pareto_front, token_cost
from lengthctl.evaluate.metrics import Metric


def test_tokens_per_hit_by_hand() -> None:
    # 600 tokens, 4 in the FM band, 2 of them hits
    drawn = [Drawn(f"p{i // 2}", 100, i < 4, i < 2) for i in range(6)]
    cost = token_cost(drawn, seed=0)
    assert cost is not None
    assert (cost.tokens.value, cost.tokens.n) == (100, 6)
    assert (cost.per_fm.value, cost.per_fm.n) == (pytest.approx(150), 4)
    assert (cost.per_hit.value, cost.per_hit.n) == (pytest.approx(300), 2)
    assert cost.per_hit.low <= cost.per_hit.value <= cost.per_hit.high
    assert cost.per_hit.high == math.inf  # a draw of the three prompts may miss the one that hits


def test_without_hits_or_tokens() -> None:
    cost = token_cost([Drawn("p", 10, False, False)], seed=0)
    assert cost is not None
    assert (cost.per_fm.value, cost.per_fm.high, cost.per_fm.n) == (math.inf, math.inf, 0)
    assert token_cost([Drawn("p", 0, True, True)], seed=0) is None
    assert token_cost([], seed=0) is None


def exact(value: float) -> Metric:
    return Metric(value, value, value, 1)


POINTS = st.lists(st.tuples(st.integers(0, 6), st.integers(0, 6)), min_size=1, max_size=12)


@given(POINTS, st.booleans())
def test_the_front_is_what_nobody_beats(pairs: list[tuple[int, int]], higher: bool) -> None:
    points = [Mark(str(i), exact(cost), exact(value)) for i, (cost, value) in enumerate(pairs)]
    front = pareto_front(points, higher_is_better=higher)
    assert front
    good = [(-cost, value if higher else -value) for cost, value in pairs]
    for point, own in zip(points, good, strict=True):
        beaten = any(a >= own[0] and b >= own[1] and (a, b) != own for a, b in good)
        assert (point in front) != beaten
    assert [p.cost.value for p in front] == sorted(p.cost.value for p in front)
