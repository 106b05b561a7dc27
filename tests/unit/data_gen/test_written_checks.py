"""The check of a written text: every case of the golden table, in both languages, and nothing hostile slows it."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lengthctl.data_gen.written_checks import Flaw, WrittenRules, check_response, ends_whole

GOLDEN = json.loads((Path(__file__).parents[2] / "golden" / "self_lengthen.json").read_text())
PASSING = WrittenRules(end_mark=False, max_rep=1.0)


@pytest.mark.parametrize(("text", "flaw"), GOLDEN["check"], ids=lambda value: repr(value)[:30])
def test_golden_cases(text: str, flaw: str | None) -> None:
    assert check_response(text) == flaw


def test_the_share_that_may_repeat_is_a_limit() -> None:
    case = GOLDEN["repeated_share"]
    assert check_response(case["text"], WrittenRules(max_rep=case["above"])) is None
    assert check_response(case["text"], WrittenRules(max_rep=case["below"])) is Flaw.REPEAT


@pytest.mark.parametrize(
    ("text", "flaw"),
    [
        ("Here is the extended version of your text.\nBees sleep.", Flaw.META),
        ("Bees sleep.\n\nThis has been REVISED for clarity.", Flaw.META),
        ("\u4fee\u6539\u540e\u7684\u6587\u7ae0\uff1a\n\u8702\u7761\u4e86\u3002", Flaw.META),
        ("Bees sleep.\nThe revised law came.\nThey wake.", None),
        ("The constitution was revised in 1848 by a council of twelve that met for six weeks in a small town.", None),
        ("Previsions are revisionist.", None),
    ],
)
def test_talk_about_a_revision_counts_in_a_short_first_or_last_line_alone(text: str, flaw: Flaw | None) -> None:
    assert check_response(text) is flaw


@pytest.mark.parametrize(
    "text", ["Yes!", "So?", "It ends\u2026", "(a note)", "`code`.", "\u300c\u597d\u300d", "Done.*** \n", "A [1]"]
)
def test_what_ends_a_text(text: str) -> None:
    assert ends_whole(text)


@pytest.mark.parametrize("text", ["", "   ", "***", "one two", "so:", "so;", "so -", "so \u2013", "\u7136\u540e\uff0c"])
def test_what_does_not(text: str) -> None:
    assert not ends_whole(text)


def test_a_model_that_seldom_ends_may_be_let_off() -> None:
    assert check_response("and then", WrittenRules(end_mark=False)) is None
    assert check_response(" \n*** ", PASSING) is Flaw.EMPTY


@given(st.text(max_size=300), st.sampled_from([WrittenRules(), PASSING]))
def test_never_raises_and_looser_rules_find_no_more(text: str, rules: WrittenRules) -> None:
    flaw = check_response(text, rules)
    assert flaw is None or flaw in Flaw
    if flaw is None:
        assert check_response(text, PASSING) is None


@given(st.lists(st.integers(0, 10**9), min_size=10, max_size=60, unique=True))
def test_a_stretch_of_ten_words_told_twice_is_seen_wherever_it_stands(numbers: list[int]) -> None:
    words = [f"w{number}" for number in numbers]
    once = " ".join(words) + " end."
    assert check_response(once) is None
    assert check_response(" ".join(words[:10]) + " , " + once) is Flaw.REPEAT


@pytest.mark.parametrize(
    "text", ["revised " * 50_000, "a " * 100_000, "\n" * 200_000 + "x", "\u597d" * 100_000, "*" * 200_000]
)
def test_hostile_texts_take_no_time(text: str) -> None:
    started = time.monotonic()
    check_response(text)
    assert time.monotonic() - started < 2


def test_rules_out_of_range_are_refused() -> None:
    with pytest.raises(ValueError, match="max_rep"):
        WrittenRules(max_rep=1.5)
