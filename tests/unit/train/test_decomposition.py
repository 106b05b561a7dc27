"""Dataset decomposition: pieces as the paper and its code cut them, and lengths that grow within each cycle."""

from __future__ import annotations

import random
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lengthctl.train.decomposition import (
    Draw,
    count_batches,
    count_dropped,
    curriculum_odds,
    curriculum_weights,
    decompose,
    draw_order,
)

# Length -> exact binary pieces, dropped; pieces as the released code cuts them,
# dropped. Buckets 256 to 8192, nothing drawn at random.
CUTS = {
    0: ([], 0, [], 0),
    1: ([], 1, [], 1),
    255: ([], 255, [], 255),
    256: ([256], 0, [], 256),
    257: ([256], 1, [257], 0),
    513: ([512], 1, [513], 0),
    514: ([512], 2, [513], 1),
    1000: ([512, 256], 232, [513, 257], 230),
    5000: ([4096, 512, 256], 136, [4097, 513, 257], 133),
    8191: ([4096, 2048, 1024, 512, 256], 255, [4097, 2049, 1025, 513, 257], 250),
    8193: ([8192], 1, [8193], 0),
    10000: ([8192, 1024, 512, 256], 16, [8193, 1025, 513, 257], 12),
    16386: ([8192, 8192], 2, [8193, 8193], 0),
    20000: ([8192, 8192, 2048, 1024, 512], 32, [8193, 8193, 2049, 1025, 513], 27),
}
# 6.3, the README's example: pieces of 256 to 8192 tokens in one cycle, at 64 x 8192 tokens a batch
SEQUENCES = {8: 1507328, 9: 1277952, 10: 794624, 11: 335872, 12: 137216, 13: 61440}
BATCHES = {8: 736, 9: 1248, 10: 1552, 11: 1312, 12: 1072, 13: 960}
BATCH_TOKENS = 64 * 8192


@pytest.mark.parametrize("length", CUTS)
def test_pieces_are_those_of_paper_and_code(length: int) -> None:
    binary, binary_dropped, code, code_dropped = CUTS[length]
    for exact, tokens, dropped in ((True, binary, binary_dropped), (False, code, code_dropped)):
        pieces = decompose(length, exact_binary=exact)
        assert [piece.tokens for piece in pieces] == tokens
        assert count_dropped(length, pieces) == dropped


@pytest.mark.parametrize(
    ("length", "tokens"), [(13, [8, 4, 1]), (300, [256, 32, 8, 4]), (1000, [512, 256, 128, 64, 32, 8])]
)
def test_from_one_token_on_pieces_are_binary_digits(length: int, tokens: list[int]) -> None:
    assert [piece.tokens for piece in decompose(length, min_log2=0, exact_binary=True)] == tokens


@given(
    st.integers(0, 100_000), st.integers(0, 9), st.integers(0, 6), st.booleans(), st.one_of(st.none(), st.integers())
)
def test_pieces_follow_each_other_and_leave_less_than_the_shortest(
    length: int, min_log2: int, more: int, exact: bool, seed: int | None
) -> None:
    length = min(length, 40 << (min_log2 + more))
    generator = None if seed is None else random.Random(seed)
    pieces = decompose(length, min_log2=min_log2, max_log2=min_log2 + more, exact_binary=exact, randomise=generator)
    end = 0
    for piece in pieces:
        assert piece.start == end
        assert piece.tokens == 2**piece.bucket + (0 if exact else 1)
        assert min_log2 <= piece.bucket <= min_log2 + more
        end += piece.tokens
    assert count_dropped(length, pieces) == length - end
    assert 0 <= length - end < 2**min_log2 + (0 if exact else 1)


def test_integers_hold_where_floating_logarithms_round_up() -> None:
    pieces = decompose(2**49 - 1, min_log2=0, max_log2=60, exact_binary=True)
    assert [piece.bucket for piece in pieces] == list(range(48, -1, -1))


def test_drawn_buckets_have_equal_expected_tokens() -> None:
    pieces = decompose(50_000_000, randomise=random.Random(0))[:-10]  # the last ones are no longer drawn
    counts = Counter(piece.bucket for piece in pieces)
    shares = [counts[bucket] / len(pieces) for bucket in range(13, 7, -1)]
    assert shares == pytest.approx([0.0159, 0.0317, 0.0635, 0.1270, 0.2540, 0.5079], rel=0.05)


@pytest.mark.parametrize(("length", "min_log2", "max_log2"), [(-1, 8, 13), (5, -1, 3), (5, 4, 3)])
def test_what_cannot_be_cut_is_refused(length: int, min_log2: int, max_log2: int) -> None:
    with pytest.raises(ValueError, match="no pieces"):
        decompose(length, min_log2=min_log2, max_log2=max_log2)


def test_weights_are_those_of_the_readme() -> None:
    batches = count_batches(SEQUENCES, BATCH_TOKENS)
    assert batches == BATCHES
    assert sum(batches.values()) * BATCH_TOKENS == 3_607_101_440
    weights = curriculum_weights(batches, curriculum_odds("grow_p2", 6))
    assert [weight / 16 for weight in weights.values()] == [1472, 1248, 776, 328, 134, 60]
    shares = [weight / sum(weights.values()) for weight in weights.values()]
    assert shares == pytest.approx([0.3664, 0.3106, 0.1931, 0.0816, 0.0333, 0.0149], abs=5e-5)
    even = curriculum_weights(batches, curriculum_odds("uniform", 6))
    shares = [weight / sum(even.values()) for weight in even.values()]
    assert shares == pytest.approx([0.1070, 0.1814, 0.2256, 0.1907, 0.1558, 0.1395], abs=5e-5)


def test_odds_fall_with_length() -> None:
    assert curriculum_odds("grow_p2", 6) == (32, 16, 8, 4, 2, 1)
    assert curriculum_odds("grow_linear", 6) == (6, 5, 4, 3, 2, 1)
    assert curriculum_odds("uniform", 3) == (1, 1, 1)
    with pytest.raises(ValueError, match="no curriculum"):
        curriculum_odds("shrink", 3)  # type: ignore[arg-type]


@given(st.dictionaries(st.integers(5, 9), st.integers(0, 12), max_size=4), st.integers(0, 3), st.integers(0, 99))
def test_every_cycle_draws_each_batch_once(batches: dict[int, int], cycles: int, seed: int) -> None:
    odds = curriculum_odds("grow_p2", len(batches))
    order = draw_order(batches, odds, cycles=cycles, seed=seed)
    every = [Draw(cycle, bucket, n) for cycle in range(cycles) for bucket in batches for n in range(batches[bucket])]
    assert Counter(order) == Counter(every)
    assert [draw.cycle for draw in order] == sorted(draw.cycle for draw in order)
    for cycle, bucket in {(draw.cycle, draw.bucket) for draw in order}:
        numbers = [draw.batch for draw in order if (draw.cycle, draw.bucket) == (cycle, bucket)]
        assert numbers == sorted(numbers)
    if order:
        assert order[0].bucket == max(draw.bucket for draw in order)
    assert order == draw_order(batches, odds, cycles=cycles, seed=seed)


def test_lengths_grow_within_each_cycle_and_cycles_differ() -> None:
    order = draw_order(BATCHES, curriculum_odds("grow_p2", 6), cycles=2, seed=1)
    steps = sum(BATCHES.values())
    cycles = [[draw.bucket for draw in order[:steps]], [draw.bucket for draw in order[steps:]]]
    assert cycles[0] != cycles[1]
    for buckets in cycles:
        quarters = [buckets[start : start + steps // 4] for start in range(0, steps, steps // 4)]
        means = [sum(quarter) / len(quarter) for quarter in quarters]
        assert means == sorted(means)
        assert Counter(buckets[1:301])[8] / 300 == pytest.approx(0.3664, abs=0.08)


def test_odds_and_batches_that_do_not_match_are_refused() -> None:
    for odds in ((1, 2, 3), (0, 1)):
        with pytest.raises(ValueError, match="2 buckets need"):
            draw_order({8: 1, 9: 1}, odds)
    with pytest.raises(ValueError, match="cannot be filled"):
        count_batches({8: 5, 9: 5}, 768)
