"""Prompts in place of those that taught nothing: which, how many, and how their rows join the others."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from small_batches import small_batch, small_scored

from lengthctl.config.advantage import AdvantageConfig
from lengthctl.train.resampling import prompt_key, refill, spare_rows
from lengthctl.train.scored import Scored, by_group, join_batches, join_scored

FLAT, MIXED = [0.5, 0.5], [0.0, 1.0]


def row(number: int) -> dict[str, Any]:
    return {"prompt": [{"role": "user", "content": f"p{number}"}], "number": number}


ROWS = [row(number) for number in range(9)]


class Draws:
    """Scores rows: prompts of an even number teach, the others do not. Remembers what it was asked."""

    def __init__(self, teaches: bool | None = None) -> None:
        self.asked: list[list[int]] = []
        self._teaches = teaches

    def __call__(self, rows: list[dict[str, Any]]) -> Scored:
        numbers = [item["number"] for item in rows]
        self.asked.append(numbers)
        rewards: list[float | None] = []
        for number in numbers[::2]:
            teaches = number % 2 == 0 if self._teaches is None else self._teaches
            rewards += MIXED if teaches else FLAT
        return small_scored(rewards, first=100 * len(self.asked))


def run(rewards: list[float | None], rounds: int, score: Any, rows: list[dict[str, Any]] | None = None) -> Any:
    rule = AdvantageConfig(filter="spread", resample_rounds=rounds)
    return refill(small_scored(rewards), rule, 2, lambda: iter(ROWS if rows is None else rows), score)


def test_rounds_go_on_until_the_step_is_full() -> None:
    draws = Draws()
    pieces, metrics = run([*MIXED, *FLAT, *FLAT, *MIXED], 5, draws)
    assert draws.asked == [[0, 0, 1, 1], [2, 2]]  # two are missing, then one
    assert [reward for piece in pieces for reward in piece.rewards] == MIXED * 4
    assert [place for piece in pieces for place in piece.places] == [0, 1, 6, 7, 100, 101, 200, 201]
    drawn = (1 + 2 + 3 + 4) + (1 + 2)
    assert metrics == {
        "groups/kept_fraction": 0.5,
        "resample/rounds": 2.0,
        "resample/tokens": drawn,
        "groups/trained": 4.0,
    }


def test_what_is_missing_after_the_last_round_stays_missing() -> None:
    draws = Draws(teaches=False)
    pieces, metrics = run([*MIXED, *FLAT], 3, draws)
    assert draws.asked == [[0, 0], [1, 1], [2, 2]]
    assert metrics["groups/trained"] == 1
    assert [piece.rewards for piece in pieces] == [MIXED]


def test_a_full_step_and_a_step_without_rounds_draw_nothing() -> None:
    draws = Draws()
    assert run(MIXED * 2, 3, draws)[1]["resample/rounds"] == 0
    pieces, metrics = run([*FLAT, *FLAT], 0, draws)
    assert (pieces, metrics) == ([], {"groups/kept_fraction": 0.0, "groups/trained": 0.0})
    assert not draws.asked


def test_a_small_data_set_ends_the_rounds() -> None:
    draws = Draws(teaches=False)
    _, metrics = run([*FLAT, *FLAT, *FLAT], 9, draws, ROWS[:4])
    assert draws.asked == [[0, 0, 1, 1, 2, 2], [3, 3]]
    assert metrics["resample/rounds"] == 2


def test_without_a_filter_all_is_kept_and_nothing_is_told() -> None:
    scored = small_scored(FLAT)
    pieces, metrics = refill(scored, AdvantageConfig(), 2, lambda: iter(()), Draws())
    assert pieces == [scored]
    assert metrics == {}


def test_rows_that_are_drawn_are_copies() -> None:
    def spoil(rows: list[dict[str, Any]]) -> Scored:
        for place, item in enumerate(rows):
            item["group"] = place
        return small_scored(MIXED)

    run(FLAT, 1, spoil)
    assert "group" not in ROWS[0]


def take(iterator: Iterator[dict[str, Any]]) -> list[int]:
    return [item["number"] for item in iterator]


def test_spare_rows_follow_from_seed_and_step_and_leave_out_what_is_used() -> None:
    used = [prompt_key(row(3)), prompt_key(row(5))]
    first = take(spare_rows(ROWS, used, seed=1, step=4))
    assert sorted(first) == [0, 1, 2, 4, 6, 7, 8]
    assert take(spare_rows(ROWS, used, seed=1, step=4)) == first
    others = [take(spare_rows(ROWS, used, seed=seed, step=step)) for seed, step in [(1, 5), (2, 4)]]
    assert first not in others


def test_a_prompt_that_stands_twice_in_the_data_is_drawn_once() -> None:
    doubled = [*ROWS, {**row(2), "target": 10}]
    prompts = [prompt_key(item) for item in spare_rows(doubled, [], seed=0, step=0)]
    assert len(prompts) == len(set(prompts)) == 9


@given(st.integers(1, 40), st.integers(0, 5))
def test_every_row_has_its_turn(count: int, step: int) -> None:
    rows = [row(number) for number in range(count)]
    assert sorted(take(spare_rows(rows, [], seed=0, step=step))) == list(range(count))


def test_joined_batches_keep_every_row() -> None:
    first, second = small_batch([2, 4], [3, 1]), small_batch([5], [2])
    joined = join_batches([first, second], pad_id=9)
    assert joined["prompt_mask"].tolist() == [[1, 1, 1], [0, 0, 1], [0, 1, 1]]
    assert joined["completion_mask"].sum(dim=1).tolist() == [2, 4, 5]
    assert joined["completion_ids"].tolist() == [[10, 10, 0, 0, 9], [11, 11, 11, 11, 9], [10] * 5]
    assert joined["sampling_per_token_logps"].shape == (3, 5)
    assert joined["advantages"].shape == (3,)
    assert joined["num_items_in_batch"] == 6


def test_a_ratio_of_whole_sequences_stays_one_column() -> None:
    batches = [{**small_batch([2], [1]), "importance_sampling_ratio": torch.ones(1, 1)} for _ in range(2)]
    batches[1] |= small_batch([4], [1])
    assert join_batches(batches, 0)["importance_sampling_ratio"].shape == (2, 1)


def test_batches_of_other_tensors_do_not_join() -> None:
    with pytest.raises(ValueError, match="do not join"):
        join_batches([small_batch([1], [1]), {**small_batch([1], [1]), "extra": torch.ones(1)}], 0)


def test_joined_scores_are_in_order() -> None:
    parts = [small_scored([1.0], correct=[True]), small_scored([None], correct=[None], first=5)]
    joined = join_scored(parts, 0)
    assert joined is not None
    assert (joined.rewards, joined.correct, joined.places) == ([1.0, None], [True, None], [0, 5])
    assert join_scored([], 0) is None


def test_rows_of_a_score() -> None:
    scored = small_scored([0.1, 0.2, 0.3], correct=[True, False, None])
    part = scored.take([2, 0])
    assert part is not None
    assert (part.rewards, part.correct, part.places, part.lengths) == ([0.3, 0.1], [None, True], [2, 0], [3, 1])
    assert scored.take([]) is None


def test_groups_are_whole() -> None:
    assert by_group([1, 2, 3, 4], 2) == [[1, 2], [3, 4]]
    with pytest.raises(ValueError, match="do not form groups"):
        by_group([1, 2, 3], 2)
