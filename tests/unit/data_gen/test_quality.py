"""What a text tells of its own quality."""

from __future__ import annotations

import json
from pathlib import Path
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lengthctl.data_gen.quality import measure_quality, writing_quality
from lengthctl.degeneration import distinct_n, seq_rep_n
from lengthctl.length import Target, Unit

GOLDEN = json.loads((Path(__file__).parents[2] / "golden" / "stated_lengths.json").read_text(encoding="utf-8"))


def prose(n: int, seed: int = 0) -> str:
    """`n` sentences of different words, in paragraphs."""
    rng = Random(seed)
    sentences = [" ".join(f"w{rng.randrange(10**5)}" for _ in range(12)).capitalize() + "." for _ in range(n)]
    return "\n\n".join(" ".join(sentences[start : start + 5]) for start in range(0, n, 5))


@pytest.mark.parametrize(("text", "expected"), [("text", "distinct"), ("other_text", "other_distinct")])
def test_distinct_n(text: str, expected: str) -> None:
    words = GOLDEN["measures"][text].split()
    assert [distinct_n(words, n) for n in (1, 2, 3, 4)] == pytest.approx(GOLDEN["measures"][expected], abs=5e-5)


def test_seq_rep_n() -> None:
    words = GOLDEN["measures"]["text"].split()
    assert seq_rep_n(words, 4) == GOLDEN["measures"]["seq_rep_4"]
    assert seq_rep_n(words, 10) is None
    assert distinct_n([], 1) is None


def test_good_prose_scores_full_and_faults_cost() -> None:
    good = prose(60)
    assert writing_quality(good) > 0.99
    loop = good + "\n\n" + "And so it goes on. " * 200
    cut = good[:-1]
    wall = good.replace("\n\n", " ")
    assert measure_quality(loop).freshness < 0.5
    assert measure_quality(cut).ending == 0.0
    assert measure_quality(wall).structure == 0.0
    for worse in (loop, cut, wall):
        assert writing_quality(worse) < writing_quality(good) - 0.1


def test_variety_does_not_fall_with_mere_length() -> None:
    rng = Random(1)
    vocabulary = [f"w{i}" for i in range(60)]
    short, long = (" ".join(rng.choices(vocabulary, k=n)) for n in (400, 8000))
    assert abs(measure_quality(short).variety - measure_quality(long).variety) < 0.05


def test_chinese_is_measured_by_ideographs() -> None:
    rng = Random(2)
    text = "".join(chr(0x4E00 + rng.randrange(3000)) for _ in range(600)) + "。"
    assert measure_quality(text).freshness == 1.0
    assert measure_quality("今天天气很好，我们去公园。" * 50).freshness == 0.0


def test_value_joins_length_and_quality() -> None:
    text = "One two three four. " * 5
    exact = measure_quality(text, Target(20, unit=Unit.WORDS_MIXED))
    assert exact.s_l == 1.0
    assert exact.value == pytest.approx((1 + exact.writing) / 2)
    judged = measure_quality(text, Target(40, unit=Unit.WORDS_MIXED), s_q=0.8)
    assert judged.value == pytest.approx((0.5 + 0.8) / 2)
    assert measure_quality(text, s_q=0.3).value == 0.3
    assert measure_quality(text, Target(10, unit=Unit.TOKENS), length=10).s_l == 1.0


@given(st.text(max_size=200))
def test_all_lie_in_0_to_1(text: str) -> None:
    found = measure_quality(text)
    for value in (found.variety, found.freshness, found.ending, found.structure, found.writing, found.value):
        assert 0 <= value <= 1


def test_an_empty_text_is_worth_nothing() -> None:
    assert writing_quality("") == 0.0
    assert writing_quality(" \n ") == 0.0
