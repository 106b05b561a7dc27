"""AgentWrite as a flow: what it asks for, what it makes of the answers, and where it ends."""

from __future__ import annotations

import contextlib
import random
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lengthctl.decode.agentwrite import LongRequest, LongText, write_long
from lengthctl.decode.agentwrite_options import SMALL_MODEL, WritingOptions
from lengthctl.decode.flow import Answer, Call, Flow, FlowFailedError, Setback
from lengthctl.length import Target, Unit, count_length
from lengthctl.records import FinishReason
from lengthctl.scoring import s_l

PLAN = "Paragraph 1 - Main Point: Rise - Word Count: 300 words\nParagraph 2 - Main Point: Fall - Word Count: 700 words"
THOUSAND = Target(1000)
SMALL = {name: getattr(SMALL_MODEL, name) for name in WritingOptions.__dataclass_fields__}
ASK = ({"role": "user", "content": "Write about an empire."},)


def prose(words: int, salt: object = 0) -> str:
    rng = random.Random(str(salt))
    drawn = ["".join(rng.choices("abdeghiklmnoprstu", k=6)) for _ in range(words)]
    return " ".join(" ".join(drawn[at : at + 8]).capitalize() + "." for at in range(0, words, 8))


def length_of(call: Call) -> int:
    assert call.target is not None
    return call.target.value


@dataclass
class Run:
    """A flow driven by a function of its calls."""

    answer: Callable[[Call], str | Answer | FlowFailedError]
    rounds: list[list[Call]] = field(default_factory=list)

    @property
    def names(self) -> list[list[str]]:
        return [[call.name for call in calls] for calls in self.rounds]

    def __call__(self, target: Target | None = THOUSAND, asked: Any = ASK, **options: Any) -> LongText:
        flow: Flow[LongText] = write_long(LongRequest(asked, target), WritingOptions(**options))
        try:
            calls = next(flow)
            while True:
                self.rounds.append(list(calls))
                answers = [self.answer(call) for call in calls]
                thrown = next((a for a in answers if isinstance(a, FlowFailedError)), None)
                if thrown is not None:
                    calls = flow.throw(thrown)
                    continue
                calls = flow.send([a if isinstance(a, Answer) else Answer(str(a), FinishReason.EOS) for a in answers])
        except StopIteration as stop:
            found: LongText = stop.value
            return found


def writer(factor: float = 1.0, plan: str = PLAN) -> Callable[[Call], str]:
    return lambda call: plan if call.name.startswith("plan") else prose(round(factor * length_of(call)), call.name)


def test_parts_are_written_in_order_behind_the_text_so_far() -> None:
    run = Run(writer())
    found = run()
    assert run.names == [["plan/0"], ["write/0/0"], ["write/1/0"]]
    plan, first, second = (calls[0].messages[-1]["content"] for calls in run.rounds)
    assert "Write about an empire." in plan
    assert "1000 words" in plan
    assert "Main Point: Rise - Word Count: 300" in first
    assert found.parts[0].text not in first
    assert found.parts[0].text in second
    assert [length_of(calls[0]) for calls in run.rounds[1:]] == [300, 700]
    assert found.text == f"{found.parts[0].text}\n\n{found.parts[1].text}"
    assert count_length(found.text) == 1000
    assert found.finish is FinishReason.EOS
    assert found.made is not None
    assert [step.point for step in found.made.plan.steps] == ["Rise", "Fall"]
    assert found.made.origin == "model"
    assert found.left_out == 0


def test_a_later_part_makes_up_for_an_earlier_one() -> None:
    run = Run(lambda call: PLAN if "plan" in call.name else prose(200 if "/0/" in call.name else length_of(call)))
    assert count_length(run().text) == 1000
    assert length_of(run.rounds[2][0]) == 800
    assert "about 800 words" in run.rounds[2][0].messages[-1]["content"]
    run = Run(run.answer)
    assert count_length(run(redistribute=False).text) == 900


def test_a_plan_that_is_off_is_scaled() -> None:
    run = Run(writer())
    assert count_length(run(Target(4000), part_ceiling=3000).text) == 4000
    assert [length_of(calls[0]) for calls in run.rounds[1:]] == [1200, 2800]


def test_parts_that_no_length_is_left_for_are_left_out() -> None:
    plan = "\n".join(f"{n}. Point {n} (250 words)" for n in range(1, 5))
    run = Run(lambda call: plan if "plan" in call.name else prose(600 if "/0/" in call.name else 250, call.name))
    found = run()
    # behind 850 words the last two cannot share the 150 that are left, even by half
    assert [part.point for part in found.parts] == ["Point 1", "Point 2", "Point 4"]
    assert found.left_out == 1
    assert found.made is not None
    assert len(found.made.plan.steps) == 4


def test_in_parallel_all_parts_go_out_at_once() -> None:
    run = Run(writer())
    found = run(parallel=True)
    assert run.names == [["plan/0"], ["write/0/0", "write/1/0"]]
    assert all(found.parts[0].text not in call.messages[-1]["content"] for call in run.rounds[1])
    assert count_length(found.text) == 1000


def test_in_parallel_only_what_was_not_sound_is_asked_for_again() -> None:
    run = Run(lambda call: "" if call.name == "write/1/0" else writer()(call))
    found = run(parallel=True)
    assert run.names[-1] == ["write/1/1"]
    assert [part.attempts for part in found.parts] == [1, 2]


def test_in_parallel_a_part_that_repeats_another_fails() -> None:
    same = Run(lambda call: PLAN if "plan" in call.name else prose(300))
    with pytest.raises(FlowFailedError) as caught:
        same(parallel=True)
    assert caught.value.setback is Setback.REPETITIVE


def test_a_text_without_a_length_follows_its_plan() -> None:
    run = Run(writer(plan="1. Rise (300 words)\n2. Fall\n3. End (500 words)"))
    found = run(None)
    assert found.unit is Unit.WORDS_MIXED
    assert [part.length for part in found.parts] == [300, 400, 500]
    assert "in all" not in run.rounds[0][0].messages[-1]["content"]
    assert run.rounds[0][0].max_tokens == 4096


def test_short_targets_and_no_more_take_one_call() -> None:
    run = Run(lambda call: prose(300))
    found = run(Target(799))
    assert run.rounds[0][0].messages == ASK
    assert (found.made, found.parts, found.left_out) == (None, (), 0)
    for target in (Target(800), Target(30, unit=Unit.SENTENCES), Target(800 * 6, unit=Unit.CHARACTERS)):
        asked = Run(lambda call: FlowFailedError(Setback.BACKEND))
        with pytest.raises(FlowFailedError):
            asked(target, plan_min_words=500)
        assert asked.names == [["plan/0"]]


def test_what_a_model_thinks_is_no_part_of_a_short_text() -> None:
    found = Run(lambda call: f"<think>How many?</think>\n\n{prose(40)}")(Target(40))
    assert found.text == prose(40)
    with pytest.raises(FlowFailedError) as caught:
        Run(lambda call: Answer("<think>How many? It", FinishReason.LIMIT))(Target(40))
    assert caught.value.setback is Setback.EMPTY


@pytest.mark.parametrize(
    ("bad", "setback"),
    [
        ("", Setback.EMPTY),
        ("I'm sorry, but I can't help with that.", Setback.REFUSED),
        ("one two three four five six seven eight nine ten " * 30, Setback.REPETITIVE),
        (Answer("words without an end and more", FinishReason.LIMIT), Setback.UNFINISHED),
        (Answer("<think>\nThe user wants a text. It is about an empire. So", FinishReason.LIMIT), Setback.EMPTY),
    ],
)
def test_a_part_that_is_not_sound_is_asked_for_again(bad: str | Answer, setback: Setback) -> None:
    run = Run(lambda call: bad if call.name == "write/0/0" else writer()(call))
    found = run()
    assert run.names[1:3] == [["write/0/0"], ["write/0/1"]]
    assert found.parts[0].attempts == 2
    assert found.parts[0].fault is None
    run = Run(lambda call: bad if call.name.startswith("write/0") else writer()(call))
    with pytest.raises(FlowFailedError) as caught:
        run()
    assert caught.value.setback is setback
    assert "part 1" in caught.value.detail
    kept = Run(run.answer)(keep_faulty=True)
    assert kept.parts[0].fault is setback
    assert kept.left_out == (setback in (Setback.EMPTY, Setback.REFUSED))


def test_a_part_that_repeats_an_earlier_one_is_asked_for_again() -> None:
    first = prose(300, "first")
    texts = {"write/0/0": first, "write/1/0": f"{prose(200)} {first}", "write/1/1": prose(700, "other")}
    run = Run(lambda call: PLAN if "plan" in call.name else texts[call.name])
    assert run().parts[1].text == texts["write/1/1"]
    run = Run(lambda call: PLAN if "plan" in call.name else texts[call.name.replace("/1/1", "/1/0")])
    found = run(keep_faulty=True)
    assert found.text.count(first) == 1  # sentences that stood before are taken out
    assert found.parts[1].fault is None


def test_what_the_limit_cut_too_soon_gets_a_higher_one_and_then_ends_at_a_sentence() -> None:
    torn = f"{prose(160)} And then they"

    run = Run(lambda call: Answer(torn, FinishReason.LIMIT) if "write/0" in call.name else writer()(call))
    found = run()
    limits = [calls[0].max_tokens for calls in run.rounds[1:3]]
    assert limits == [600, 900]
    assert found.parts[0].text == prose(160)
    assert found.parts[0].is_cut
    assert found.parts[0].fault is None


def test_what_the_limit_cut_late_enough_is_cut_to_its_length() -> None:
    long = Answer(f"{prose(480)} And then", FinishReason.LIMIT)
    run = Run(lambda call: long if "write/0" in call.name else writer()(call))
    found = run()
    assert run.names[2] == ["write/1/0"]
    assert 296 <= found.parts[0].length <= 304


def test_plans_are_asked_for_again_and_then_given_up() -> None:
    run = Run(lambda call: "No plan." if call.name == "plan/0" else writer()(call))
    found = run()
    assert found.made is not None
    assert found.made.attempts == 2
    run = Run(lambda call: "No plan.")
    with pytest.raises(FlowFailedError) as caught:
        run()
    assert run.names == [["plan/0"], ["plan/1"], ["plan/2"]]
    assert caught.value.setback is Setback.PLAN_UNREADABLE
    with pytest.raises(FlowFailedError) as caught:
        Run(lambda call: "I cannot help with that.")()
    assert caught.value.setback is Setback.REFUSED


def test_a_plan_whose_steps_are_too_long_is_asked_for_again_then_divided() -> None:
    run = Run(writer(plan="1. All of it (5000 words)\n2. The end (1000 words)"))
    found = run(Target(6000))
    assert run.names[:4] == [["plan/0"], ["plan/1"], ["plan/2"], ["write/0/0"]]
    assert [length_of(calls[0]) for calls in run.rounds[3:]] == [1000] * 6
    assert found.parts[0].point == "All of it (1/5)"
    good = "\n".join(f"{n}. Point {n} (1000 words)" for n in range(1, 7))
    other = writer(plan="1. All of it (6000 words)")
    run = Run(lambda call: good if call.name == "plan/1" else other(call))
    assert run(Target(6000)).parts[0].point == "Point 1"


def test_after_two_plans_a_small_model_gets_an_outline() -> None:
    example = " How the old mill was found - Word Count: 150 words\nParagraph 2 - Main Point: Who had lived in it"
    plans = {"plan/0": example, "plan/1": " I am glad to help\nyou with it."}
    run = Run(lambda call: plans.get(call.name) or prose(length_of(call), call.name))
    found = run(Target(500), **SMALL)
    assert run.names[:2] == [["plan/0"], ["plan/1"]]
    assert run.rounds[0][0].prefill == "Paragraph 1 - Main Point:"
    assert found.made is not None
    assert found.made.origin == "outline"
    points = [step.point for step in found.made.plan.steps]
    assert len(points) == len(set(points)) == 4
    assert all("an empire" in point for point in points)
    assert count_length(found.text) == 500


def test_one_step_is_no_plan_for_a_text_of_several() -> None:
    own = " The rise\nParagraph 2 - Main Point: The fall"
    plans = {"plan/0": " All of it", "plan/1": own}
    run = Run(lambda call: plans.get(call.name) or prose(length_of(call), call.name))
    found = run(Target(240), **SMALL)
    assert found.made is not None
    assert [step.point for step in found.made.plan.steps] == ["The rise", "The fall"]
    run = Run(lambda call: " All of it" if call.name.startswith("plan") else prose(length_of(call), call.name))
    found = run(Target(240), **SMALL)
    assert found.made is not None
    assert (found.made.origin, len(found.made.plan.steps)) == ("outline", 2)
    run = Run(writer(plan="1. All of it (1200 words)"))
    found = run(Target(1200))  # without an outline it is better than none
    assert found.made is not None
    assert (found.made.origin, found.made.attempts, len(found.made.plan.steps)) == ("model", 3, 1)


COPIES = [
    " How the old mill was found - Word Count: 150 words\nParagraph 2 - Main Point: Who had lived in it",
    " The old mill was found by a group of people.\n\nParagraph 2 - Main Point: They brought their belongings.",
    " A start.\nParagraph 2 - Main Point: The story of the mill's past is a tale of resilience.",
]
"""First plans of SmolLM2-135M for texts about gardens, bicycles and the like, in short."""


@pytest.mark.parametrize("copy", COPIES)
def test_a_plan_that_copies_the_example_is_asked_for_again_without_it(copy: str) -> None:
    own = " The rise\nParagraph 2 - Main Point: The height\nParagraph 3 - Main Point: The fall"
    plans = {"plan/0": copy, "plan/1": own}
    run = Run(lambda call: plans.get(call.name) or prose(length_of(call), call.name))
    found = run(Target(360), **SMALL)
    asked = [run.rounds[n][0].messages[-1]["content"] for n in (0, 1)]
    assert ["mill" in text for text in asked] == [True, False]
    assert found.made is not None
    assert (found.made.origin, found.made.attempts) == ("model", 2)
    assert [step.point for step in found.made.plan.steps] == ["The rise", "The height", "The fall"]


def test_a_text_about_a_mill_may_have_a_plan_about_one() -> None:
    plan = " The mill is built\nParagraph 2 - Main Point: The mill burns\nParagraph 3 - Main Point: What is left of it"
    run = Run(lambda call: plan if call.name == "plan/0" else prose(length_of(call), call.name))
    found = run(Target(360), ({"role": "user", "content": "Tell the story of a mill."},), **SMALL)
    assert found.made is not None
    assert (found.made.origin, found.made.attempts) == ("model", 1)


@pytest.mark.parametrize("factor", [0.35, 0.6, 1.0, 2.2])
def test_an_outline_is_drawn_out_until_the_target_is_filled(factor: float) -> None:
    plan = "\n".join(f"{n}. Point {n} (120 words)" for n in range(1, 5))
    run = Run(writer(factor, plan))
    found = run(Target(500), plan_min_words=100, part_floor=40, part_ceiling=200, outline=True)
    assert s_l(count_length(found.text), Target(500)) > 0.9
    points = [part.point for part in found.parts]
    assert len(points) == len(set(points))
    assert (found.left_out > 0) == (factor > 1.5)
    last = "Point 4" if factor < 1.5 else points[-1]
    assert points[-1] == last
    names = [name for names in run.names for name in names]
    assert len(names) == len(set(names)) == 1 + len(points)


def test_behind_a_last_part_that_came_out_far_too_short_stands_a_further_one() -> None:
    run = Run(lambda call: prose(20, call.name) if call.name.startswith("write/1/") else writer()(call))
    found = run(outline=True)
    assert [part.length for part in found.parts[:2]] == [300, 20]
    assert count_length(found.text) == 1000
    assert "an empire" in found.parts[2].point
    assert count_length(Run(run.answer)().text) == 320
    nearly = Run(lambda call: prose(600, call.name) if call.name.startswith("write/1/") else writer()(call))
    assert len(nearly(outline=True).parts) == 2  # 900 of 1000 are near enough


def test_a_part_below_its_least_share_is_asked_for_again() -> None:
    tries = {"write/0/0": prose(100), "write/0/1": prose(290, "more")}
    run = Run(lambda call: tries.get(call.name) or writer()(call))
    assert run(least_share=0.5).parts[0].length == 290
    assert run.rounds[2][0].max_tokens == run.rounds[1][0].max_tokens  # it was no limit that ended it
    tries["write/0/1"] = prose(40, "less")
    assert Run(run.answer)(least_share=0.5).parts[0].length == 100
    found = Run(run.answer)()
    assert (found.parts[0].length, found.parts[0].attempts) == (100, 1)


def test_a_prefilled_plan_is_read_with_its_beginning() -> None:
    run = Run(writer(plan=PLAN.removeprefix("Paragraph 1 - Main Point:")))
    assert [part.point for part in run(prefill=True).parts] == ["Rise", "Fall"]


def test_a_conversation_that_is_too_long_is_shown_less_and_less() -> None:
    plan = "\n".join(f"{n}. Point {n} (1000 words)" for n in range(1, 5))

    def answer(call: Call) -> Any:
        if len(call.messages[-1]["content"].split()) > 1200:
            return FlowFailedError(Setback.TOO_LONG, "too long")
        return writer(plan=plan)(call)

    run = Run(answer)
    found = run(Target(4000))
    assert count_length(found.text) == 4000
    names = [name for names in run.names for name in names]
    assert len(names) == len(set(names))
    assert [part.is_shortened for part in found.parts] == [False, False, True, True]
    last = run.rounds[-1][0].messages[-1]["content"]
    assert "[...]" in last
    assert found.parts[0].text[:20] in last
    assert found.parts[2].text[-40:] in last
    assert all(f"Point {n}" in last for n in range(1, 5))
    with pytest.raises(FlowFailedError) as caught:
        Run(lambda call: FlowFailedError(Setback.TOO_LONG))()
    assert caught.value.setback is Setback.TOO_LONG


def test_a_failed_call_ends_the_document() -> None:
    failed = Answer("", FinishReason.ERROR, error="connection reset")
    with pytest.raises(FlowFailedError) as caught:
        Run(lambda call: failed)()
    assert (caught.value.setback, caught.value.detail) == (Setback.BACKEND, "connection reset")


def test_chinese_is_asked_in_chinese_and_counted_by_ideographs() -> None:
    asked = ({"role": "system", "content": "S"}, {"role": "user", "content": "请写一篇关于长江的文章，两千字。"})
    plan = "段落1 - 主要内容：源头 - 字数：800字\n段落2 - 主要内容：入海 - 字数：1200字"
    texts = {True: "源头在高原之上有雪山与冰川。", False: "江水东流入海成三角洲平原。"}
    run = Run(lambda call: plan if "plan" in call.name else texts["/0/" in call.name])
    found = run(Target(2000, unit=Unit.WORDS_MIXED), asked)
    assert [part.point for part in found.parts] == ["源头", "入海"]
    assert all(calls[0].messages[0]["content"] == "S" for calls in run.rounds)
    assert "约800字" in run.rounds[1][0].messages[-1]["content"]
    assert length_of(run.rounds[2][0]) == 1800  # 1.5 times its plan at most
    assert [calls[0].max_tokens for calls in run.rounds[1:]] == [1280, 2880]
    assert "paragraph" not in run.rounds[0][0].messages[-1]["content"].lower()


def test_braces_in_a_request_are_text() -> None:
    run = Run(writer())
    run(asked=({"role": "user", "content": "Explain {plan} and {request} and {0}."},))
    assert all("Explain {plan} and {request} and {0}." in calls[0].messages[-1]["content"] for calls in run.rounds)


def test_twenty_thousand_words() -> None:
    plan = "\n".join(f"Paragraph {n} - Main Point: Point {n} - Word Count: 1000 words" for n in range(1, 21))
    run = Run(writer(plan=plan))
    found = run(Target(20_000))
    assert count_length(found.text) == 20_000
    longest = max(len(calls[0].messages[-1]["content"].split()) for calls in run.rounds)
    assert longest < 10_500  # the text so far is shown by its ends


_PIECES = st.sampled_from(
    [
        "1. X (300 words)\n",
        "2. Y (40 words)\n",
        "Paragraph 2 - Main Point: Z",
        " - Word Count: 900",
        "Fine. ",
        "word ",
        "\n\n",
        "",
        "。",
        *("I cannot help with that.", "</think>", "Paragraph 1: ", "(300 words)", "江水", "\ud800"),
    ]
)


@given(
    st.lists(
        st.tuples(st.lists(_PIECES, max_size=8).map("".join), st.sampled_from(["eos", "limit", "error"])), min_size=1
    ),
    st.booleans(),
    st.booleans(),
    st.booleans(),
    st.sampled_from([None, 1, 700, 9000]),
)
def test_whatever_is_answered_it_ends(
    answers: list[tuple[str, str]], parallel: bool, outline: bool, keep_faulty: bool, words: int | None
) -> None:
    told = iter(answers * 400)

    def answer(call: Call) -> Answer:
        text, finish = next(told)
        return Answer(text, FinishReason(finish))

    run = Run(answer)
    target = None if words is None else Target(words)
    options = {"parallel": parallel, "outline": outline, "keep_faulty": keep_faulty, "plan_min_words": 100}
    with contextlib.suppress(FlowFailedError):
        assert run(target, **options).text
    names = [name for names in run.names for name in names]
    assert len(names) == len(set(names)) <= 3 + 2 * 50
    again = Run(answer)
    told = iter(answers * 400)
    with contextlib.suppress(FlowFailedError):
        again(target, **options)
    assert again.rounds == run.rounds


def test_options_say_what_is_wrong() -> None:
    for wrong in ({"part_floor": 300, "part_ceiling": 200}, {"max_parts": 0}, {"plan_min_words": -1}):
        with pytest.raises(ValueError, match=next(iter(wrong))):
            WritingOptions(**wrong)
    assert replace(SMALL_MODEL, brief=False).part_ceiling == 200
