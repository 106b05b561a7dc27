"""Prompts and rows of AgentWrite data: where a length comes from, how it is worded, which texts become rows."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from lengthctl.data_gen.agentwrite import AgentWriteSettings, LongPrompt, long_prompt, row_of
from lengthctl.data_gen.filters import DropReason
from lengthctl.data_gen.stated_length import find_stated_length
from lengthctl.decode.agentwrite import LongText, Part
from lengthctl.decode.agentwrite_options import SMALL_MODEL
from lengthctl.decode.agentwrite_plan import MadePlan
from lengthctl.decode.flow import Setback
from lengthctl.length import Relation, Target, Unit
from lengthctl.plans import Plan, PlanStep
from lengthctl.records import FinishReason

SETTINGS = AgentWriteSettings()
FIRST, SECOND = "The river is long and slow.", "It ends in the sea at last."


def asking(text: str, **options: Any) -> LongPrompt:
    return long_prompt(({"role": "user", "content": text},), "src", **options)


def text(body: str = f"{FIRST}\n\n{SECOND}", finish: FinishReason = FinishReason.EOS) -> LongText:
    parts = (
        Part("start", 6, FIRST, 6, 1),
        Part("gone", 6, "", 0, 2, Setback.EMPTY),
        Part("end", 6, SECOND, 7, 2, Setback.REPETITIVE),
    )
    plan = Plan(tuple(PlanStep(part.point, part.asked) for part in parts))
    return LongText(body, finish, Unit.WORDS, parts, MadePlan(plan, "model", 2))


def test_the_length_that_a_request_states_is_its_target() -> None:
    prompt = asking("Write 5,000 words on Rome.")
    assert prompt.target is not None
    assert prompt.target.value == 5000
    assert prompt.states_length
    assert prompt.asked(SETTINGS).messages == prompt.messages
    assert asking("Write on Rome.").target is None
    assert asking("写一篇两千字的文章").target == Target(2000, unit=Unit.WORDS_MIXED)


def test_a_given_length_is_worded_into_the_request() -> None:
    prompt = asking("Write on Rome.", target=Target(5000))
    asked = prompt.asked(SETTINGS)
    found = find_stated_length(asked.messages[-1]["content"])
    assert isinstance(found, Target)
    assert found.value == 5000
    assert "xactly" not in asked.messages[-1]["content"]
    assert asked.request == prompt.messages
    assert asked == replace(prompt, source="other", id="other").asked(SETTINGS)
    worded = {asking(f"Write on {n}.", target=Target(500)).asked(SETTINGS).messages[-1]["content"] for n in range(30)}
    assert len({text.replace("500", "").split("Write on")[0] for text in worded}) > 1
    own = asking("Write 300 words on Rome.", target=Target(300))
    assert own.asked(SETTINGS).messages == own.messages


def test_chinese_lengths_count_ideographs() -> None:
    prompt = asking("写一篇关于罗马的文章", target=Target(2000))
    assert prompt.target == Target(2000, unit=Unit.WORDS_MIXED)
    found = find_stated_length(prompt.asked(SETTINGS).messages[-1]["content"])
    assert isinstance(found, Target)
    assert (found.value, found.unit) == (2000, Unit.WORDS_MIXED)


def test_short_prompts_are_not_shown_the_length_of_the_whole() -> None:
    prompt = asking("Write on Rome in about 500 words.")
    small = prompt.asked(AgentWriteSettings(SMALL_MODEL))
    assert "500" in small.messages[-1]["content"]
    assert small.request[-1]["content"] == "Write on Rome."
    assert prompt.asked(SETTINGS).request == prompt.messages


@pytest.mark.parametrize("body", ["", " \n", "...", "a\0b"])
def test_what_is_no_request_is_marked(body: str) -> None:
    assert asking(body).unusable is DropReason.NO_PROMPT


def test_a_row_tells_its_plan_and_where_its_parts_stand() -> None:
    row = row_of(asking("Write on rivers.", target=Target(13), id="r1"), text(), SETTINGS)
    assert isinstance(row, dict)
    assert row["prompt"][0]["role"] == "user"
    assert "13" in row["prompt"][0]["content"]
    body = row["completion"][0]["content"]
    assert [body[part["start"] : part["end"]] for part in row["parts"]] == [FIRST, SECOND]
    assert [part["fault"] for part in row["parts"]] == [None, "repetitive"]
    assert row["plan"] == [{"point": p, "length": 6} for p in ("start", "gone", "end")]
    assert (row["words"], row["length"], row["unit"], row["left_out"]) == (13, 13, "words", 1)
    assert row["s_l"] == 1.0
    assert Target.parse(row["target"]) == Target(13)
    assert row["id"] == "r1"
    assert (row["plan_origin"], row["plan_attempts"], row["language"]) == ("model", 2, "en")


def test_a_text_of_one_call_has_no_plan() -> None:
    row = row_of(asking("Write on rivers."), LongText(FIRST, FinishReason.EOS, Unit.WORDS_MIXED), SETTINGS)
    assert isinstance(row, dict)
    assert [row[key] for key in ("plan", "plan_origin", "parts", "target", "s_l")] == [None] * 5


@pytest.mark.parametrize(
    ("made", "reason"),
    [
        (text(""), DropReason.EMPTY),
        (text("***"), DropReason.EMPTY),
        (text("I'm sorry, but I can't help with that."), DropReason.REFUSED),
        (text(finish=FinishReason.LIMIT), DropReason.UNFINISHED),
        (text("The river is long. " * 40), DropReason.REPETITIVE),
    ],
)
def test_texts_that_become_no_row(made: LongText, reason: DropReason) -> None:
    assert row_of(asking("Write on rivers.", target=Target(13)), made, SETTINGS) is reason


def test_a_text_far_from_its_length_is_left_out_where_that_is_wanted() -> None:
    prompt = asking("Write on rivers.", target=Target(100, Relation.AT_LEAST))
    assert isinstance(row_of(prompt, text(), SETTINGS), dict)
    assert row_of(prompt, text(), AgentWriteSettings(least_s_l=0.8)) is DropReason.LENGTH_MISSED
    with pytest.raises(ValueError, match="least_s_l"):
        AgentWriteSettings(least_s_l=80)
