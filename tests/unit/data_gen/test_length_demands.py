"""Prompts that name a length: found, and taken out."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lengthctl.data_gen.length_demands import find_length_demands, strip_length_demands
from lengthctl.length import Relation, Target, Unit
from lengthctl.prompts import WORDINGS, word_length

STRIPPED = {
    "Write a story in 50 words.": "Write a story.",
    "Write a story of 200 words about cats": "Write a story about cats",
    "Summarise this in at most three sentences.": "Summarise this.",
    "Write a 500-word essay about cats. Answer in about 50 words.": "Write an essay about cats.",
    "Write an 80-word story about dogs": "Write a story about dogs",
    "In 50 words: What is love?": "What is love?",
    "What is love? (about 50 words)": "What is love?",
    "Describe X in no more than 100 words and list Y.": "Describe X and list Y.",
    "What is love? Your answer should be between one hundred and two hundred words long.": "What is love?",
    "Explain in a few sentences why. Be nice.": "Explain why. Be nice.",
    "Write at most 1,000 words. What is love?": "What is love?",
    "Describe it in under 280 characters": "Describe it",
    "Give a one-word answer": "Give an answer",
    "Name it, 50 words or less": "Name it",
    "请写一篇800字左右的文章": "请写一篇文章",
}


@pytest.mark.parametrize(("text", "expected"), STRIPPED.items())
def test_demands_are_found_and_taken_out(text: str, expected: str) -> None:
    assert find_length_demands(text)
    assert strip_length_demands(text).rstrip(",") == expected


@pytest.mark.parametrize(
    "text",
    [
        "Combine these two sentences.",
        "What are the five words most used?",
        "Give me a 5 letter word",
        "How many words are in the line?",
        "Write a story with 3 characters",
        "Use the word in a sentence",
        "Write a short text",
        "Explain it in detail",
        "Who was president in 1950?",
        "第3段是什么意思？",
        "",
    ],
)
def test_what_is_no_demand(text: str) -> None:
    assert find_length_demands(text) == []
    assert strip_length_demands(text) == text


@pytest.mark.parametrize("form", WORDINGS)
@pytest.mark.parametrize(
    "target",
    [
        Target(50),
        Target(1),
        Target(801, Relation.AT_LEAST),
        Target(30, Relation.AT_MOST),
        Target(50, Relation.RANGE, high=80),
        Target(3, unit=Unit.SENTENCES),
        Target(120, unit=Unit.TOKENS),
    ],
    ids=lambda target: target.label,
)
def test_every_wording_of_ours_is_found_and_taken_out(form: str, target: Target) -> None:
    ((message),) = word_length([{"role": "user", "content": "What is love?"}], target, form)
    assert find_length_demands(message["content"])
    assert strip_length_demands(message["content"]) == "What is love?"


@given(st.text(st.characters()))
def test_any_text(text: str) -> None:
    if not find_length_demands(text):
        assert strip_length_demands(text) == text


@pytest.mark.parametrize("part", ["1", "under ", "in 5 words ", " ", "one to ", "( ", "one hundred ", "up to "])
def test_hostile_texts_take_no_time(part: str) -> None:
    text = f"in 5 words {part * (50_000 // len(part))} words"
    start = time.monotonic()
    strip_length_demands(text)
    assert time.monotonic() - start < 5
