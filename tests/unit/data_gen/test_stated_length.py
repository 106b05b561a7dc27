"""The one length that a request states: every form of it, and why there is none."""

from __future__ import annotations

import json
import time
from pathlib import Path
from random import Random
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lengthctl.data_gen.demand_forms import draw_phrase, put_demand
from lengthctl.data_gen.english_numbers import parse_english_number
from lengthctl.data_gen.stated_length import Unstated, find_stated_length
from lengthctl.length import Relation, Target, Unit

GOLDEN = json.loads((Path(__file__).parents[2] / "golden" / "stated_lengths.json").read_text(encoding="utf-8"))
FOUND = {
    "写一篇不少于三千字的文章": ">=3000",
    "写一篇2000字以上的文章": ">=2000",
    "写一篇文章，2000字左右": "~2000",
    "约1.2万字": "~12000",
    "2000多字": "~2000",
    "不要超过300字": "<=300",
    "在800字以内": "<=800",
    "字数控制在1000到2000字之间": "1000-2000",
    "字数在1000-2000之间": "1000-2000",
    "字数：1,500-2,000": "1500-2000",
    "2000字至4000字": "2000-4000",
    "不少于2000字，不超过3000字": "2000-3000",
    "篇幅约三千字": "~3000",
    "请写一篇万字长文": "10000",
    "写一篇介绍罗马帝国历史的1000字文章": "1000",
    "内容请控制在2000字左右": "~2000",
    "字数大约控制在3500字左右，谢谢！": "~3500",
    "请确保指南约为2500字": "~2500",
    "字数请控制在5000以内": "<=5000",
    "提交内容需小于7000字": "<=7000",
    "一万二千字": "12000",
    "300字的作文，不少于300字": ">=300",
    "写一篇3000字论文，分为五个章节": "3000",
    "Write an essay of at least 2000 words but no more than 3000 words": "2000-3000",
    "Write between 1,500 and 2,000 words": "1500-2000",
    "a 1500- to 2000-word essay": "1500-2000",
    "Write five hundred to six hundred words.": "500-600",
    "in no more than two thousand words": "<=2000",
    "It must not exceed 300 words": "<=300",
    "no fewer than 300 words": ">=300",
    "Use 2000+ words": ">=2000",
    "Ensure this comparison extends beyond 2000 words.": ">=2000",
    "Three issues with solutions for each, aiming for around 2000 words.": "~2000",
    "2.5k words": "2500",
    "Word count: 1500": "1500",
    "Word limit: 1500 words": "<=1500",
    "The word limit is 300.": "<=300",
    "Keep it within the 500-word limit": "<=500",
    "about 500 words, i.e. 500 words": "~500",
    "Summarise this 2000-word article in 100 words": "100",
    "2000 words or less": "<=2000",
    "800 words minimum": ">=800",
    "a thousand words": "1000",
    "one hundred and fifty words": "150",
    "exactly 300 words": "300",
    "essay (800 words)": "800",
}
UNITS = {
    "Write 3 sentences": Unit.SENTENCES,
    "Write at most 280 characters": Unit.CHARACTERS,
    "under 200 tokens": Unit.TOKENS,
    "300 to 500 tokens": Unit.TOKENS,
    "用5句话回答": Unit.SENTENCES,
    "不超过500个字符": Unit.CHARACTERS,
    "写500个单词": Unit.WORDS_MIXED,
}


@pytest.mark.parametrize("case", GOLDEN["stated"], ids=lambda case: case["request"])
def test_golden_vectors(case: dict[str, object]) -> None:
    found = find_stated_length(str(case["request"]))
    if case["length"] is None:
        assert found is Unstated.SEVERAL
    else:
        assert found == Target(int(str(case["length"])), Relation.EXACT, Unit.WORDS_MIXED)


@pytest.mark.parametrize(("request_", "label"), FOUND.items())
def test_relations_and_numbers(request_: str, label: str) -> None:
    found = find_stated_length(request_)
    assert isinstance(found, Target)
    assert (found.label, found.unit) == (label, Unit.WORDS_MIXED)


@pytest.mark.parametrize(("request_", "unit"), UNITS.items())
def test_units(request_: str, unit: Unit) -> None:
    found = find_stated_length(request_)
    assert isinstance(found, Target)
    assert found.unit is unit


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Write about Rome",
        "Summarise this 2000-word article",
        "这篇2000字的文章讲了什么",
        "Read at 200 words per minute",
        "What are the five words most used?",
        "a few hundred words",
        "几千字",
        "两三千字",
        "第3000字",
        "介绍《千字文》",
        "Write 10 pages",
        "a picture is worth a thousand words",
        "Write 0 words",
        "Write a dialogue between 2 characters",
        "99999999 words",
    ],
)
def test_what_is_no_length_of_the_answer(text: str) -> None:
    assert find_stated_length(text) is Unstated.ABSENT


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("写3章，每章不少于2000字", Unstated.PART),
        ("Each section should have 500 words", Unstated.PART),
        ("Write 1000 words each", Unstated.PART),
        ("2000字，每段200字", Unstated.SEVERAL),
        ("write a 500 word summary of a 5000 word novel", Unstated.SEVERAL),
        ("at least 500 words and at least 700 words", Unstated.SEVERAL),
        ("5 sentences, 100 words", Unstated.SEVERAL),
    ],
)
def test_why_there_is_no_one_length(text: str, why: Unstated) -> None:
    assert find_stated_length(text) is why


def test_the_unit_of_words_and_the_slack_are_the_callers() -> None:
    found = find_stated_length("about 50 words", words=Unit.WORDS, tolerance=0.1)
    assert found == Target(50, Relation.ABOUT, Unit.WORDS, tolerance=0.1)


def test_only_the_ends_of_long_requests_are_read() -> None:
    filler = "filler " * 5000
    assert find_stated_length(f"{filler} 300 words {filler}") is Unstated.ABSENT
    assert isinstance(find_stated_length(f"{filler} Write 300 words."), Target)
    assert isinstance(find_stated_length(f"Write 300 words on this: {filler}"), Target)


@given(
    st.sampled_from(list(Relation)),
    st.integers(1, 99_999),
    st.integers(1, 9999),
    st.sampled_from([Unit.WORDS_MIXED, Unit.CHARACTERS, Unit.SENTENCES, Unit.TOKENS]),
    st.sampled_from(["en", "zh"]),
    st.integers(0, 10**6),
)
def test_every_demand_that_is_written_is_read_back(
    relation: Relation, value: int, more: int, unit: Unit, language: Literal["en", "zh"], seed: int
) -> None:
    value += 20 * (unit is Unit.CHARACTERS)  # fewer characters are persons
    high = value + more if relation is Relation.RANGE else None
    target = Target(value, relation, unit, high=high, tolerance=0.2 if relation is Relation.ABOUT else None)
    rng = Random(seed)
    phrase = draw_phrase(target, language, rng)
    request = put_demand("Write about cats" if language == "en" else "写一篇关于猫的文章", phrase, language, rng)
    assert find_stated_length(request) == target


@given(st.text("1234567890,.-万千百十一二两 words字each至少at leastbetween和and", max_size=120))
def test_any_text_gives_a_target_or_a_reason(text: str) -> None:
    assert isinstance(find_stated_length(text), Target | Unstated)


@pytest.mark.parametrize(
    "piece", ["1,", "一", "two ", "words ", "1 word ", "at least ", "1-", "字数", "one hundred and "]
)
def test_hostile_requests_take_no_time(piece: str) -> None:
    began = time.perf_counter()
    find_stated_length(piece * (200_000 // len(piece)))
    assert time.perf_counter() - began < 1.5


ENGLISH = {
    "2000": 2000,
    "2,000": 2000,
    "2.5k": 2500,
    "2 thousand": 2000,
    "two thousand": 2000,
    "a hundred and fifty": 150,
    "twenty-five hundred": 2500,
    "half a million": 500_000,
    "one hundred thousand": 100_000,
    "three thousand five hundred": 3500,
    "two three": None,
    "twenty ten": None,
    "hundred": None,
    "and": None,
    "": None,
    "1.5": None,
}


@pytest.mark.parametrize(("text", "number"), ENGLISH.items())
def test_english_numbers(text: str, number: int | None) -> None:
    assert parse_english_number(text) == number
