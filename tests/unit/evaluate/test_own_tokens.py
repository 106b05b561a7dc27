"""Shares of texts inside the band of the token in front of them."""

from __future__ import annotations

from typing import Any

from lengthctl.evaluate.own_tokens import own_token_summary
from lengthctl.mlt import RULER_TABLE


def row(prompt: str, token: str | None, words: int) -> dict[str, Any]:
    return {"prompt_id": prompt, "text": "word " * words, **({} if token is None else {"mlt": token})}


def test_each_text_is_held_against_its_own_token() -> None:
    rows = [row("a", "10", 20), row("a", "10", 21), row("b", "80", 62), row("b", "80", 80), row("c", None, 10)]
    found = own_token_summary(rows, RULER_TABLE, 0)
    assert found is not None
    assert (found["fm"]["value"], found["pm"]["value"]) == (0.75, 0.5)  # 62 words: in FM of 80, not in PM
    assert found["by_token"] == {"10": {"n": 2, "fm": 0.5}, "80": {"n": 2, "fm": 1.0}}
    assert found["no_token"] == 1
    assert 0 <= found["fm"]["low"] <= 0.75 <= found["fm"]["high"] <= 1


def test_ruler_counts_no_words_of_the_token_itself() -> None:
    """799 words behind [MLT:>800] miss, where its code counts two of the token."""
    missed, hit = (own_token_summary([row("a", ">800", n)], RULER_TABLE, 0) for n in (799, 801))
    assert missed is not None
    assert hit is not None
    assert (missed["fm"]["value"], hit["fm"]["value"]) == (0.0, 1.0)


def test_without_tokens_there_is_nothing_to_tell() -> None:
    assert own_token_summary([row("a", None, 10)], RULER_TABLE, 0) is None
