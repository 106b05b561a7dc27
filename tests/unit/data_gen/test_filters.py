"""Filters: what each refuses, and that none raises on any text."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lengthctl.data_gen.filters import (
    DropReason,
    asks_for_length,
    compression,
    empty,
    repetitive,
    too_long,
    unfinished,
)
from lengthctl.records import FinishReason

ANY = st.text(st.characters())  # half surrogate pairs too
PROSE = (
    "The river rises in the hills behind the town, and for most of the year it is little more than a brook that "
    "children cross on stones. In spring, when the snow goes, it carries whole trees past the church, and the old "
    "people stand on the bridge and tell each other how much higher it was when they were young."
)


@given(ANY, st.sampled_from([None, *FinishReason]))
def test_no_filter_raises(text: str, finish: FinishReason | None) -> None:
    for reason in (
        empty(text),
        unfinished(text, finish),
        repetitive(text),
        asks_for_length(text),
        too_long(text, 3, len),
    ):
        assert reason is None or isinstance(reason, DropReason)
    assert compression(text) >= 0


def test_every_reason_says_what_it_means() -> None:
    assert all(reason.meaning for reason in DropReason)


@pytest.mark.parametrize(
    ("text", "is_empty"), [("", True), (" \n", True), ("...", True), ("a", False), ("7", False), ("字", False)]
)
def test_empty(text: str, is_empty: bool) -> None:
    assert (empty(text) is DropReason.EMPTY) == is_empty


@pytest.mark.parametrize(
    "text",
    [
        PROSE,
        "Paris",
        "Bill Murray",
        "- milk\n- eggs\n- " + "a loaf of bread " * 6,
        "1) Wash it. 2) Peel it. 3) Eat it.",
        "```python\nprint(1)\n```",
        "| a | b |\n|---|---|\n| 1 | 2 |",
        "Yours,\nAnna",
        "他来了。",
        "x = 3",
    ],
)
def test_finished_texts(text: str) -> None:
    assert unfinished(text) is None


@pytest.mark.parametrize(
    "text",
    [
        "The capital of",
        "There are three reasons:",
        "First, he came,",
        "```python\nprint(1)",
        PROSE[:-30],
        "One sentence. " + "And then a second one that goes on " * 4,
    ],
)
def test_unfinished_texts(text: str) -> None:
    assert unfinished(text) is DropReason.UNFINISHED


def test_the_finish_of_a_sample_wins_over_its_looks() -> None:
    assert unfinished("The capital of", FinishReason.EOS) is None
    for finish in set(FinishReason) - {FinishReason.EOS, FinishReason.CLOSED}:
        assert unfinished(PROSE, finish) is DropReason.UNFINISHED
    assert unfinished(PROSE, FinishReason.CLOSED) is None
    assert unfinished("The capital of", FinishReason.CLOSED) is DropReason.UNFINISHED


def test_repetitive() -> None:
    assert repetitive(PROSE) is None
    assert repetitive("I like it. " * 20) is DropReason.REPETITIVE
    assert repetitive("=" * 500) is DropReason.REPETITIVE  # no words at all
    assert repetitive("好" * 500) is DropReason.REPETITIVE  # one word
    assert repetitive("to be or not to be, that is the question") is None
    assert repetitive(PROSE, max_share=0.0, max_compression=1.0) is DropReason.REPETITIVE


def test_compression_of_a_long_text_is_that_of_its_worse_end() -> None:
    varied = " ".join(str(i * 7919 % 104729) for i in range(20000))
    assert compression(varied) < 4
    assert compression(varied + "no " * 20000) > 100


def test_too_long() -> None:
    count = len
    assert too_long("abc", 3, count) is None
    assert too_long("abcd", 3, count) is DropReason.TOO_LONG
