"""Pairs by S_l and S_q: the best of a prompt, and no set that teaches length by itself."""

from __future__ import annotations

import random
from collections import Counter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lengthctl.data_gen.preference_pairs import Pair, PairDrop, PairRules, Text
from lengthctl.data_gen.quality_pairs import lean_of, quality_pairs, rebalanced, with_own_quality
from lengthctl.length import Target
from lengthctl.scoring import s_l


def prose(words: int, salt: int = 0) -> str:
    rng = random.Random(f"{words}|{salt}")
    return " ".join(f"w{rng.randrange(10**6)}" for _ in range(words)) + "."


def text(words: int, quality: float | None = 0.5, request: str = "Tell of bees.", **more: Any) -> Text:
    target = more.pop("target", Target(100))
    salt = more.pop("salt", 0)
    messages = ({"role": "user", "content": request},)
    return Text(request, messages, target, prose(words, salt), words, quality=quality, **more)


texts = st.lists(
    st.builds(
        text,
        st.integers(20, 300),
        st.sampled_from([None, 0.0, 0.4, 0.7, 1.0]),
        st.sampled_from([f"Tell of {i}." for i in range(6)]),
        salt=st.integers(0, 2),
        is_truncated=st.sampled_from([False, False, True]),
        is_cut=st.sampled_from([False, False, True]),
    ),
    max_size=30,
)


@given(texts, st.integers(0, 3), st.booleans(), st.sampled_from([0.0, 0.1, 0.3]))
def test_the_best_is_chosen_whole_and_no_length_is_taught(
    given_texts: list[Text], seed: int, balance: bool, most: float
) -> None:
    made = quality_pairs(given_texts, PairRules(seed=seed, balance=balance), most_lean=most)
    for pair in made.found.pairs:
        assert s_l(pair.chosen.length, pair.label.target) >= 0.8
        assert pair.margin >= 0.05
        for side in (pair.chosen, pair.rejected):
            assert not side.is_cut
            assert not side.is_truncated
            assert side.quality is not None
    leans = [(p.chosen.length - p.rejected.length) / 100 for p in made.found.pairs]
    assert made.lean == pytest.approx(sum(leans) / len(leans) if leans else 0.0)
    if balance and leans:
        assert abs(made.lean) <= most + 1e-9 or all(abs(lean) > most for lean in leans)
    if not balance:
        assert made.lean == made.lean_before


@given(texts, st.randoms(use_true_random=False))
def test_the_order_of_the_texts_makes_no_difference(given_texts: list[Text], rng: random.Random) -> None:
    mixed = given_texts.copy()
    rng.shuffle(mixed)
    assert quality_pairs(mixed) == quality_pairs(given_texts)


@given(st.lists(st.integers(-300, 300), max_size=25), st.sampled_from([0.0, 0.1, 0.5]))
def test_what_is_dropped_tips_the_scales_most(differences: list[int], most: float) -> None:
    # a chosen text of 100 words in every pair, so that the difference is the rejected one's
    pairs: list[Pair] = []
    for place, difference in enumerate(differences):
        request = f"Tell of {place}."
        found = quality_pairs(
            [text(100, 1.0, request), text(max(1, 100 - difference), 0.0, request, salt=place + 1)],
            PairRules(balance=False),
        )
        pairs += found.found.pairs
    kept = rebalanced(pairs, most)
    assert [pair for pair in pairs if pair in kept] == kept
    if not pairs:
        assert kept == []
        return
    side = 1 if lean_of(pairs) > 0 else -1
    gone = [p for p in pairs if p not in kept]
    if abs(lean_of(pairs)) <= most:
        assert not gone
    assert kept, "a set is never emptied"
    lean = [side * (p.chosen.length - p.rejected.length) for p in kept]
    assert all(side * (p.chosen.length - p.rejected.length) >= max(lean) for p in gone)


def test_by_hand_as_the_paper_ranks_four_texts() -> None:
    # S_l of 95, 120, 60 and 300 words for 100: 0.9737, 0.9333, 0.6667, 0.3333
    four = [text(95, 0.5), text(120, 0.9), text(60, 1.0), text(300, 0.2)]
    made = quality_pairs(four, PairRules(balance=False))
    (pair,) = made.found.pairs
    assert pair.chosen.length == 120, "(0.9333 + 0.9) / 2 is the best"
    assert pair.rejected.length in (95, 60, 300)
    assert quality_pairs([text(60, 1.0), text(300, 0.2)]).found.pairs == (), "the best has S_l below 0.8"
    assert quality_pairs([text(100, 0.5), text(101, 0.45)]).found.pairs == (), "the gap is below 0.05"


def test_pairs_that_prefer_the_longer_text_too_often_go() -> None:
    texts = []
    for i in range(6):  # the rejected text is far too short in five, too long in one
        request = f"Tell of {i}."
        texts += [text(100, 1.0, request), text(30 if i else 170, 0.1, request, salt=i + 1)]
    made = quality_pairs(texts)
    assert made.lean_before == pytest.approx((5 * 0.7 - 0.7) / 6)
    assert made.lean == pytest.approx(0.0)
    assert Counter(pair.longer for pair in made.found.pairs) == {1: 1, -1: 1}
    assert made.found.dropped[PairDrop.BALANCE] == 4
    assert "longer by 0.0 % of the target on average (+46.7 % before 4 pairs went)" in made.line


def test_a_model_that_only_writes_too_little_keeps_its_pairs() -> None:
    texts = [text(n, q, f"Tell of {i}.") for i in range(4) for n, q in ((90, 1.0), (20, 0.2))]
    made = quality_pairs(texts)
    assert len(made.found.pairs) == 4
    assert made.lean == made.lean_before == pytest.approx(0.7)


def test_cut_texts_and_those_without_quality_are_counted() -> None:
    texts = [
        text(100, 1.0),
        text(40, 0.1),
        text(41, 0.1, is_cut=True),
        text(42, 0.1, is_truncated=True),
        text(43, None),
    ]
    dropped = quality_pairs(texts).found.dropped
    assert dropped == {PairDrop.UNFINISHED: 2, PairDrop.NO_QUALITY: 1}


def test_quality_from_the_text_alone_only_where_there_is_none() -> None:
    loop = Text("r", ({"role": "user", "content": "r"},), Target(100), "go on and on. " * 40, 160)
    judged, good, bad = with_own_quality([text(100, 0.25), text(100, None), loop])
    assert judged.quality == 0.25
    assert good.quality is not None
    assert bad.quality is not None
    assert 0 <= bad.quality < good.quality <= 1


def test_a_lean_that_is_none_is_refused() -> None:
    with pytest.raises(ValueError, match="most_lean"):
        quality_pairs([], most_lean=-0.1)
