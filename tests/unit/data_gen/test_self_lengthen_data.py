"""What is left out for its length, and what the two models learn from."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lengthctl.data_gen.filters import DropReason
from lengthctl.data_gen.self_lengthen_data import (
    Lengthened,
    drop_short,
    extender_row,
    final_rows,
    generator_row,
    keep_probability,
)
from lengthctl.data_gen.self_lengthen_prompts import extend_messages

GOLDEN = json.loads((Path(__file__).parents[2] / "golden" / "self_lengthen.json").read_text())


def prose(words: int, salt: int = 0, letters: str = "w") -> str:
    rng = random.Random(f"{words}|{salt}")
    return " ".join(f"{letters}{rng.randrange(10**6)}" for _ in range(words)) + "."


def pair(name: str = "1-0/f0/e0", instruction: str = "Tell of bees.", words: int = 40, salt: int = 0) -> Lengthened:
    return Lengthened(name, instruction, "One came.\nTwo left.\nThree stayed.", prose(words, salt), 1, "own", "mit")


def kept(sizes: list[int], seed: int = 0, least: int = 0) -> list[int]:
    items = [(f"t{place}", prose(size)) for place, size in enumerate(sizes)]
    left = drop_short(items, lambda one: one[1], lambda one: one[0], seed=seed, least=least)
    return [len(text.split()) for _, text in left]


@pytest.mark.parametrize(("rank", "probability"), GOLDEN["keep_probability"].items())
def test_golden_probabilities(rank: str, probability: float) -> None:
    assert keep_probability(float(rank)) == pytest.approx(probability, abs=1e-9)


def test_the_expected_share() -> None:
    shares = [keep_probability((i + 0.5) / 10_000) for i in range(10_000)]
    assert sum(shares) / len(shares) == pytest.approx(GOLDEN["expected_share_kept"], abs=1e-4)
    sizes = list(range(1, 1001))
    left = kept(sizes)
    assert len(left) / 1000 == pytest.approx(GOLDEN["expected_share_kept"], abs=0.05)
    assert min(left) > 200, "the shortest fifth always goes"
    assert 1000 in left


@given(st.lists(st.integers(1, 60), max_size=60), st.integers(0, 3), st.randoms(use_true_random=False))
def test_the_order_makes_no_difference(sizes: list[int], seed: int, rng: random.Random) -> None:
    items = [(f"t{place}", prose(size)) for place, size in enumerate(sizes)]
    left = drop_short(items, lambda one: one[1], lambda one: one[0], seed=seed, least=0)
    mixed = rng.sample(items, len(items))
    assert set(drop_short(mixed, lambda one: one[1], lambda one: one[0], seed=seed, least=0)) == set(left)
    assert [item for item in items if item in left] == left
    if sizes:
        longest = [size for size in sizes if size == max(sizes)]
        assert len(longest) > 1 or len(sizes) < 4 or max(sizes) in [len(text.split()) for _, text in left]


def test_equal_lengths_share_their_rank() -> None:
    left = kept([20] * 400)
    assert 0.68 < len(left) / 400 < 0.82, "each is the median, and kept with 0.75"


def test_lengths_are_compared_within_a_writing_system() -> None:
    chinese = [(f"c{i}", "\u8702" * (30 + i) + "\u3002") for i in range(40)]
    english = [(f"e{i}", prose(300 + i)) for i in range(40)]
    left = drop_short([*chinese, *english], lambda one: one[1], lambda one: one[0], seed=1, least=0)
    alone = drop_short(chinese, lambda one: one[1], lambda one: one[0], seed=1, least=0)
    assert [item for item in left if item[0].startswith("c")] == alone
    assert alone, "that Chinese texts are shorter here is no reason"


def test_small_sets_are_left_alone() -> None:
    assert kept([1, 50, 100], least=20) == [1, 50, 100]
    assert kept([1] * 5 + [9] * 15, least=20) != [1] * 5 + [9] * 15


def test_the_rows_that_each_model_learns_from() -> None:
    one = pair()
    row = generator_row(one)
    assert row["prompt"] == [{"role": "user", "content": "Tell of bees."}]
    assert row["completion"] == [{"role": "assistant", "content": one.text}]
    told = {key: row[key] for key in ("id", "target", "words", "source", "licence", "round", "first_words")}
    assert told == {
        "id": "1-0/f0/e0",
        "target": None,
        "words": 40,
        "source": "own",
        "licence": "mit",
        "round": 1,
        "first_words": 6,
    }
    whole = extender_row(one, keep=1.0, seed=0)
    assert whole["prompt"] == [dict(m) for m in extend_messages("Tell of bees.", one.response)]
    assert whole["completion"] == row["completion"]
    thinned = [extender_row(pair(f"x{i}"), keep=0.5, seed=0)["prompt"][0]["content"] for i in range(20)]
    assert len(set(thinned)) > 3, "each is thinned otherwise"
    assert extender_row(pair("x1"), keep=0.5, seed=0)["prompt"][0]["content"] == thinned[1]


def test_the_final_set_has_the_longest_text_of_an_instruction_and_no_copies() -> None:
    dropped: list[tuple[str, DropReason]] = []
    pairs = [
        pair("a", "Tell of bees.", 40, salt=1),
        pair("b", "Tell of bees.", 60, salt=2),
        pair("c", "Tell of bees.", 50, salt=3),
        pair("d", "Tell of wasps.", 60, salt=2),
        pair("e", "Tell of ants.", 45, salt=5),
    ]
    rows = list(final_rows(pairs, on_drop=lambda source, reason: dropped.append((source, reason))))
    assert [row["id"] for row in rows] == ["b", "e"]
    assert sorted(reason for _, reason in dropped) == ["exact_duplicate", "same_request", "same_request"]
    assert {source for source, _ in dropped} == {"own"}
    assert list(final_rows([])) == []
