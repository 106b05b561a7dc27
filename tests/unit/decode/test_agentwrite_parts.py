"""What is taken out of a part, when a part is no good, and what of a long text is shown."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lengthctl.decode.agentwrite_context import GAP_MARK, estimated_tokens, shown_text, step_limit, words_of
from lengthctl.decode.agentwrite_outline import further_points, outline_points
from lengthctl.decode.agentwrite_parts import Written, clean_part, cut_at_sentence, without_repeats
from lengthctl.decode.agentwrite_prompts import Wording
from lengthctl.decode.flow import Setback
from lengthctl.length import Unit
from lengthctl.plan_grammar import parse_plan
from lengthctl.plans import PlanStep

TEXT = "The port was small. Ships came twice a year."


@pytest.mark.parametrize(
    "raw",
    [
        TEXT,
        f"Paragraph 2: {TEXT}",
        f"**Paragraph 2**\n\n{TEXT}",
        f"### Section 2 -\n{TEXT}",
        f"Paragraph 2 - Main Point: The port - Word Count: 300 words\n\n{TEXT}",
        f"Paragraph 2 of 9\nThe port\n{TEXT}",
        f"[Paragraph 2] {TEXT}",
        f"Main Point: The port\n{TEXT}",
        f"{TEXT}\n\n(9 words)",
        f"{TEXT}\n**Word Count: 300 words**\n",
        f"{TEXT}\n\nParagraph 3 - Main Point: The end - Word Count: 100 words\nAnd it ended.",
        f"<think>Paragraph 2: let me see.</think>\n{TEXT}",
        f"第二段：{TEXT}",
        f"段落2 - 主要内容：海港 - 字数：300字\n{TEXT}",
        f"\r\n\r\nParagraph 2 — {TEXT}\r\n",
    ],
)
def test_what_is_of_the_plan_is_taken_out(raw: str) -> None:
    assert clean_part(raw, "The port") == TEXT


@pytest.mark.parametrize(
    "text",
    [
        "The Harbour\n\nThe port was small.",
        "## The old town\nIt was small.",
        "Section 3 of the act says so.",
        "The main point: never give up. He said so.",
        "Chapter 2: The Storm\n\nIt rained.",
        "The port",
        "He wrote a text of 300 words. It had a word count: 300 words.",
        "1. Sail\n2. Row",
    ],
)
def test_what_is_of_the_text_stays(text: str) -> None:
    assert clean_part(text, "The port") == text


def test_an_echo_of_the_text_before_is_taken_out() -> None:
    before = f"It began here. {TEXT} Nobody wrote any of it down."
    assert clean_part("Nobody wrote any of it down. Then came the war.", "x", before) == "Then came the war."
    again = "Ships came twice a year. Nobody wrote any of it down.\n\nThen came the war."
    assert clean_part(again, "x", before) == "Then came the war."
    assert clean_part("Yes. Then came the war.", "x", "He said yes. Yes.") == "Yes. Then came the war."
    assert clean_part("Nobody wrote any of it down.", "x", before) == ""


def test_faults_of_a_part() -> None:
    written = Written()
    words = [f"word{n}" for n in range(100)]
    written.add(" ".join(words) + ".")
    assert written.fault(" ".join(words).upper() + "!") is Setback.REPETITIVE
    other = [f"other{n}" for n in range(100)]
    assert written.fault(" ".join([*other[:60], *words[:40]])) is Setback.REPETITIVE
    assert written.fault(" ".join([*other[:75], *words[:25]])) is None
    assert written.fault(" ".join(other[:20] * 5)) is Setback.REPETITIVE
    assert written.fault("*** ---") is Setback.EMPTY
    assert written.fault("I'm sorry, but I can't write that.") is Setback.REFUSED
    assert written.fault("no end here", is_cut=True) is Setback.UNFINISHED
    assert written.fault("no end here") is None
    assert written.fault("江水东流入海" * 20) is Setback.REPETITIVE


def test_repeated_sentences_go_and_paragraphs_stay_apart() -> None:
    written = Written()
    written.add(TEXT)
    part = "A new sentence stands at the start. Ships came twice a year.\n\nShips came twice a year. Then it ended."
    assert without_repeats(part, written) == "A new sentence stands at the start.\n\nThen it ended."
    assert without_repeats("Yes. Yes. No. Yes.", written) == "Yes. Yes. No. Yes."
    assert without_repeats(f"{TEXT} It fell.", written) == "It fell."


def test_a_cut_text_ends_at_the_nearest_sentence() -> None:
    text = "One two. Three four. Five six seven"
    ends = [(8, 2), (20, 4)]
    assert cut_at_sentence(text, ends, 3) == "One two."
    assert cut_at_sentence(text, ends, 9) == "One two. Three four."
    assert cut_at_sentence(text, [], 9) == text


@given(st.text(max_size=200), st.text(max_size=40), st.text(max_size=200))
def test_any_part_can_be_cleaned(text: str, point: str, before: str) -> None:
    cleaned = clean_part(text, point, before)
    assert len(cleaned) <= len(text)
    written = Written()
    written.add(before)
    assert len(without_repeats(cleaned, written)) <= len(cleaned) + 2
    written.fault(cleaned, is_cut=True)


@pytest.mark.parametrize(
    "unit", ["Paragraph 1:\n", "\n", "Main Point: x\n", "a. ", "(", "word ", "# " * 9, "第一段：\n"]
)
def test_a_megabyte_is_cleaned_in_no_time(unit: str) -> None:
    text = unit * (400_000 // len(unit))
    start = time.perf_counter()
    Written().fault(clean_part(text, "x", text))
    assert time.perf_counter() - start < 3


@given(st.integers(0, 60), st.integers(0, 400))
def test_what_is_shown_fits(sentences: int, budget: int) -> None:
    text = " ".join(f"Sentence number {n} is about something else." for n in range(sentences))
    shown = shown_text(text, budget)
    if estimated_tokens(text) <= budget:
        assert shown == text
        return
    kept = shown.replace(GAP_MARK, "")
    assert estimated_tokens(kept) <= budget + 2
    head, _, tail = shown.partition(GAP_MARK)
    assert text.startswith(head.strip())
    assert text.endswith(tail.strip())
    if budget >= 2 * 8:
        assert tail.endswith("something else.")


def test_of_a_long_text_the_first_tenth_and_the_end_are_shown() -> None:
    text = " ".join(f"Sentence number {n} is about something else." for n in range(100))
    shown = shown_text(text, 500, lambda part: len(part.split()))
    head, _, tail = shown.partition(GAP_MARK)
    assert 40 <= len(head.split()) <= 50
    assert 440 <= len(tail.split()) <= 460
    assert shown_text("word " * 100, 10, lambda part: len(part.split())).split() == [GAP_MARK, *["word"] * 10]


def test_limits_follow_the_script() -> None:
    assert step_limit(500, Unit.WORDS, "Write of it.") == 1000
    assert step_limit(500, Unit.WORDS_MIXED, "请写一篇文章") == 800
    assert step_limit(500, Unit.WORDS, "Напиши о реке") == 2000
    assert step_limit(500, Unit.TOKENS, "Write of it.") == 750
    assert step_limit(10, Unit.WORDS, "Write of it.") == 256
    assert words_of(560, Unit.CHARACTERS, "Write of it.") == pytest.approx(100)
    assert words_of(560, Unit.CHARACTERS, "请写一篇文章") == 560


@pytest.mark.parametrize("request_text", ["Write of it.", "请写一篇文章", "Напиши о реке"])
@pytest.mark.parametrize("unit", [Unit.WORDS, Unit.CHARACTERS, Unit.SENTENCES, Unit.TOKENS])
def test_a_plan_as_we_write_it_is_read_back(request_text: str, unit: Unit) -> None:
    wording = Wording(request_text, unit)
    steps = (PlanStep("The 1914-1918 war: how it began (300 words)", 250), PlanStep("起源", 1200), PlanStep("One", 1))
    assert parse_plan(wording.lines(steps)).steps == steps
    assert parse_plan(wording.opening + " X - 20 words").steps == (PlanStep("X", 20),)


@given(st.integers(1, 50), st.sampled_from(["Write of it. And more.", "请写一篇关于长江的文章", "", "x " * 500]))
def test_outlines_have_no_point_twice(parts: int, request_text: str) -> None:
    points = outline_points(request_text, parts)
    assert len(points) == len(set(points)) == parts
    assert all(len(point) < 250 for point in points)
    further = further_points(request_text, points, 12)
    assert len({*further, *points}) == parts + 12
