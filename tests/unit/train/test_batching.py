"""Micro-batches: every row once, the token cap kept, and the tensors the same but for padding."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lengthctl.train.batching import plan_micro_batches, row_lengths, take_rows

ROWS = st.lists(st.tuples(st.integers(1, 60), st.integers(1, 200)), min_size=1, max_size=40)


@given(ROWS, st.integers(1, 2000))
def test_each_row_once_within_the_budget(rows: list[tuple[int, int]], budget: int) -> None:
    prompts, completions = [r[0] for r in rows], [r[1] for r in rows]
    plan = plan_micro_batches(prompts, completions, budget)
    assert sorted(i for batch in plan for i in batch) == list(range(len(rows)))
    for batch in plan:
        cost = len(batch) * (max(prompts[i] for i in batch) + max(completions[i] for i in batch))
        assert cost <= budget or len(batch) == 1


@given(ROWS)
def test_no_budget_is_one_batch(rows: list[tuple[int, int]]) -> None:
    assert len(plan_micro_batches([r[0] for r in rows], [r[1] for r in rows], None)) == 1


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
