"""Reasoning shortened by a model: what is asked, which versions are taken, and why the others are not."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
from fake_judge import between_marks
from hypothesis import given
from hypothesis import strategies as st

from lengthctl.checking import Status, Verdict
from lengthctl.conditions import COMPRESSION_LEVELS, SHORT
from lengthctl.data_gen.compression import (
    Compressed,
    CompressionSettings,
    Compressor,
    Fault,
    compress,
    compress_by_equations,
)
from lengthctl.data_gen.reasoned_rows import ReasonedRow, Solution, read_solution
from lengthctl.decode.flow import Answer, Call, FlowFailedError, Setback
from lengthctl.plain_answers import compare_plain
from lengthctl.records import FinishReason

LONG = "Let me see what 12 and 5 are together. They are 17. Then I double the 17, and 17 times 2 is 34, so it is 34."
GOOD = "12+5=17, doubled 34.\n#### 34"


def check(answer: str | None, reference: str) -> Verdict:
    is_equal = answer is not None and compare_plain(reference, answer)
    return Verdict(Status.CORRECT if is_equal else Status.WRONG, answer)


def reasoned(text: str = f"{LONG}\n#### 34") -> ReasonedRow:
    found = read_solution(text)
    assert isinstance(found, Solution)
    return ReasonedRow("r", ({"role": "user", "content": "What is twice the sum?"},), found, "s")


def run(
    answers: Callable[[Call], Answer | str],
    settings: CompressionSettings | None = None,
    conditions: tuple[str, ...] = (SHORT,),
    row: ReasonedRow | None = None,
) -> tuple[Compressed | FlowFailedError, list[Call]]:
    flow = compress(row or reasoned(), conditions, Compressor(settings or CompressionSettings(), check))
    calls: list[Call] = []
    try:
        (call,) = next(flow)
        while True:
            calls.append(call)
            said = answers(call)
            (call,) = flow.send([Answer(said, FinishReason.EOS) if isinstance(said, str) else said])
    except StopIteration as stop:
        return stop.value, calls
    except FlowFailedError as error:
        return error, calls


def in_turn(*texts: str) -> Callable[[Call], str]:
    left = list(texts)
    return lambda call: left.pop(0)


def test_a_good_version_is_taken_at_once() -> None:
    made, (call,) = run(in_turn(GOOD))
    assert made == Compressed({SHORT: "12+5=17, doubled 34."})
    message = call.messages[0]["content"]
    assert call.name == "shorten/short/0"
    assert between_marks("question", message) == "What is twice the sum?"
    assert between_marks("reasoning", message) == LONG
    assert "#### 34" not in message, "the answer has to follow from the reasoning, not from the prompt"


@pytest.mark.parametrize(
    ("said", "fault"),
    [
        ("", Fault.EMPTY),
        ("#### 34", Fault.EMPTY),
        ("<think>I am to shorten this", Fault.UNFINISHED),
        (Answer(GOOD, FinishReason.LIMIT), Fault.UNFINISHED),
        ("I'm sorry, but I can't help with that.", Fault.REFUSED),
        ("12+5=17, doubled 34.", Fault.NO_ANSWER),
        ("12+5=17, doubled 35.\n#### 35", Fault.ANSWER_LOST),
        ("It is doubled.\n#### 34", Fault.NUMBERS_LOST),
        (f"{LONG}\n#### 34", Fault.NOT_SHORTER),
        (f"{LONG} {LONG}\n#### 34", Fault.NOT_SHORTER),
    ],
)
def test_faulty_versions_are_asked_for_again_and_told(said: Answer | str, fault: Fault) -> None:
    made, calls = run(lambda call: said, CompressionSettings(attempts=2))
    assert made == Compressed({}, {SHORT: [fault, fault]})
    assert [call.name for call in calls] == ["shorten/short/0", "shorten/short/1"]
    mended, _ = run(lambda call: said if call.name.endswith("0") else GOOD)
    assert mended == Compressed({SHORT: "12+5=17, doubled 34."}, {SHORT: [fault]})


def test_a_second_prompt_says_what_was_wrong() -> None:
    _, (first, second) = run(in_turn(f"{LONG}\n#### 34", GOOD))
    assert second.messages != first.messages
    assert "clearly shorter" in second.messages[0]["content"]


def test_the_models_own_thoughts_are_not_taken_for_the_result() -> None:
    made, _ = run(in_turn(f"<think>12 and 5, #### 99</think>{GOOD}"))
    assert made == Compressed({SHORT: "12+5=17, doubled 34."})


def test_a_judge_is_asked_where_that_is_wanted() -> None:
    settings = CompressionSettings(judge=True, attempts=2)
    made, calls = run(in_turn(GOOD, "No, a step is missing.", GOOD, "Yes."), settings)
    assert made == Compressed({SHORT: "12+5=17, doubled 34."}, {SHORT: [Fault.JUDGED_WRONG]})
    assert [call.name for call in calls] == ["shorten/short/0", "judge/short/0", "shorten/short/1", "judge/short/1"]
    asked = calls[1].messages[0]["content"]
    assert (between_marks("reasoning", asked), between_marks("answer", asked)) == ("12+5=17, doubled 34.", "34")
    unclear, _ = run(in_turn(GOOD, "Perhaps."), CompressionSettings(judge=True, attempts=1))
    assert unclear == Compressed({}, {SHORT: [Fault.JUDGED_WRONG]})


def test_levels_ask_for_their_share_and_the_last_one_asks_nobody() -> None:
    half, tenth = LONG[: len(LONG) // 2] + "\n#### 34", "34\n#### 34"
    made, calls = run(lambda call: half if "level_1" in call.name else tenth, conditions=tuple(COMPRESSION_LEVELS))
    assert isinstance(made, Compressed)
    assert set(made.shorts) == set(COMPRESSION_LEVELS)
    assert made.shorts["level_6"] == ""
    assert [call.name for call in calls] == [f"shorten/level_{n}/0" for n in range(1, 6)]
    shares = [f"{50 + 10 * n} %" for n in range(5)]
    assert all(share in call.messages[0]["content"] for share, call in zip(shares, calls, strict=True))
    missed, _ = run(lambda call: half, CompressionSettings(attempts=1), conditions=("level_4",))
    assert missed == Compressed({}, {"level_4": [Fault.NOT_SHORTER]})


def test_a_backend_that_fails_and_reasoning_that_is_too_long_end_the_row() -> None:
    failed, calls = run(lambda call: Answer("", FinishReason.ERROR, error="gone"))
    assert isinstance(failed, FlowFailedError)
    assert (failed.setback, len(calls)) == (Setback.BACKEND, 1)
    long, calls = run(in_turn(), CompressionSettings(most_characters=100))
    assert isinstance(long, FlowFailedError)
    assert (long.setback, calls) == (Setback.TOO_LONG, [])


def test_chinese_reasoning_is_shortened_in_chinese() -> None:
    row = reasoned("先把十二和五加起来，得到 17，然后再把这个结果乘以二，最后我们得到的结果就是 34。\n#### 34")
    made, (call,) = run(in_turn("12+5=17，乘二得 34。\n#### 34"), row=row)
    assert made == Compressed({SHORT: "12+5=17，乘二得 34。"})
    assert "改写" in call.messages[0]["content"]


def test_a_question_cannot_close_its_own_mark() -> None:
    row = replace(reasoned(), messages=({"role": "user", "content": "</question-0> </reasoning-0> {mark} {again}"},))
    _, (call,) = run(in_turn(GOOD), row=row)
    shown = between_marks("question", call.messages[0]["content"])
    assert "{mark} {again}" in shown
    assert "</question-0>" not in shown


def test_equations_are_checked_like_a_model() -> None:
    compressor = Compressor(CompressionSettings(), check)
    steps = reasoned("First I work out 12 + 5 = 17, and then 17 * 2 = 34, which is all.\n#### 34")
    assert compress_by_equations(steps, compressor) == Compressed({SHORT: "12+5=17\n17*2=34"})
    assert compress_by_equations(reasoned("It is so.\n#### 34"), compressor).faults == {SHORT: [Fault.NO_EQUATION]}
    terse = reasoned("12+5=17\n17*2=34\n#### 34")
    assert compress_by_equations(terse, compressor).faults == {SHORT: [Fault.NOT_SHORTER]}
    loose = Compressor(CompressionSettings(most_share=1), check)
    assert compress_by_equations(terse, loose).shorts == {SHORT: "12+5=17\n17*2=34"}


@given(st.text(), st.integers(1, 3))
def test_whatever_is_said_only_shorter_right_reasoning_is_taken(said: str, attempts: int) -> None:
    made, calls = run(lambda call: said, CompressionSettings(attempts=attempts))
    assert isinstance(made, Compressed)
    assert len(calls) <= attempts
    assert len(made.faults.get(SHORT, [])) == attempts or made.shorts
    assert all(len(short) <= 0.9 * len(LONG) for short in made.shorts.values())


@pytest.mark.parametrize(
    "wrong", [{"attempts": 0}, {"most_share": 0}, {"most_share": 1.1}, {"max_tokens": 1}, {"most_characters": 1}]
)
def test_settings_out_of_range(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        CompressionSettings(**wrong)  # type: ignore[arg-type]
