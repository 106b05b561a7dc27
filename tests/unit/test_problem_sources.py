"""Problem sets: our own rows, bad input, and the real files where they are."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from lengthctl.checking import AnswerChecker, Status
from lengthctl.errors import DataError
from lengthctl.problem_sources import load_problems

DATA = os.environ.get("LENGTHCTL_DATA")
needs_data = pytest.mark.skipif(DATA is None, reason="LENGTHCTL_DATA does not name the folder of development data")


def write(path: Path, *rows: dict[str, Any]) -> str:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return str(path)


def test_gsm8k_rows(tmp_path: Path) -> None:
    source = write(tmp_path / "a.jsonl", {"question": "How many?", "answer": "500 * 2 = 1000\n#### 1,000", "note": 3})
    (problem,) = load_problems("gsm8k", source)
    assert (problem.question, problem.answer, problem.source) == ("How many?", "1000", "gsm8k")
    assert problem.difficulty is None
    assert dict(problem.columns) == {"answer": "500 * 2 = 1000\n#### 1,000", "note": 3}
    assert load_problems("gsm8k", source)[0].id == problem.id


def test_math_rows_with_an_answer_or_a_boxed_solution(tmp_path: Path) -> None:
    source = write(
        tmp_path / "a.jsonl",
        {"unique_id": "m/1", "problem": "p", "answer": "\\frac{1}{2}", "level": 3},
        {"unique_id": "m/2", "problem": "q", "solution": "so $\\boxed{\\{1, 2\\}}$.", "level": "Level 5"},
    )
    first, second = load_problems("math", source)
    assert (first.id, first.answer, first.difficulty) == ("m/1", "\\frac{1}{2}", 3.0)
    assert (second.id, second.answer, second.difficulty) == ("m/2", "\\{1, 2\\}", 5.0)


def test_aime_rows_in_either_case(tmp_path: Path) -> None:
    rows = [{"ID": "1", "Problem": "p", "Answer": 25}, {"ID": "2", "Problem": "q", "Answer": "025"}]
    assert [p.answer for p in load_problems("aime", write(tmp_path / "a.jsonl", *rows))] == ["25", "25"]


def test_limit(tmp_path: Path) -> None:
    rows = [{"id": i, "problem": f"p{i}", "answer": str(i)} for i in range(5)]
    assert [p.id for p in load_problems("aime", write(tmp_path / "a.jsonl", *rows), limit=2)] == ["0", "1"]


@pytest.mark.parametrize(
    ("name", "row", "match"),
    [
        ("gsm8k", {"problem": "p", "answer": "#### 1"}, r"a\.jsonl:1: no column 'question' \(found: problem, answer\)"),
        ("math", {"problem": "p"}, "no column 'answer' or 'solution'"),
        ("math", {"problem": "p", "solution": "no box"}, "holds no answer of math"),
        ("gsm8k", {"question": "q", "answer": "42"}, "text after ####"),
        ("aime", {"problem": "p", "answer": "1/2"}, "a whole number"),
        ("aime", {"problem": "p", "answer": [1]}, "found list"),
        ("aime", {"problem": "", "answer": "1"}, "'problem' is to be a text"),
        ("aime", {"problem": ["p"], "answer": "1"}, "found list"),
        ("aime", {"problem": "\ud800", "answer": "1"}, "half a surrogate pair"),
        ("gms8k", {}, "did you mean gsm8k"),
    ],
)
def test_bad_rows_are_named(tmp_path: Path, name: str, row: dict[str, Any], match: str) -> None:
    with pytest.raises(DataError, match=match):
        load_problems(name, write(tmp_path / "a.jsonl", row))


def test_bad_files(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="has no problems"):
        load_problems("aime", write(tmp_path / "a.jsonl"))
    with pytest.raises(DataError, match="Check the path"):
        load_problems("aime", str(tmp_path / "b.jsonl"))
    with pytest.raises(DataError, match="has no problems"):
        load_problems("aime", write(tmp_path / "d.jsonl", {"problem": "p", "answer": None}))
    row = {"id": "same", "problem": "p", "answer": "1"}
    with pytest.raises(DataError, match="stands twice"):
        load_problems("aime", write(tmp_path / "c.jsonl", row, row))


@needs_data
@pytest.mark.parametrize(
    ("name", "file", "count"),
    [
        ("gsm8k", "gsm8k/test.jsonl", 1319),
        ("gsm8k", "gsm8k/train.jsonl", 7473),
        ("math500", "math500/math500.jsonl", 500),
        ("aime", "aime2024/aime2024.jsonl", 30),
    ],
)
def test_real_files(name: str, file: str, count: int) -> None:
    problems = load_problems(name, str(Path(str(DATA)) / file))
    assert len(problems) == count
    assert len({p.id for p in problems}) == count
    if name == "gsm8k":
        assert all(p.answer == p.columns["final_answer"] for p in problems)
    if name == "math500":
        assert {p.difficulty for p in problems} == {1.0, 2.0, 3.0, 4.0, 5.0}


@needs_data
def test_real_rows_without_an_answer_are_left_out() -> None:
    with pytest.warns(UserWarning, match="left out: 4, first 887"):
        assert len(load_problems("math", str(Path(str(DATA)) / "math_train/math_train.jsonl"))) == 7470


@needs_data
def test_real_solutions_are_correct_by_the_checker() -> None:
    """GSM8K's own solutions need no process; nor do MATH's answers against their boxes."""
    with AnswerChecker() as checker:
        for problem in load_problems("gsm8k", str(Path(str(DATA)) / "gsm8k/test.jsonl")):
            assert checker.check_text(problem.columns["answer"], problem.answer).status is Status.CORRECT
        for problem in load_problems("math500", str(Path(str(DATA)) / "math500/math500.jsonl")):
            assert checker.check_text(problem.columns["solution"], problem.answer).status is Status.CORRECT
