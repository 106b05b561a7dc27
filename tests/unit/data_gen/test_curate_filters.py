"""Reasons why long texts are not used: each is found, and good texts pass."""

from __future__ import annotations

import time
from random import Random

import pytest

from lengthctl.data_gen.curate_filters import leftovers, length_missed, other_language, refused, repetitive_part
from lengthctl.data_gen.filters import DropReason
from lengthctl.length import Relation, Target


def prose(words: int, seed: int = 0) -> str:
    rng = Random(seed)
    return " ".join(f"w{rng.randrange(10**5)}{'.' if i % 12 == 11 else ''}" for i in range(words)) + "."


@pytest.mark.parametrize(
    ("length", "is_kept"), [(1428, False), (1429, True), (2000, True), (3200, True), (3201, False)]
)
def test_length_missed(length: int, is_kept: bool) -> None:  # S_l of 80, golden vectors F.1
    assert (length_missed(length, Target(2000)) is None) is is_kept


def test_length_missed_of_an_empty_text_and_a_range() -> None:
    assert length_missed(0, Target(10)) is DropReason.LENGTH_MISSED
    assert length_missed(150, Target(100, Relation.RANGE, high=200)) is None


@pytest.mark.parametrize(
    "text", ["I'm sorry, but I can't help.", "抱歉，我无法完成。", "  As an AI, I do not write this."]
)
def test_refused(text: str) -> None:
    assert refused(text) is DropReason.REFUSED


def test_a_story_that_begins_so_is_no_refusal() -> None:
    assert refused("Sorry, said the fox. " + prose(400)) is None


@pytest.mark.parametrize(
    ("request_", "text", "is_kept"),
    [
        ("Write about Rome", "Rome is old.", True),
        ("Write about Rome", "罗马是一座古老的城市。", False),
        ("写一篇关于罗马的文章", "Rome is an old city.", False),
        ("写一篇关于罗马的文章", "罗马，拉丁语Roma，是一座古老的城市。", True),
        ("用英文写一篇关于罗马的文章", "Rome is an old city.", True),
        ("Write in Chinese about Rome", "罗马是一座古老的城市。", True),
        ("Translate this: Rome is old", "罗马很古老。", True),
        ("日本語", "日本語の文章です。", True),
        ("Write about Rome", "1 2 3", True),
    ],
)
def test_other_language(request_: str, text: str, is_kept: bool) -> None:
    assert (other_language(request_, text) is None) is is_kept


@pytest.mark.parametrize(
    "text",
    [
        "A text.<|im_end|>",
        "[INST] Write [/INST] A text.",
        "A text.</s>",
        "### Response:\nA text.",
        "Dear {{customer name}}, we write to you.",
        "Paragraph 1 - Main Point: the start - Word Count: 400 words\n\nOnce upon a time.",
        "段落1 - 主要内容：起源 - 字数：400字\n\n从前有座山。",
        "A text. (312 words)",
        "**Word count:** 800\n\nA text.",
        "| a | b |\n|---|---|\n| | |",
    ],
)
def test_leftovers(text: str) -> None:
    assert leftovers(text) is DropReason.LEFTOVERS


@pytest.mark.parametrize(
    "text",
    [
        "# Title\n\nA text with a **bold** word and a list:\n\n- one thing\n- another thing",
        "In HTML, <b>bold</b> text is set like this, and it has always been so.",
        "Section 2: the point\n\nA paragraph about the word and its count.",
        "",
    ],
)
def test_what_is_no_leftover(text: str) -> None:
    assert leftovers(text) is None


def test_repetition_in_one_part_of_a_long_text() -> None:
    good = prose(4000)
    assert repetitive_part(good) is None
    assert repetitive_part(prose(20)) is None
    assert repetitive_part("") is None
    loop = "and so it went on and on, "
    middle = len(good) // 2
    assert repetitive_part(good[:middle] + loop * 60 + good[middle:]) is DropReason.REPETITIVE
    assert repetitive_part(good + loop * 60) is DropReason.REPETITIVE


def test_blocks_that_come_again_far_away() -> None:
    block = prose(300, seed=7)
    text = f"{block}\n\n{prose(2500)}\n\n{block}"
    assert repetitive_part(text) is DropReason.REPETITIVE
    assert repetitive_part(text, max_long=0.5) is None


def test_symbols_and_ideographs_that_repeat() -> None:
    rng = Random(3)
    chinese = "".join(chr(0x4E00 + rng.randrange(2500)) for _ in range(3000))
    assert repetitive_part(chinese) is None
    assert repetitive_part(chinese + "今天天气很好。" * 60) is DropReason.REPETITIVE
    assert repetitive_part(prose(3000) + "=" * 4000) is DropReason.REPETITIVE


@pytest.mark.parametrize("piece", ["a ", "<|", "{{", "Paragraph 1 - ", "字", "(", "#\n"])
def test_hostile_texts_take_no_time(piece: str) -> None:
    text = piece * (200_000 // len(piece))
    began = time.perf_counter()
    for look in (leftovers, repetitive_part, refused):
        look(text)
    other_language(text, text)
    assert time.perf_counter() - began < 3
