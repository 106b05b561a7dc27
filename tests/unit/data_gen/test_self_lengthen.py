"""First responses and extensions as flows: growth, flaws, calls, contexts that are too short."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Any, TypeVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lengthctl.data_gen.self_lengthen import Extension, extension, first_response, grew, settle, words_of
from lengthctl.data_gen.self_lengthen_prompts import extend_messages
from lengthctl.data_gen.self_lengthen_settings import SMALL, SelfLengthenSettings
from lengthctl.data_gen.written_checks import Flaw, WrittenRules
from lengthctl.decode.flow import Answer, Call, Flow, FlowFailedError, Setback
from lengthctl.records import FinishReason

GOLDEN = json.loads((Path(__file__).parents[2] / "golden" / "self_lengthen.json").read_text())
SETTINGS = SelfLengthenSettings()
LENIENT = replace(SETTINGS, check=WrittenRules(end_mark=False, max_rep=1.0))
DRAFT = "Brief draft:\n"
Reply = str | Answer | FlowFailedError
R = TypeVar("R")


def run(flow: Flow[R], reply: Callable[[Call], Reply]) -> tuple[R, list[Call]]:
    """The result, and all calls in order."""
    calls: list[Call] = []
    try:
        asked: Sequence[Call] = next(flow)
        while True:
            calls += asked
            replies = [reply(call) for call in asked]
            failed = next((r for r in replies if isinstance(r, FlowFailedError)), None)
            if failed is not None:
                asked = flow.throw(failed)
                continue
            asked = flow.send([r if isinstance(r, Answer) else Answer(str(r), FinishReason.EOS) for r in replies])
    except StopIteration as stop:
        return stop.value, calls


def draft_of(call: Call) -> str:
    return call.messages[-1]["content"].partition(DRAFT)[2]


def doubled() -> Callable[[Call], str]:
    """Doubles each paragraph of the draft with words of its own, behind what was given."""
    numbers = count()

    def reply(call: Call) -> str:
        parts = draft_of(call).split("\n\n")
        given_parts = call.prefill.count("\n\n")
        longer = [" ".join([part, *(f"n{next(numbers)}" for _ in part.split())]) for part in parts]
        return "\n\n".join(longer[given_parts:])

    return reply


@pytest.mark.parametrize(("old", "new", "is_growth"), GOLDEN["growth_1.2"])
def test_golden_growth(old: int, new: int, is_growth: bool) -> None:
    assert grew(old, new) is is_growth


@given(st.integers(0, 10**6), st.integers(0, 10**6))
def test_growth_is_the_exact_comparison(old: int, new: int) -> None:
    assert grew(old, new, 1.2) == (5 * new > 6 * old)
    assert grew(old, new, 1.1) == (10 * new > 11 * old)


def test_golden_doubling() -> None:
    golden = GOLDEN["doubling"]
    start = "\n\n".join(" ".join(["w"] * golden["words_a_paragraph"]) for _ in range(golden["paragraphs"]))
    made, calls = run(extension("Tell of bees.", start, LENIENT), doubled())
    assert list(made.words) == golden["words"]
    assert made.calls == len(calls) == 6
    assert made.text.count("\n\n") == golden["paragraphs"] - 1


def test_the_half_is_extended_first_and_begins_the_whole() -> None:
    start = "A one.\n\nB two.\n\nC three.\n\nD four."
    replies = iter(["A one more.\n\nB two more.\n\nB still more.", "C three more.\n\nD four more.\n"])
    settings = replace(SETTINGS, extension_rounds=1, growth=1.0)
    made, (half, whole) = run(extension("Tell of letters.", start, settings), lambda call: next(replies))
    assert (half.name, whole.name) == ("extend/0/0/half", "extend/0/0/whole")
    assert half.messages == extend_messages("Tell of letters.", "A one.\n\nB two.")
    assert whole.messages == extend_messages("Tell of letters.", start)
    assert (half.prefill, whole.prefill) == ("", "A one more.\n\nB two more.\n\n")
    assert made.text == "A one more.\n\nB two more.\n\nC three more.\n\nD four more."


def test_one_sentence_is_asked_for_whole() -> None:
    settings = replace(SETTINGS, extension_rounds=1)
    made, calls = run(extension("Tell.", "A bee flew.", settings), lambda call: "A bee flew far. It sang of hives.")
    assert [call.name for call in calls] == ["extend/0/0/whole"]
    assert calls[0].prefill == ""
    assert made == Extension("A bee flew far. It sang of hives.", (3, 8), 1)


def test_a_text_that_never_grows_ends_with_the_calls_that_are_allowed() -> None:
    with pytest.raises(FlowFailedError) as caught:
        run(extension("Tell.", "One. Two. Three.\n\nFour.\n\nFive.", SETTINGS), lambda call: "Short.")
    assert caught.value.setback is Setback.NO_GROWTH


@given(
    st.lists(
        st.sampled_from(["", "Short.", "and then", "a b c d e f g h i j " * 3 + ".", "Revised text:\nA."]), min_size=1
    ),
    st.integers(2, 15),
    st.sampled_from(
        ["One.", "One. Two.", "One.\n\nTwo.\n\nThree.", "\u4e00\u6765\u4e86\u3002\u4e8c\u8d70\u4e86\u3002"]
    ),
)
def test_calls_never_exceed_their_cap(replies: list[str], cap: int, start: str) -> None:
    calls: list[Call] = []

    def reply(call: Call) -> str:
        calls.append(call)
        return replies[len(calls) % len(replies)]

    try:
        made, _ = run(extension("Tell.", start, replace(SETTINGS, extension_calls=cap)), reply)
        assert grew(made.words[0], made.words[-1])
        assert made.calls == len(calls)
    except FlowFailedError:
        pass
    assert len(calls) <= cap
    names = [call.name for call in calls]
    assert len(set(names)) == len(names)


@pytest.mark.parametrize(
    ("reply", "setback"),
    [
        ("", Setback.EMPTY),
        ("one two three four and then,", Setback.UNFINISHED),
        ("a b c d e f g h i j a b c d e f g h i j end.", Setback.REPETITIVE),
        (Answer("Cut off here. And", FinishReason.LIMIT), Setback.UNFINISHED),
        (Answer("", FinishReason.ERROR, error="gone"), Setback.BACKEND),
    ],
)
def test_the_flaw_of_all_texts_is_the_cause(reply: Reply, setback: Setback) -> None:
    with pytest.raises(FlowFailedError) as caught:
        run(first_response("Tell.", SETTINGS), lambda call: reply)
    assert caught.value.setback is setback
    if reply:
        with pytest.raises(FlowFailedError) as caught:
            run(extension("Tell.", "One.", SETTINGS), lambda call: reply)
        assert caught.value.setback is setback


def test_first_responses_are_tried_until_one_passes() -> None:
    replies = iter(["", "and so", "A sound text."])
    text, calls = run(first_response("Tell of bees.", SETTINGS), lambda call: next(replies))
    assert text == "A sound text."
    assert [call.name for call in calls] == ["first/0", "first/1", "first/2"]
    assert calls[0].messages == ({"role": "user", "content": "Tell of bees."},)


def test_a_context_that_is_too_short_ends_the_growth_and_not_the_text() -> None:
    lengthen = doubled()

    def reply(call: Call) -> Reply:
        return FlowFailedError(Setback.TOO_LONG) if len(draft_of(call).split()) > 16 else lengthen(call)

    start = "\n\n".join(["w w"] * 4)
    made, _ = run(extension("Tell.", start, LENIENT), reply)
    assert made.words == (8, 16, 32)
    with pytest.raises(FlowFailedError) as caught:
        run(extension("Tell.", start, LENIENT), lambda call: FlowFailedError(Setback.TOO_LONG))
    assert caught.value.setback is Setback.TOO_LONG


def test_what_the_limit_cut_is_used_up_to_its_last_sentence_or_not_at_all() -> None:
    cut = "One came. Two left. Three st"
    assert settle(cut, FinishReason.LIMIT, WrittenRules(end_mark=False)) == ("One came. Two left.", None)
    assert settle(cut, FinishReason.LIMIT, WrittenRules())[1] is Flaw.END
    assert settle("no sentence", FinishReason.LIMIT, WrittenRules(end_mark=False))[1] is Flaw.END
    assert settle(" One came. ", FinishReason.EOS, WrittenRules()) == ("One came.", None)


@pytest.mark.parametrize(
    "instruction", ["Tell of {text} and {instruction}.", "\u5199\u4e00\u7bc7{text}\u7684\u6587\u7ae0\u3002"]
)
def test_prompts_hold_both_texts_as_they_are(instruction: str) -> None:
    text = "Brief draft:\n{instruction} %s \\n"
    (message,) = extend_messages(instruction, text)
    assert message["content"].endswith(text)
    assert message["content"].count(instruction) == 1
    is_chinese = not instruction.isascii()
    assert ("\u7b80\u7565\u7a3f" in message["content"]) is is_chinese


def test_what_a_model_thinks_is_no_part_of_a_text() -> None:
    assert settle("<think>Long?</think>\n\nIt rains.", FinishReason.EOS, WrittenRules()) == ("It rains.", None)
    for rules in (WrittenRules(), SMALL.check):
        _, flaw = settle("<think>The user wants a text. It is about rain.", FinishReason.LIMIT, rules)
        assert flaw is Flaw.END

    def reply(call: Call) -> str:
        return f"<think>Half of it.</think>\n\n{'A new line. ' * 9}\n\n{'Another line. ' * 9}"

    _, calls = run(extension("Write.", "One.\n\nTwo.\n\nThree.", LENIENT), reply)
    assert calls[1].prefill.startswith("A new line.")


def test_words_are_counted_in_any_language() -> None:
    assert words_of("One, two.") == 2
    assert words_of("\u4f60\u597d\uff0c\u4e16\u754c\u3002") == 4


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"rounds": 0}, "rounds is at least 1"),
        ({"extension_calls": 1}, "at least 2"),
        ({"roles": "three"}, "one or two"),
        ({"growth": 0.9}, "growth is a factor"),
        ({"thin_keep": 0.0}, "are shares"),
    ],
)
def test_settings_out_of_range_are_refused(changes: dict[str, Any], told: str) -> None:
    with pytest.raises(ValueError, match=told):
        replace(SMALL, **changes)
