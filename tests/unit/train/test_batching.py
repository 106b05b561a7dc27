"""Micro-batches: every row once, budgets kept, no prompt computed twice without need, only padding cut off."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lengthctl.train.batching import (
    MicroBatch,
    pack_micro_batches,
    pad_micro_batches,
    prompt_keys,
    row_lengths,
    take_rows,
)

ROWS = st.lists(st.tuples(st.integers(0, 5), st.integers(1, 200)), min_size=1, max_size=40)
PROMPT_TOKENS = (1, 5, 30, 60, 100, 300)
BUDGETS = st.one_of(st.none(), st.integers(1, 2000))


def packed(rows: list[tuple[int, int]], budget: int | None) -> list[MicroBatch]:
    prompts, completions = [r[0] for r in rows], [r[1] for r in rows]
    return pack_micro_batches(prompts, [PROMPT_TOKENS[p] for p in prompts], completions, budget)


@given(ROWS, BUDGETS)
def test_micro_batches_hold_each_row_once_within_the_budget(rows: list[tuple[int, int]], budget: int | None) -> None:
    batches = packed(rows, budget)
    assert sorted(row for batch in batches for row in batch.rows) == list(range(len(rows)))
    for batch in batches:
        assert [[batch.rows[place] for place in pack] for pack in batch.places] == [list(pack) for pack in batch.packs]
        prompts = [{rows[row][0] for row in pack} for pack in batch.packs]
        assert all(len(asked) == 1 for asked in prompts)
        tokens = sum(PROMPT_TOKENS[p] for asked in prompts for p in asked) + sum(rows[row][1] for row in batch.rows)
        assert batch.needed == batch.computed == tokens
        assert budget is None or tokens <= budget or len(batch.rows) == 1


@given(ROWS, BUDGETS)
def test_a_prompt_is_computed_once_and_once_more_where_a_budget_cuts(
    rows: list[tuple[int, int]], budget: int | None
) -> None:
    batches = packed(rows, budget)
    copies = sum(len(batch.packs) for batch in batches)
    assert copies <= len({prompt for prompt, _ in rows}) + len(batches) - 1


@given(st.lists(st.integers(1, 300), min_size=1, max_size=7), st.integers(1, 900), st.sampled_from([0.0, 48.0, 500.0]))
def test_padded_micro_batches_are_the_cheapest_division(lengths: list[int], budget: int, batch_cost: float) -> None:
    ordered = sorted(lengths, reverse=True)
    divisions = []
    for cuts in itertools.product([False, True], repeat=len(ordered) - 1):
        plan = [[ordered[0]]]
        for length, is_cut in zip(ordered[1:], cuts, strict=True):
            plan.append([length]) if is_cut else plan[-1].append(length)
        if all(len(batch) == 1 or len(batch) * batch[0] <= budget for batch in plan):
            divisions.append(sum(len(batch) * batch[0] + batch_cost for batch in plan))
    batches = pad_micro_batches(lengths, budget, batch_cost=batch_cost)
    assert sorted(row for batch in batches for row in batch.rows) == list(range(len(lengths)))
    assert sum(batch.computed + batch_cost for batch in batches) == pytest.approx(min(divisions))
    assert sum(batch.needed for batch in batches) == sum(lengths)


@given(st.lists(st.integers(1, 300), min_size=1, max_size=30))
def test_no_budget_is_one_batch(lengths: list[int]) -> None:
    assert len(pad_micro_batches(lengths, None)) == 1


def test_padding_is_no_token_of_a_prompt() -> None:
    torch = pytest.importorskip("torch")
    ids = torch.tensor([[0, 0, 7], [0, 0, 7], [0, 0, 7], [9, 0, 7]])
    mask = torch.tensor([[0, 0, 1], [0, 1, 1], [0, 0, 1], [0, 1, 1]])
    keys = prompt_keys({"prompt_ids": ids, "prompt_mask": mask})
    assert keys[0] == keys[2] != keys[1] == keys[3]


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
