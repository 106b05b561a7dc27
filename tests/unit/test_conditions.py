"""Conditions of reasoning: one wording for data, training and decoding."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lengthctl.conditions import COMPRESSION_LEVELS, CONDITIONS, LONG, SHORT, ask_condition, conditions_digest

GOLDEN = json.loads((Path(__file__).parents[1] / "golden" / "c3ot.json").read_text(encoding="utf-8"))


def test_the_levels_are_those_of_the_paper() -> None:
    assert dict(COMPRESSION_LEVELS) == pytest.approx(GOLDEN["levels"])
    assert set(CONDITIONS) == {LONG, SHORT, *COMPRESSION_LEVELS}


def test_conditions_are_told_apart_by_their_words() -> None:
    words = list(CONDITIONS.values())
    assert len(set(words)) == len(words)
    assert not any(one != other and other.startswith(one) for one in words for other in words)
    assert all(word == word.strip() and "\n" not in word for word in words)


@given(st.text(), st.sampled_from(sorted(CONDITIONS)))
def test_the_question_stands_behind_the_condition_untouched(question: str, condition: str) -> None:
    turns = ({"role": "system", "content": "Be kind."}, {"role": "user", "content": question})
    first, last = ask_condition(turns, condition)
    assert first == turns[0]
    assert last["role"] == "user"
    words, _, rest = last["content"].partition("\n")
    assert (words, rest) == (CONDITIONS[condition], question)
    assert turns[1]["content"] == question


def test_unknown_conditions_and_no_question_are_refused() -> None:
    with pytest.raises(ValueError, match="'brief'"):
        ask_condition(({"role": "user", "content": "How many?"},), "brief")
    with pytest.raises(ValueError, match="there is none"):
        ask_condition((), SHORT)


def test_the_digest_is_of_the_words(monkeypatch: pytest.MonkeyPatch) -> None:
    before = conditions_digest()
    assert len(before) == 12
    monkeypatch.setattr("lengthctl.conditions.CONDITIONS", {**CONDITIONS, SHORT: "Be brief."})
    assert conditions_digest() != before
