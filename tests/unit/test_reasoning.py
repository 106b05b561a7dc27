"""Reasoning formats: golden cases, hostile texts, tokens that agree with texts."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lengthctl.reasoning import (
    ANSWER_WINDOW,
    ThinkTags,
    count_reasoning_tokens,
    opens_reasoning,
    parse_reasoning,
    without_reasoning,
)

GOLDEN = json.loads((Path(__file__).parents[1] / "golden" / "reasoning.json").read_text())
PIECES = ["<think>", "</think>", "a", " b\n", "\\boxed{4}", "#### 5", "The answer is 6", "{", "}", "\\", "$", "*"]


@pytest.mark.parametrize("case", GOLDEN["parsing"], ids=lambda case: case["text"][:40] or "empty")
def test_golden_division(case: dict[str, Any]) -> None:
    parsed = parse_reasoning(case["text"], starts_open=case.get("starts_open", False))
    assert (parsed.reasoning, parsed.answer, parsed.is_closed) == (case["reasoning"], case["answer"], case["closed"])
    assert (parsed.final, parsed.format) == (case["final"], case["format"])


@pytest.mark.parametrize(("text", "final"), GOLDEN["finals"])
def test_golden_final_answers(text: str, final: str | None) -> None:
    assert parse_reasoning(text).final == final
    assert parse_reasoning(f"<think>\\boxed{{0}}</think>{text}").final == final


@pytest.mark.parametrize("case", GOLDEN["tokens"], ids=lambda case: str(case["ids"]))
def test_golden_token_counts(case: dict[str, Any]) -> None:
    counts = count_reasoning_tokens(case["ids"], case["end"], case["start"], starts_open=case.get("starts_open", False))
    assert [counts.reasoning, counts.answer, counts.total, counts.is_closed] == case["expected"]


@pytest.mark.parametrize(
    ("prompt", "expected"),
    [("user: hi\nassistant: <think>\n", True), ("<think>\n\n</think>\n\n", False), ("hi", False), ("", False)],
)
def test_a_prompt_may_open_reasoning(prompt: str, expected: bool) -> None:
    assert opens_reasoning(prompt) is expected


def test_other_tags() -> None:
    tags = ThinkTags("<|im_start|>think", "<|im_start|>answer")
    parsed = parse_reasoning("<|im_start|>think a <|im_start|>answer Answer: 3", tags=tags)
    assert (parsed.reasoning, parsed.final) == (" a ", "3")
    with pytest.raises(ValueError, match="two different"):
        ThinkTags("<t>", "<t>")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("Plain words.", "Plain words."),
        ("<think>hm</think>Plain words.", "Plain words."),
        ("hm</think>Plain words.", "Plain words."),
        ("\n<think>hm, plain words.", ""),
        ("A model writes <think> first.", "A model writes <think> first."),
        ("", ""),
    ],
)
def test_what_is_said_to_the_reader(text: str, said: str) -> None:
    assert without_reasoning(text) == said


def test_the_final_answer_stands_near_the_end() -> None:
    assert parse_reasoning("\\boxed{4}" + "x" * (ANSWER_WINDOW - 9)).final == "4"
    assert parse_reasoning("\\boxed{4}" + "x" * ANSWER_WINDOW).final is None


def test_an_empty_marker_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one"):
        count_reasoning_tokens([1, 2], [])


@given(st.lists(st.sampled_from(PIECES), max_size=30), st.booleans())
def test_open_reasoning_holds_no_answer(pieces: list[str], starts_open: bool) -> None:
    text = "".join(pieces)
    parsed = parse_reasoning(text, starts_open=starts_open)
    assert parsed.is_closed or parsed.final is None
    assert parse_reasoning(text + "<think>\\boxed{9}", starts_open=starts_open).final is None
    assert parse_reasoning(text + "</think>\\boxed{9}", starts_open=starts_open).final == "9"
    assert (parsed.final is None) == (parsed.format is None)


@given(st.lists(st.integers(0, 4), max_size=40), st.booleans())
def test_tokens_and_text_are_divided_alike(ids: list[int], starts_open: bool) -> None:
    texts = {0: "<think>", 1: "</think>", 2: "a", 3: "b", 4: "c"}
    counts = count_reasoning_tokens(ids, 1, 0, starts_open=starts_open)
    parsed = parse_reasoning("".join(texts[i] for i in ids), starts_open=starts_open)

    def length(text: str) -> int:
        return len(text.replace("<think>", "T").replace("\n", ""))

    assert (counts.reasoning, counts.answer) == (length(parsed.reasoning), length(parsed.answer))
    assert counts.is_closed is parsed.is_closed
    assert counts.reasoning + counts.answer <= counts.total == len(ids)


@given(st.text())
def test_any_text_is_read(text: str) -> None:
    parsed = parse_reasoning(text)
    assert parsed.final is None or parsed.final in text


@pytest.mark.parametrize(
    "piece",
    [
        "\\boxed{",
        "{",
        "}",
        "\\",
        "<think>",
        "</think>",
        "#### ",
        "answer is ",
        "answer*** ",
        " ",
        "$",
        "\x00",
        "\\boxed ",
    ],
)
def test_a_megabyte_takes_linear_time(piece: str) -> None:
    text = piece * (2**20 // len(piece))
    start = time.process_time()
    parse_reasoning(text + "</think>" + text)
    assert time.process_time() - start < 2  # far above what is needed, far below what a quadratic reader takes
