"""Signs of a text that was not written but padded: golden values, brute force, and hostile texts in bounded time."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lengthctl.degeneration import (
    blank_line_fraction,
    distinct_trigrams,
    has_count_claim,
    is_finished,
    longest_repeat,
    markup_fraction,
    repetition,
    text_signs,
)
from lengthctl.length import count_length

GOLDEN = json.loads((Path(__file__).parents[1] / "golden" / "text_signs.json").read_text())
FEW_WORDS = st.lists(st.sampled_from("abc"), max_size=16)


def as_text(ids: list[int]) -> str:
    return " ".join(map(str, ids))


def test_golden_repetition() -> None:
    case = GOLDEN["D3-ngram"]
    assert [repetition(as_text(ids), case["n"]) for ids in case["ids"]] == pytest.approx(case["expected"], abs=1e-9)


def test_golden_longest_repeat() -> None:
    case = GOLDEN["D3-repeat"]
    assert [longest_repeat(as_text(ids)) for ids in case["ids"]] == pytest.approx(case["expected"], abs=1e-9)


@pytest.mark.parametrize("case", GOLDEN["markup"], ids=lambda case: repr(case["text"]))
def test_golden_markup(case: dict[str, Any]) -> None:
    assert markup_fraction(case["text"]) == pytest.approx(case["expected"], abs=1e-9)


@pytest.mark.parametrize("case", GOLDEN["blank_lines"], ids=lambda case: repr(case["text"]))
def test_golden_blank_lines(case: dict[str, Any]) -> None:
    assert blank_line_fraction(case["text"]) == pytest.approx(case["expected"], abs=1e-9)


def test_count_claims() -> None:
    assert [text for text in GOLDEN["count_claims"]["claimed"] if not has_count_claim(text)] == []
    assert [text for text in GOLDEN["count_claims"]["none"] if has_count_claim(text)] == []


@given(FEW_WORDS)
def test_the_longest_repeat_is_that_of_trying_every_stretch(words: list[str]) -> None:
    n = len(words)
    sizes = [
        size for size in range(1, n) if len({tuple(words[i : i + size]) for i in range(n - size + 1)}) < n - size + 1
    ]
    assert longest_repeat(" ".join(words)) == pytest.approx(max(sizes, default=0) / max(n, 1))


def test_of_a_long_text_the_end_is_looked_at() -> None:
    body = " ".join(f"w{i}" for i in range(5000))
    assert longest_repeat(f"{body} {body}") == 0.0  # a repeat 5,000 words away
    assert longest_repeat(f"{body} {'again ' * 1000}") == pytest.approx(999 / 4000)


def distinct(*texts: str) -> float | None:
    return distinct_trigrams([text_signs(text) for text in texts])


def test_texts_that_share_nothing_and_all() -> None:
    assert distinct("a b c d", "e f g h") == 1.0
    assert distinct("a b c", "a b c", "A B C") == pytest.approx(1 / 3)
    assert distinct("a a a a", "") == 0.5
    assert distinct("a b", "") is None
    assert distinct() is None


@given(st.text(max_size=400))
def test_shares_are_bounded_and_the_bundle_agrees_with_its_parts(text: str) -> None:
    signs = text_signs(text)
    for share in (signs.repetition, signs.longest_repeat, signs.markup, signs.blank_lines):
        assert 0 <= share <= 1
    assert signs.words == count_length(text)
    assert signs.repetition == repetition(text)
    assert signs.longest_repeat == longest_repeat(text)
    assert signs.markup == markup_fraction(text)
    assert signs.blank_lines == blank_line_fraction(text)
    assert (signs.has_count_claim, signs.is_finished) == (has_count_claim(text), is_finished(text))


def test_mean_word_length() -> None:
    assert text_signs("one three").mean_word_length == 4.0
    assert text_signs("...").mean_word_length == 0.0


@pytest.mark.parametrize(
    "unit", ["a ", "(1 ", "<a", "<", "*", "- ", "a " * 50 + "b ", "count: ", "(", "=-", "\n", "1", "count**:", "|-"]
)
def test_a_hostile_text_takes_time_by_its_length(unit: str) -> None:
    """A pattern that tries every pair of places would take minutes."""
    started = time.perf_counter()
    text_signs(unit * (200_000 // len(unit)))
    assert time.perf_counter() - started < 5
