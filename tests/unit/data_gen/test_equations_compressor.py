"""Equations of worked arithmetic: read from the text alone, whatever its verbosity."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lengthctl.data_gen.checkable import Verbosity, make_tasks
from lengthctl.data_gen.equations_compressor import find_equations, keep_equations
from lengthctl.data_gen.reasoned_rows import split_steps

GOLDEN = json.loads((Path(__file__).parents[2] / "golden" / "c3ot.json").read_text(encoding="utf-8"))["equations"]


@pytest.mark.parametrize("case", GOLDEN.values(), ids=list(GOLDEN))
def test_golden(case: dict[str, Any]) -> None:
    assert keep_equations(case["text"], case["answer"]) == case["kept"]


@pytest.mark.parametrize("verbosity", list(Verbosity))
def test_every_verbosity_comes_to_the_equations_of_the_task(verbosity: Verbosity) -> None:
    for digits in (1, 3):
        for task in make_tasks(300, seed=5, steps=(1, 8), digits=digits):
            parts = split_steps(task.worked[verbosity])
            assert parts is not None
            reasoning, tail, final = parts
            assert (tail, final) == (f"\n#### {task.answer}", task.answer)
            kept = keep_equations(reasoning, final)
            terse = task.worked[Verbosity.TERSE].partition("\n####")[0]
            assert kept == terse, task.question


@given(st.text(alphabet="0123456789+-*/=,. \nplusminti\u2212x$<>"))
def test_any_text_is_read(text: str) -> None:
    for equation in find_equations(text):
        assert equation.operands
        assert not any(character.isspace() for character in str(equation))
        kept = keep_equations(text, equation.right)
        assert kept is None or str(find_equations(kept)[-1]) == kept.split("\n")[-1]


@pytest.mark.parametrize("part", ["1 + ", "1,000,", "<<", "1+1=1 ", "9" * 15, "To check: ", "- ", "1.1."])
def test_time_is_linear(part: str) -> None:
    start = time.perf_counter()
    keep_equations(part * (200_000 // len(part)), "1")
    assert time.perf_counter() - start < 2
