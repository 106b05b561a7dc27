"""The generator of checkable tasks: right answers, no overlap, verbosity that rises."""

from __future__ import annotations

import re
from typing import Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lengthctl.checking import AnswerChecker, Status
from lengthctl.data_gen.checkable import CheckableTask, Verbosity, make_tasks
from lengthctl.errors import DataError
from lengthctl.length import Unit, count_length
from lengthctl.reasoning import AnswerFormat, parse_reasoning

SPLITS: tuple[Literal["train", "test"], ...] = ("train", "test")


def solve(question: str) -> tuple[int, int]:
    """Answer and number of steps, read from the question alone."""
    first, *rest = re.findall(r"(add|subtract|multiply by)? ?(\d+)", question.lower())
    value = int(first[1])
    for order, number in rest:
        value = {"add": value + int(number), "subtract": value - int(number)}.get(order, value * int(number))
    return value, len(rest)


@pytest.mark.parametrize("digits", [1, 2, 3])
def test_answers_are_those_of_the_question(digits: int) -> None:
    for task in make_tasks(100, seed=1, digits=digits):
        assert solve(task.question) == (int(task.answer), task.steps)
        assert 0 <= int(task.answer) < 10 ** (digits + 1)
        assert task.digits == digits


def test_worked_solutions_end_in_the_answer_and_grow_with_verbosity() -> None:
    with AnswerChecker() as checker:
        for task in make_tasks(100, seed=2):
            for text in task.worked.values():
                parsed = parse_reasoning(text)
                assert (parsed.final, parsed.format) == (task.answer, AnswerFormat.HASHES)
                assert checker.check_text(text, task.answer).status is Status.CORRECT
            for unit in (Unit.WORDS, Unit.WORDS_SPLIT):
                lengths = [count_length(task.worked[v], unit) for v in Verbosity]
                assert lengths == sorted(set(lengths))


def test_equations_of_the_solutions_hold() -> None:
    for task in make_tasks(50, seed=3, digits=2):
        for text in task.worked.values():
            for a, sign, b, result in re.findall(r"(\d+) ?([-+*/]) ?(\d+) ?= ?(\d+)", text):
                assert (
                    int(result)
                    == {
                        "+": int(a) + int(b),
                        "-": int(a) - int(b),
                        "*": int(a) * int(b),
                        "/": int(a) // int(b),
                    }[sign]
                )


@settings(max_examples=20)
@given(st.integers(0, 10**6), st.integers(1, 20), st.integers(1, 4), st.integers(1, 3))
def test_same_arguments_give_the_same_tasks(seed: int, n: int, most: int, digits: int) -> None:
    tasks = make_tasks(n, seed, (1, most), digits)
    assert tasks == make_tasks(n + 5, seed, (1, most), digits)[:n]
    assert len({task.id for task in tasks}) == n
    assert all(1 <= task.steps <= most for task in tasks)


def test_splits_never_overlap_whatever_the_seed() -> None:
    def chains(split: Literal["train", "test"]) -> set[tuple[str, ...]]:
        tasks: list[CheckableTask] = []
        for seed in range(5):
            tasks += make_tasks(100, seed, (1, 2), 1, split)
        return {tuple(re.findall(r"add|subtract|multiply|\d+", task.question.lower())) for task in tasks}

    train, test = (chains(split) for split in SPLITS)
    assert train
    assert test
    assert not train & test


def test_more_tasks_than_there_are() -> None:
    with pytest.raises(DataError, match="different of 1 to 1 steps"):
        make_tasks(300, 0, (1, 1))


@pytest.mark.parametrize("arguments", [{"n": 0}, {"steps": (2, 1)}, {"steps": (0, 1)}, {"digits": 0}, {"split": "dev"}])
def test_arguments_out_of_range(arguments: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="needs n >= 1"):
        make_tasks(**{"n": 1, "seed": 0, **arguments})  # type: ignore[arg-type]


def test_a_task_is_a_problem() -> None:
    (task,) = make_tasks(1, 5, (3, 3))
    problem = task.to_problem()
    assert (problem.id, problem.answer, problem.difficulty) == (task.id, task.answer, 3.0)
