"""Packs and micro-batches: every row once, caps kept, packs no dearer than separate rows, only padding cut off."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lengthctl.train.batching import Pack, build_packs, plan_micro_batches, row_lengths, take_rows

ROWS = st.lists(st.tuples(st.integers(0, 5), st.integers(1, 200)), min_size=1, max_size=40)
PROMPT_TOKENS = (1, 5, 30, 60, 100, 300)
HORIZON = 1000.0


def packs_of(rows: list[tuple[int, int]], max_tokens: int = 512) -> list[Pack]:
    prompts, completions = [r[0] for r in rows], [r[1] for r in rows]
    lengths = [PROMPT_TOKENS[p] for p in prompts]
    return build_packs(prompts, lengths, completions, horizon=HORIZON, max_tokens=max_tokens)


@given(ROWS, st.integers(1, 600))
def test_packs_hold_each_row_once_and_one_prompt(rows: list[tuple[int, int]], max_tokens: int) -> None:
    packs = packs_of(rows, max_tokens)
    assert sorted(i for pack in packs for i in pack.rows) == list(range(len(rows)))
    for pack in packs:
        assert len({rows[i][0] for i in pack.rows}) == 1
        assert pack.tokens == PROMPT_TOKENS[rows[pack.rows[0]][0]] + sum(rows[i][1] for i in pack.rows)
        assert pack.tokens <= max_tokens or len(pack.rows) == 1


@given(ROWS)
def test_packing_never_costs_more_than_separate_rows(rows: list[tuple[int, int]]) -> None:
    def cost(tokens: int) -> float:
        return tokens + tokens**2 / HORIZON

    separate = sum(cost(PROMPT_TOKENS[p] + c) for p, c in rows)
    assert sum(cost(pack.tokens) for pack in packs_of(rows)) <= separate + 1e-6


def test_short_completions_share_their_prompt_and_long_ones_do_not() -> None:
    short = build_packs(["a"] * 4, [35] * 4, [50] * 4, horizon=1152, max_tokens=1024)
    assert [pack.rows for pack in short] == [(0, 1, 2, 3)]
    assert short[0].tokens == 35 + 4 * 50
    long = build_packs(["a"] * 4, [35] * 4, [400] * 4, horizon=1152, max_tokens=4096)
    assert [pack.rows for pack in long] == [(0,), (1,), (2,), (3,)]


@given(ROWS, st.integers(1, 2000))
def test_micro_batches_hold_each_pack_once_within_the_budget(rows: list[tuple[int, int]], budget: int) -> None:
    packs = packs_of(rows)
    plan = plan_micro_batches(packs, budget)
    assert sorted((p for batch in plan for p in batch), key=lambda p: p.rows) == packs
    for batch in plan:
        assert len(batch) * max(p.tokens for p in batch) <= budget or len(batch) == 1


@given(st.lists(st.integers(1, 300), min_size=1, max_size=7), st.integers(1, 900), st.sampled_from([0.0, 48.0, 500.0]))
def test_micro_batches_are_the_cheapest_division(tokens: list[int], budget: int, batch_cost: float) -> None:
    def cost(plan: Sequence[Sequence[Pack]]) -> float:
        return sum(len(batch) * max(p.tokens for p in batch) + batch_cost for batch in plan)

    packs = [Pack((row,), n) for row, n in enumerate(tokens)]
    ordered = sorted(packs, key=lambda pack: (-pack.tokens, pack.rows))
    divisions = []
    for cuts in itertools.product([False, True], repeat=len(ordered) - 1):
        plan = [[ordered[0]]]
        for pack, is_cut in zip(ordered[1:], cuts, strict=True):
            plan.append([pack]) if is_cut else plan[-1].append(pack)
        if all(len(batch) == 1 or len(batch) * batch[0].tokens <= budget for batch in plan):
            divisions.append(cost(plan))
    assert cost(plan_micro_batches(packs, budget, batch_cost=batch_cost)) == pytest.approx(min(divisions))


@given(ROWS)
def test_no_budget_is_one_batch(rows: list[tuple[int, int]]) -> None:
    assert len(plan_micro_batches(packs_of(rows), None)) == 1


def test_rows_are_trimmed_to_their_own_longest() -> None:
    torch = pytest.importorskip("torch")
    batch = {
        "prompt_ids": torch.tensor([[0, 0, 7], [4, 5, 6]]),
        "prompt_mask": torch.tensor([[0, 0, 1], [1, 1, 1]]),
        "completion_ids": torch.tensor([[1, 2, 0, 0], [1, 2, 3, 4]]),
        "completion_mask": torch.tensor([[1, 1, 0, 0], [1, 1, 1, 1]]),
        "advantages": torch.tensor([0.5, -0.5]),
        "num_items_in_batch": torch.tensor(6),
    }
    short = take_rows(batch, [0])
    assert short["prompt_ids"].tolist() == [[7]]
    assert short["completion_ids"].tolist() == [[1, 2]]
    assert short["advantages"].tolist() == [0.5]
    assert short["num_items_in_batch"].item() == 6
    whole = take_rows(batch, [1, 0])
    assert whole["completion_ids"].tolist() == [[1, 2, 3, 4], [1, 2, 0, 0]]
    assert row_lengths(whole["completion_mask"]) == [4, 2]
