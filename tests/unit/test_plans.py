"""Plans: what counts as a step, what its length is, and how plans are made to add up."""

from __future__ import annotations

import contextlib
import json
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lengthctl.length import Relation, Target
from lengthctl.plan_grammar import parse_plan
from lengthctl.plans import (
    Plan,
    PlanError,
    PlanFault,
    PlanStep,
    aimed_length,
    fit_plan,
    scale_plan,
    step_length,
    steps_that_fit,
)

GOLDEN: dict[str, Any] = json.loads((Path(__file__).parents[1] / "golden" / "plans.json").read_text(encoding="utf-8"))


def steps(text: str, **options: Any) -> list[tuple[str, int | None]]:
    return [(step.point, step.length) for step in parse_plan(text, **options).steps]


def plan(*lengths: int | None) -> Plan:
    return Plan(tuple(PlanStep(f"point {n}", length) for n, length in enumerate(lengths)))


@pytest.mark.parametrize("case", GOLDEN["parsing"].values(), ids=list(GOLDEN["parsing"]))
def test_plans_of_the_sheet(case: dict[str, Any]) -> None:
    if "fault" in case:
        with pytest.raises(PlanError) as caught:
            parse_plan(case["text"])
        assert caught.value.fault == case["fault"]
        return
    found = parse_plan(case["text"])
    assert [[step.point, step.length] for step in found.steps] == case["steps"]
    assert found.dropped == case.get("dropped", 0)
    assert found.has_gaps is case.get("has_gaps", False)


@pytest.mark.parametrize("case", GOLDEN["scaling"], ids=str)
def test_scaling_of_the_sheet(case: dict[str, Any]) -> None:
    found = scale_plan(plan(*case["lengths"]), case["target"])
    assert [step.length for step in found.steps] == case["expected"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("第一段：起源（约五百字）\n第二段：兴起，字数：1千字", [("起源", 500), ("兴起", 1000)]),
        ("第1章 - 内容：开端 - 字数：2000字\n第2章 - 内容：结局 - 字数：两千字", [("开端", 2000), ("结局", 2000)]),
        ("一、背景（400字）\n二、结论（300字）", [("背景", 400), ("结论", 300)]),
        (
            "Absatz 1 - Hauptpunkt: Anfang - Wortzahl: 300 Wörter\nAbsatz 2 - Ende - Wortzahl: 1.200 Wörter",
            [("Anfang", 300), ("Ende", 1200)],
        ),
        ("Paragraphe 1 – Idée principale : Le port – Nombre de mots : 250 mots", [("Le port", 250)]),
        ("Абзац 1 - Начало - 300 слов\nАбзац 2 - Конец - 400 слов", [("Начало", 300), ("Конец", 400)]),
        ("1단락: 시작 (300단어)", [("시작", 300)]),
        ("Tag 1: Ankunft (200 Wörter)\nTag 2: Abreise (300 Wörter)", [("Ankunft", 200), ("Abreise", 300)]),
        (
            "| # | Point | Words |\n|---|---|---|\n| 1 | The start | 200 words |\n| 2 | The end | 300 words |",
            [("The start", 200), ("The end", 300)],
        ),
        (
            "### Paragraph 1\n- Main Point: X\n- Word Count: 400\n### Paragraph 2\n- **Main Point:** Y\n- 300 words",
            [("X", 400), ("Y", 300)],
        ),
        ("Paragraph 1: The start\n  Main Point: who came - Word Count: 300", [("The start: who came", 300)]),
        ("Section 1: All\nParagraph 1 - X - 100 words\nParagraph 2 - Y - 200 words", [("X", 100), ("Y", 200)]),
        (
            "<think>1. no (5 words)</think>Paragraph One: X (70 words)\nParagraph two: Y (80 words)",
            [("X", 70), ("Y", 80)],
        ),
        ("Paragraph 1 of 2: X, length: 300 characters", [("X", 300)]),
        ("Paragraph 1 - Word Count: 300 words - Main Point: X", [("X", 300)]),
        ("Paragraph 1 - Main Point: [X] - Word Count: <about 1 000 words>", [("X", 1000)]),
        ("Part II: X (10 words)\nPart III: Y (20 words)", [("X", 10), ("Y", 20)]),
        (
            "1. In 1990, 1.5 million came\n2. By 2000 they left",
            [("In 1990, 1.5 million came", None), ("By 2000 they left", None)],
        ),
        ("1. X - Word Count: 0 words\n2. Y - Word Count: 99999999 words", [("X", None), ("Y", None)]),
    ],
)
def test_plans_in_other_forms(text: str, expected: list[tuple[str, int | None]]) -> None:
    assert steps(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "Part 1 of my life was hard.",
        "A text without any list.\nIt has two lines.",
        "\x00",
        "-" * 99,
        "<think>\nParagraph 1 - Main Point: Perhaps the rise - Word Count: 300 words",
    ],
)
def test_prose_is_no_plan(text: str) -> None:
    with pytest.raises(PlanError) as caught:
        parse_plan(text)
    assert caught.value.fault is PlanFault.NO_STEPS


def test_plans_that_are_refused() -> None:
    with pytest.raises(PlanError) as caught:
        parse_plan("\n".join(f"{n}. point {n} (50 words)" for n in range(1, 52)))
    assert caught.value.fault is PlanFault.TOO_MANY_STEPS
    with pytest.raises(PlanError) as caught:
        parse_plan("1. The Start (50 words)\n2. the  start (60 words)")
    assert caught.value.fault is PlanFault.REPEATED_POINT


def test_of_a_plan_in_a_loop_the_first_steps_can_be_kept() -> None:
    loop = "1. The start (50 words)\n2. The end (60 words)\n" + "".join(
        f"{n}. the  End (70 words)\n" for n in range(3, 90)
    )
    assert steps(loop, keeps_first=True) == [("The start", 50), ("The end", 60)]


def test_a_plan_cut_by_the_limit_loses_its_torn_step() -> None:
    text = "Paragraph 1 - Main Point: X - Word Count: 400 words\nParagraph 2 - Main Point: Y, which"
    assert steps(text, is_cut=True) == [("X", 400)]
    assert len(steps(text)) == 2


@given(st.text(max_size=300))
def test_any_text_is_a_plan_or_none(text: str) -> None:
    try:
        found = parse_plan(text)
    except PlanError:
        return
    assert 1 <= len(found.steps) <= 50
    assert all(step.point.strip() and "\n" not in step.point for step in found.steps)
    assert all(step.length is None or step.length >= 1 for step in found.steps)


_PIECES = st.sampled_from(
    [
        "Paragraph ",
        "第",
        "段",
        "1",
        "2",
        ". ",
        " - ",
        "Main Point: ",
        "Word Count: ",
        "400",
        " words",
        "\n",
        "(",
        ")",
        "字数：",
        "五百",
        "**",
        "x",
        "|",
        "[",
        "k",
        ",",
        "-",
        "about ",
        "Total",
    ]
)


@given(st.lists(_PIECES, max_size=40).map("".join), st.integers(1, 30_000))
def test_any_plan_can_be_scaled_and_divided(text: str, target: int) -> None:
    try:
        found = parse_plan(text)
    except PlanError:
        return
    scaled = scale_plan(found, target)
    assert all(step.length and step.length >= 1 for step in scaled.steps)
    divided = fit_plan(scaled, floor=200, ceiling=1000, max_steps=50)
    assert divided.length == scaled.length
    assert 1 <= len(divided.steps) <= 50


@given(st.lists(st.integers(1, 1000), min_size=1, max_size=50), st.integers(500, 30_000))
def test_a_scaled_plan_adds_up(lengths: list[int], target: int) -> None:
    found = scale_plan(plan(*lengths), target)
    slack = max(0.15 * target, 5 * len(lengths))  # each step is rounded by five at most
    assert abs(found.length - target) <= slack + len(lengths)


@given(st.lists(st.integers(20, 900), min_size=1, max_size=50), st.floats(0.6, 1.4))
def test_a_writer_that_keeps_its_lengths_meets_the_target(lengths: list[int], off: float) -> None:
    target = max(1, round(sum(lengths) * off))
    left, written = plan(*lengths).steps, 0
    while left:
        written += step_length(left, written, target)
        left = left[1:]
    assert abs(written - target) <= 1


def test_later_steps_make_up_for_earlier_ones_within_bounds() -> None:
    left = plan(400, 600).steps
    assert step_length(left, 200, 1000) == 320
    assert step_length(left, 5000, 1000) == 200
    assert step_length(left, 0, 9000) == 600
    assert step_length(left, 7, None) == 400


def test_long_steps_are_divided_and_short_ones_put_together() -> None:
    bounds = {"floor": 200, "ceiling": 1000, "max_steps": 50}
    found = fit_plan(plan(1500, 3000, 100), **bounds)
    assert [(s.point, s.length) for s in found.steps[1:4]] == [(f"point 1 ({n}/3)", 1000) for n in (1, 2, 3)]
    assert [s.length for s in found.steps] == [1500, 1000, 1000, 1000, 100]
    assert len(fit_plan(plan(9000, 9000), floor=200, ceiling=1000, max_steps=4).steps) == 4
    merged = fit_plan(plan(*[60] * 9), **bounds)
    assert [s.length for s in merged.steps] == [240, 300]
    assert merged.steps[0].point == "point 0; point 1; point 2; point 3"
    assert fit_plan(plan(120, 120), **bounds) == plan(120, 120)


def test_steps_for_which_no_length_is_left_go() -> None:
    steps = plan(400, 400, 400).steps
    assert steps_that_fit(steps, 0, 1200) == steps
    assert steps_that_fit(steps, 500, 1200) == steps
    assert steps_that_fit(steps, 700, 1200) == (steps[0], steps[2])
    assert steps_that_fit(steps, 1150, 1200) == (steps[2],)
    assert steps_that_fit(steps, 1200, 1200) == ()
    assert steps_that_fit(steps, 9999, None) == steps


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        (Target(1000), 1000),
        (Target(1000, Relation.ABOUT, tolerance=0.2), 1000),
        (Target(1000, Relation.RANGE, high=1500), 1250),
        (Target(1000, Relation.AT_LEAST), 1100),
        (Target(1000, Relation.AT_MOST), 900),
        (Target(1, Relation.AT_MOST), 1),
    ],
)
def test_what_a_plan_aims_at_satisfies_the_target(target: Target, expected: int) -> None:
    assert aimed_length(target) == expected
    assert expected in target.band


@pytest.mark.parametrize(
    "unit",
    [
        "\n",
        "1. ",
        "Paragraph 1 - ",
        "Word Count: ",
        "(",
        "400 ",
        "- " * 20,
        "第",
        "x",
        " ",
        "1,",
        "Paragraph 1 - Main Point: x\n",
        "字数：",
    ],
)
def test_a_megabyte_is_read_in_no_time(unit: str) -> None:
    text = unit * (1_000_000 // len(unit))
    start = time.perf_counter()
    with contextlib.suppress(PlanError):
        parse_plan(text)
    assert time.perf_counter() - start < 2
