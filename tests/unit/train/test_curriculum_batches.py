"""Batches of raw text: one length a step, equal tokens, every piece once a cycle, orders that can be found again."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lengthctl.errors import DataError
from lengthctl.train.curriculum_batches import CurriculumBatches

TOKENS = 64


def lengths(counts: dict[int, int]) -> list[int]:
    return [2**bucket + 1 for bucket, count in counts.items() for _ in range(count)]


@given(st.dictionaries(st.integers(2, 6), st.integers(0, 40), min_size=1), st.integers(0, 5), st.integers(0, 3))
def test_every_step_has_one_length_and_the_same_tokens(counts: dict[int, int], seed: int, epoch: int) -> None:
    pieces = lengths(counts)
    filled = sum(count // (TOKENS >> bucket) for bucket, count in counts.items())
    if not filled:
        with pytest.raises(DataError, match="no length fills a batch"):
            CurriculumBatches(pieces, TOKENS, "grow_p2", seed)
        return
    batches = CurriculumBatches(pieces, TOKENS, "grow_p2", seed)
    batches.set_epoch(epoch)
    found = list(batches)
    assert len(found) == len(batches) == filled
    rows = [row for batch in found for row in batch]
    assert len(rows) == len(set(rows))
    for batch in found:
        assert len({pieces[row] for row in batch}) == 1
        assert sum(pieces[row] - 1 for row in batch) == TOKENS
    assert list(batches) == found
    assert pieces[found[0][0]] == max(pieces[batch[0]] for batch in found)  # too little memory shows at once


def test_short_lengths_come_first_under_grow_p2_and_epochs_differ() -> None:
    pieces = lengths({2: 16 * 40, 6: 40})
    batches = CurriculumBatches(pieces, TOKENS, "grow_p2", 1)
    first = list(batches)
    half = [pieces[batch[0]] for batch in first[1:41]]
    assert half.count(5) > 20
    batches.set_epoch(1)
    assert list(batches) != first


def test_other_lengths_are_refused() -> None:
    with pytest.raises(DataError, match="row 1 has 8 tokens"):
        CurriculumBatches([9, 8], TOKENS, "uniform", 0)
