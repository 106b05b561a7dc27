"""Completions taken apart into reasoning and answer, in both forms; what has no reasoning or answer is told apart."""

from __future__ import annotations

import time
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lengthctl.checking import Status, Verdict
from lengthctl.data_gen.checkable import Verbosity, make_tasks
from lengthctl.data_gen.filters import DropReason
from lengthctl.data_gen.instruction_data import Instruction
from lengthctl.data_gen.reasoned_rows import ReasonedRow, Solution, read_reasoned, read_solution
from lengthctl.plain_answers import compare_plain


def check(answer: str | None, reference: str) -> Verdict:
    """As the checker compares what needs no mathematics; a word is nothing it can read."""
    if answer is None or compare_plain(reference, answer) is None or answer.isalpha():
        return Verdict(Status.ERROR, answer)
    return Verdict(Status.CORRECT if compare_plain(reference, answer) else Status.WRONG, answer)


def row(completion: str, **columns: object) -> Instruction:
    return Instruction("r", ({"role": "user", "content": "How many?"},), completion, "s", "cc0", columns)


def read(completion: str, **columns: object) -> ReasonedRow | DropReason:
    return read_reasoned(row(completion, **columns), check)


@pytest.mark.parametrize(
    ("text", "reasoning", "final", "form"),
    [
        ("<think>\n2 and 3 make 5.\n</think>\nThe answer is 5.", "2 and 3 make 5.", "5", "tags"),
        ("2 and 3 make 5.</think>\\boxed{5}", "2 and 3 make 5.", "5", "tags"),  # the template opened it
        ("<think>a <think> b</think> #### 5", "a <think> b", "5", "tags"),
        ("2 and 3 make 5.\n#### 5", "2 and 3 make 5.", "5", "steps"),
        ("2 and 3 make 5.\n\nSo the answer is \\boxed{5}.\n", "2 and 3 make 5.", "5", "steps"),
        ("先算 2 加 3。\nAnswer: 5", "先算 2 加 3。", "5", "steps"),
        ("#### 4 was wrong.\nBut now:\n#### 5", "#### 4 was wrong.\nBut now:", "5", "steps"),
    ],
)
def test_both_forms(text: str, reasoning: str, final: str, form: str) -> None:
    found = read_solution(text)
    assert isinstance(found, Solution)
    assert (found.reasoning, found.final, found.form) == (reasoning, final, form)
    assert found.with_reasoning(reasoning) == text
    shorter = found.with_reasoning("2+3=5")
    assert read_solution(shorter) == Solution(found.head, "2+3=5", found.tail, final, found.form)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("#### 5", DropReason.NO_REASONING),
        ("<think>\n\n</think>\n#### 5", DropReason.NO_REASONING),
        ("<think>2 and 3 make 5. #### 5", DropReason.OPEN_REASONING),
        ("<think>a</think>#### 5<think>b", DropReason.OPEN_REASONING),
        ("<think>a</think>#### 5<think>b</think>", DropReason.LEFTOVERS),
        ("<think>a \\boxed{5}</think>That is it.", DropReason.UNREADABLE_ANSWER),
        ("2 and 3 make 5.", DropReason.UNREADABLE_ANSWER),
        ("2 and 3 make five.\n#### five", DropReason.UNREADABLE_ANSWER),
        ("", DropReason.UNREADABLE_ANSWER),
    ],
)
def test_what_cannot_be_used(text: str, reason: DropReason) -> None:
    assert read(text) is reason


def test_a_named_answer_has_to_be_the_one_that_is_given() -> None:
    text = "2 and 3 make 5.\n#### 5"
    assert isinstance(read(text, answer="5.0"), ReasonedRow)
    assert isinstance(read(text, answer=5), ReasonedRow)
    assert read(text, answer="6") is DropReason.WRONG_ANSWER
    assert isinstance(read(text, answer=None), ReasonedRow)


def test_a_named_answer_that_is_no_text_or_number_is_not_passed_over() -> None:
    assert read("2 and 3 make 5.\n#### 5", answer=["6"]) is DropReason.UNREADABLE_ANSWER
    for blank in (None, " "):
        assert isinstance(read("2 and 3 make 5.\n#### 5", answer=blank), ReasonedRow)


def test_reasoning_may_stand_in_a_column_of_its_own() -> None:
    found = read("The answer is 5.", reasoning_content="2 and 3 make 5.")
    assert isinstance(found, ReasonedRow)
    assert found.solution.with_reasoning("x") == "<think>\nx\n</think>\nThe answer is 5."
    own = read("<think>mine</think>#### 5", reasoning="another")
    assert isinstance(own, ReasonedRow)
    assert own.solution.reasoning == "mine"


def test_a_solution_without_reasoning_is_its_answer() -> None:
    steps, tags = read_solution("a\n#### 5"), read_solution("<think>\na\n</think>\n#### 5")
    assert isinstance(steps, Solution)
    assert isinstance(tags, Solution)
    assert steps.with_reasoning("") == "#### 5"
    assert tags.with_reasoning("") == "<think>\n\n</think>\n#### 5"


@pytest.mark.parametrize("verbosity", list(Verbosity))
def test_every_solution_of_the_task_family_is_read(verbosity: Verbosity) -> None:
    for task in make_tasks(100, seed=3):
        found = read(task.worked[verbosity], answer=task.answer)
        assert isinstance(found, ReasonedRow)
        assert Fraction(found.solution.final) == Fraction(task.answer)


@given(st.text(alphabet="ab5 \n<>/think#\\boxed{}answeri:."), st.sampled_from(["<think>", "", "</think>", "#### 5"]))
def test_the_parts_are_the_whole(text: str, more: str) -> None:
    found = read_solution(text + more)
    if isinstance(found, Solution):
        assert found.head + found.reasoning + found.tail == text + more
        assert found.reasoning.strip()
        assert found.final


@pytest.mark.parametrize("part", ["<think>", "</think>", "#### 5\n", "\\boxed{", "answer: ", "\n"])
def test_time_is_linear(part: str) -> None:
    start = time.perf_counter()
    read_solution(part * (100_000 // len(part)))
    assert time.perf_counter() - start < 3
