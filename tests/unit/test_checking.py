"""Answer checking: exact plain comparison, mathematics in a guarded process, hostile answers in bounded time."""

from __future__ import annotations

import gc
import json
import os
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from fractions import Fraction
from pathlib import Path

import psutil
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lengthctl.checking import AnswerChecker, Status
from lengthctl.errors import LengthctlError
from lengthctl.plain_answers import compare_plain

DATA = os.environ.get("LENGTHCTL_DATA")
GIANT = "9^{9^{9^{9}}}"


def workers() -> list[psutil.Process]:
    """Checking processes of this one that still run."""
    children = psutil.Process().children(recursive=True)
    return [p for p in children if "checking_worker.py" in " ".join(p.cmdline()) and p.status() != "zombie"]


@pytest.fixture(scope="module")
def checker() -> Iterator[AnswerChecker]:
    with AnswerChecker() as shared:
        yield shared


@pytest.mark.parametrize(
    ("reference", "answer", "expected"),
    [
        ("42", "42", True),
        ("42", "43", False),
        ("42", "42.0", True),
        ("42", "$42", True),
        ("42", "\\$42.00", True),
        ("1000", "1,000", True),
        ("1000", "1{,}000", True),
        ("1000", "1\\,000", True),
        ("-3", "\u22123", True),
        ("0.5", "1/2", True),
        ("0.5", "\\frac{1}{2}", True),
        ("\\frac{1}{2}", "\\dfrac{2}{4}", True),
        ("-\\frac{1}{2}", "\\frac{-1}{2}", True),
        ("1/3", "0.333333", False),
        ("25", "025", True),
        ("50", "50%", True),
        ("\\frac12", "50\\%", None),
        ("42", "42 apples", True),
        ("42", "42 apples and pears", None),
        ("42", "42 hundred", None),
        ("5", "5 pi", None),
        ("5", "5 x", None),
        ("42", "x = 42", True),
        ("42", "40 + 2 = 42", True),
        ("42", "40 + 2 = 43", False),
        ("2", "x = 1, y = 2", None),
        ("2", "x <= 2", None),
        ("42", "forty-two", False),
        ("42", "\\sqrt{4}", None),
        ("11/2", "1 1/2", None),
        ("1/0", "1/0", True),
        ("5", "5/0", None),
        ("x^2", "x^2", True),
        ("x^2", "x ^ 2", True),
        ("\\left( 3, 4 \\right)", "(3,4)", True),
        ("\\text{Evelyn}", "Evelyn", True),
        ("x^2", "x^3", None),
        ("", "5", None),
    ],
)
def test_plain_comparison(reference: str, answer: str, expected: bool | None) -> None:
    assert compare_plain(reference, answer) is expected


@given(st.fractions(max_denominator=10**6), st.fractions(max_denominator=10**6))
def test_fractions_are_compared_exactly(a: Fraction, b: Fraction) -> None:
    assert compare_plain(str(a), str(b)) is (a == b)
    assert compare_plain(str(a), f"\\frac{{{a.numerator * 3}}}{{{a.denominator * 3}}}") is True


@given(st.text(max_size=512), st.text(max_size=512))
def test_any_two_texts_are_compared(reference: str, answer: str) -> None:
    assert compare_plain(reference, answer) in (True, False, None)
    assert compare_plain(answer, answer) is True


def test_plain_answers_start_no_process() -> None:
    before = len(workers())
    with AnswerChecker() as checker:
        assert checker.check_text("2 + 2 = 4\n#### 4", "4").status is Status.CORRECT
        assert checker.check_text("The answer is 5 apples.", "4").status is Status.WRONG
        assert checker.check_text("I don't know", "4").status is Status.NO_ANSWER
        assert checker.check_text("<think>\\boxed{4}", "4").status is Status.NO_ANSWER
        assert checker.check_text("\\boxed{4}", "4", starts_open=True).status is Status.NO_ANSWER
        assert checker.check_answer(" ", "4").status is Status.NO_ANSWER
        assert len(workers()) == before


def test_answers_and_references_out_of_bounds_are_errors() -> None:
    with AnswerChecker() as checker:
        long = checker.check_answer("1" * 513, "1")
        assert (long.status, long.detail) == (Status.ERROR, "the answer has 513 characters, over 512")
        assert checker.check_text("\\boxed{" + "x" * 600 + "}", "1").status is Status.ERROR
        assert checker.check_answer("1", " ").status is Status.ERROR
        assert checker.check_answer("1", "1" * 5000).status is Status.ERROR
        assert checker.check_text("a" * 2**20 + "\\boxed{7}", "7").status is Status.CORRECT


@pytest.mark.parametrize(
    ("reference", "answer", "status"),
    [
        ("x^2 + 2x + 1", "(x+1)^2", Status.CORRECT),
        ("x^2 + 2x + 1", "(x-1)^2", Status.WRONG),
        ("2\\sqrt{2}", "\\sqrt{8}", Status.CORRECT),
        ("\\{1, 2\\}", "\\{2, 1\\}", Status.CORRECT),
        ("(1, 2)", "(2, 1)", Status.WRONG),
        ("42", "$42$ or $43$", Status.WRONG),
        ("x", "\\frac{", Status.WRONG),
        ("x", "}}{{", Status.WRONG),
        ("3", "\x003", Status.WRONG),
        ("3", "\ud800 4", Status.WRONG),
        ("42", "9**9**9**9", Status.WRONG),
        ("3", "__import__('os').system('true')3", Status.WRONG),
    ],
)
def test_mathematics(checker: AnswerChecker, reference: str, answer: str, status: Status) -> None:
    assert checker.check_answer(answer, reference).status is status


@pytest.mark.parametrize("answer", ["(" * 250 + "x" + ")" * 250, "{" * 500, "\\sqrt{" * 80 + "2", "\\frac" * 100 + "1"])
def test_deep_nesting_ends(checker: AnswerChecker, answer: str) -> None:
    start = time.monotonic()
    assert checker.check_answer(answer, "2x").status is not Status.CORRECT
    assert checker.check_answer("x+x", "2x").status is Status.CORRECT
    assert time.monotonic() - start < 5


def test_a_giant_is_killed_once_and_the_next_item_is_served() -> None:
    with AnswerChecker(seconds=0.3) as checker:
        start = time.monotonic()
        verdict = checker.check_answer(GIANT, "2y")
        assert (verdict.status, verdict.detail) == (Status.TIMEOUT, "no verdict within 0.3 s")
        assert time.monotonic() - start < 10  # the start of the process included
        start = time.monotonic()
        assert checker.check_answer(GIANT, "2y") == verdict
        assert time.monotonic() - start < 0.1
        checker.seconds = 15
        assert checker.check_answer("z+z", "2z").status is Status.CORRECT


def test_a_process_without_room_is_a_clear_error() -> None:
    before = {p.pid for p in workers()}
    with AnswerChecker(memory_mb=16) as checker, pytest.raises(LengthctlError, match="Give it more memory"):
        checker.check_answer("z+z", "2z")
    assert {p.pid for p in workers()} == before


def test_threads_share_the_workers_and_get_their_own_verdicts(monkeypatch: pytest.MonkeyPatch) -> None:
    pairs = [(f"{i} x", f"{i if i % 2 else i + 1} \\cdot x") for i in range(2, 22)]
    with AnswerChecker(workers=2) as checker:
        with ThreadPoolExecutor(8) as threads:
            verdicts = list(threads.map(lambda pair: checker.check_answer(*pair), pairs))
        assert [v.status is Status.CORRECT for v in verdicts] == [i % 2 == 1 for i in range(2, 22)]
        assert checker.check_many(pairs) == verdicts
        assert len(workers()) <= 3  # the two of this checker, and the one that other tests share
        mixed = [("4", "4"), ("x+x", "2x"), (None, "4"), ("x+x", "3x"), ("5", "4"), ("x+x", "2x")]
        expected = [Status.CORRECT, Status.CORRECT, Status.NO_ANSWER, Status.WRONG, Status.WRONG, Status.CORRECT]
        assert [verdict.status for verdict in checker.check_many(mixed)] == expected
        monkeypatch.setattr("lengthctl.checking.ThreadPoolExecutor", None)  # no threads for what is plain or known
        assert [verdict.status for verdict in checker.check_many(mixed)] == expected


def test_a_worker_is_replaced_after_its_items() -> None:
    with AnswerChecker(items_per_worker=1) as checker:
        before = {p.pid for p in workers()}
        assert checker.check_answer("a+a", "2a").status is Status.CORRECT
        assert {p.pid for p in workers()} == before


def test_close_ends_all_processes_busy_ones_too() -> None:
    before = {p.pid for p in workers()}
    checker = AnswerChecker(seconds=30)
    checker.check_answer("b+b", "2b")
    found: list[Status] = []
    thread = threading.Thread(target=lambda: found.append(checker.check_answer(GIANT, "2b").status))
    thread.start()
    time.sleep(0.2)
    assert {p.pid for p in workers()} - before
    checker.close()
    checker.close()
    thread.join(5)
    assert found == [Status.ERROR]
    assert {p.pid for p in workers()} == before
    with pytest.raises(ValueError, match="is closed"):
        checker.check_answer("c+c", "2c")


def test_a_forgotten_checker_leaves_no_process() -> None:
    before = {p.pid for p in workers()}
    checker = AnswerChecker()
    checker.check_answer("d+d", "2d")
    assert {p.pid for p in workers()} - before
    del checker
    gc.collect()
    assert {p.pid for p in workers()} == before


def test_limits_are_above_zero() -> None:
    with pytest.raises(ValueError, match="above 0"):
        AnswerChecker(workers=0)


@pytest.mark.skipif(DATA is None, reason="LENGTHCTL_DATA does not name the folder of development data")
def test_real_completions_that_another_grader_accepts_are_correct(checker: AnswerChecker) -> None:
    with (Path(str(DATA)) / "rl_without_gt_rollouts" / "step15_format_only.jsonl").open(encoding="utf-8") as file:
        rows = [json.loads(line) for line in list(file)[::6]]
    statuses = [checker.check_text(row["response"], row["ground_truth"]).status for row in rows]
    accepted = [row["score"] == 1.0 for row in rows]
    assert all(status is Status.CORRECT for status, ok in zip(statuses, accepted, strict=True) if ok)
    more = sum(s is Status.CORRECT and not ok for s, ok in zip(statuses, accepted, strict=True))
    assert more <= 0.03 * len(rows)  # decimals of fractions, matrices: equal, but not for that grader
    assert not {Status.ERROR, Status.TIMEOUT} & set(statuses)
