"""Answers that are valid mathematics and texts that are none; any text ends in bounded time."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lengthctl.valid_math import is_valid_math

PIECES = (
    *(
        "\\frac",
        "\\sqrt",
        "\\left(",
        "\\right)",
        "{",
        "}",
        "(",
        ")",
        "[",
        "]",
        "|",
        "\\{",
        "\\}",
        "^",
        "_",
        "+",
        "-",
        "*",
    ),
    *("=", ",", "&", "\\\\", "\\begin{cases}", "\\end{cases}", "\\text", "x", "12", ".", "\\sin", "\\%"),
)


@pytest.mark.parametrize("text", ["1", r"\frac{3}{2}", "x^2 + 12y =1", r"(0,\infty)"])
def test_right_examples_of_the_paper(text: str) -> None:
    assert is_valid_math(text)


@pytest.mark.parametrize("text", ["", "x +* 2", "(0,1 "])
def test_wrong_examples_of_the_paper(text: str) -> None:
    assert not is_valid_math(text)


@pytest.mark.parametrize(
    "text",
    [
        "-0.5",
        "1,234",
        r"5{,}400",
        r"\$32.50",
        r"10\%",
        r"90^\circ",
        r"\frac12",
        r"\dfrac{\sqrt{3}}{2}",
        r"\sqrt[3]{2}",
        r"2\sin^2 x",
        "10^-3",
        "3 + -2",
        "[0,1)",
        r"\left[ 0, \frac{\pi}{2} \right)",
        r"(-\infty, 2) \cup (3, \infty)",
        r"x \in \{1, 2, \ldots, n\}",
        r"\{x \mid |x| < 1\}",
        r"\{x | x > 0\}",
        "2|x-1|",
        r"\lfloor x \rfloor",
        r"\begin{pmatrix} 1 & -1 \\ 0 & 2 \end{pmatrix}",
        r"f(x) = \begin{cases} x & x \ge 0 \\ -x & x < 0 \end{cases}",
        r"\approx 8.24",
        r"\sum_{i=1}^{n} i^2",
        r"a_{n+1} = 2a_n",
        r"11001_2",
        r"\binom{n}{k}",
        r"f^{-1}(x)",
        r"x^{\circ}",
        r"\text{Tuesday, at noon!}",
        "no solution",
        r"$42$",
        r"\(42\).",
        r"\mathbb{R}",
    ],
)
def test_answers_as_models_write_them(text: str) -> None:
    assert is_valid_math(text)


@pytest.mark.parametrize(
    "text",
    [
        " ",
        "?",
        "x+",
        "* 2",
        "= 5",
        "1,",
        ",1",
        "()",
        "{}",
        ")(",
        "(1, 2",
        "1)",
        "|x",
        r"\frac{1}",
        r"\frac{}{2}",
        r"\frac{1}{2",
        r"\sqrt",
        r"\sin",
        "x^",
        "x^{2",
        "^2",
        r"\text",
        r"\text{}",
        r"\text{open",
        r"\farc{1}{2}",
        r"\input{secrets}",
        r"\begin{pmatrix} 1 & 2 \end{bmatrix}",
        r"\begin{evil} 1 \end{evil}",
        r"\left",
        r"\\",
        "__import__('os')",
        "1 < 2 <",
    ],
)
def test_texts_that_are_no_mathematics(text: str) -> None:
    assert not is_valid_math(text)


def test_length_and_depth_are_bounded() -> None:
    assert is_valid_math("1" * 200)
    assert not is_valid_math("1" * 201)
    assert is_valid_math("(" * 20 + "1" + ")" * 20)
    assert not is_valid_math("(" * 21 + "1" + ")" * 21)
    assert not is_valid_math("\\frac" * 40)


@given(st.text(max_size=400))
def test_any_text_is_answered(text: str) -> None:
    assert is_valid_math(text) in (True, False)


@given(st.lists(st.sampled_from(PIECES), max_size=60))
def test_pieces_of_mathematics_are_answered(pieces: list[str]) -> None:
    text = " ".join(pieces)
    if len(text) <= 198:
        assert is_valid_math(text) is is_valid_math(f" {text} ")
    elif len(text) > 200:
        assert not is_valid_math(text)


@given(
    st.recursive(
        st.sampled_from(["x", "7", "2.5"]),
        lambda inner: st.one_of(
            st.tuples(inner, inner).map(lambda two: f"\\frac{{{two[0]}}}{{{two[1]}}}"),
            st.tuples(inner, inner).map(lambda two: f"({two[0]} + {two[1]})"),
            st.tuples(inner, inner).map(lambda two: f"{two[0]} \\cdot {two[1]}"),
            inner.map(lambda one: f"\\sqrt{{{one}}}"),
        ),
        max_leaves=8,
    )
)
def test_what_is_built_from_rules_is_valid_until_a_brace_is_lost(text: str) -> None:
    if len(text) > 200:
        return
    assert is_valid_math(text)
    if "}" in text:
        assert not is_valid_math(text[: text.rindex("}")] + text[text.rindex("}") + 1 :])
    assert not is_valid_math(f"{text} +")


@pytest.mark.parametrize(
    "piece", ["(", "{", "\\frac{", "x^", "\\left(", "|", "\\begin{cases}", "1+", "\\", "a_", ".", "1,"]
)
def test_repeats_take_no_time(piece: str) -> None:
    started = time.perf_counter()
    for size in range(1, 201):
        is_valid_math((piece * 200)[:size])
    assert time.perf_counter() - started < 2  # 200 texts; some milliseconds each where a rule went back
