"""Tokens of reasoning where the tags are no tokens of their own: counted by what each token says."""

from __future__ import annotations

import re
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lengthctl.config import ModelConfig
from lengthctl.models import BUNDLED, load_tokenizer
from lengthctl.reasoning import count_reasoning_pieces, count_reasoning_tokens, parse_reasoning

TAGS = {"<think>": 0, "</think>": 1}


@pytest.mark.parametrize(
    ("pieces", "reasoning", "answer"),
    [
        (["<think>", "a", "b", "</think>", "c"], 2, 1),
        (["<", "think", ">\n", "a", "b", "\n</", "think", ">\n\n", "c", "d", "</s>"], 2, 3),
        (["a", "b", "</", "think", ">", "c"], 2, 1),  # the template opened it
        (["<think", "><", "/think>", "c"], 0, 1),
        (["", "a", "", "</think>", "", "c"], 3, 2),
        (["a", "b"], 0, 2),
        ([], 0, 0),
    ],
)
def test_tokens_that_touch_a_tag_belong_to_it(pieces: list[str], reasoning: int, answer: int) -> None:
    found = count_reasoning_pieces(pieces)
    assert (found.reasoning, found.answer, found.total) == (reasoning, answer, len(pieces))


def test_reasoning_that_never_closes() -> None:
    found = count_reasoning_pieces(["<", "think", ">", "a", "b"])
    assert (found.reasoning, found.is_closed) == (2, False)
    opened = count_reasoning_pieces(["a", "b"], starts_open=True)
    assert (opened.reasoning, opened.answer, opened.is_closed) == (2, 0, False)


@given(st.lists(st.sampled_from(["<think>", "</think>", "a", "b c", "\n"]), max_size=30), st.booleans())
def test_it_agrees_with_ids_where_a_tag_is_a_token(pieces: list[str], starts_open: bool) -> None:
    ids = [TAGS.get(piece, 2) for piece in pieces]
    assert count_reasoning_pieces(pieces, starts_open=starts_open) == count_reasoning_tokens(
        ids, 1, 0, starts_open=starts_open
    )


@given(st.text(alphabet="<>/think ab\n", max_size=80), st.data())
def test_however_a_text_is_cut_the_parts_stay_in_bounds(text: str, data: st.DataObject) -> None:
    cuts = sorted(data.draw(st.sets(st.integers(0, len(text)))) | {0, len(text)})
    pieces = [text[a:b] for a, b in pairwise(cuts)]
    found = count_reasoning_pieces(pieces)
    assert 0 <= found.reasoning + found.answer <= found.total == len(pieces)
    assert found.is_closed == parse_reasoning(text).is_closed
    assert count_reasoning_pieces(list(text)).reasoning == len(parse_reasoning(text).reasoning) - _joints(text)


def _joints(text: str) -> int:
    """Line breaks that the parser puts between stretches of reasoning."""
    inside, opened, stretches = False, False, 0
    for tag in re.findall("</?think>", text):
        if tag == "<think>":
            inside = opened = True
        elif inside or not opened:
            stretches += 1
            inside, opened = False, True
    return max(0, stretches + inside - 1)


def test_a_base_model_spells_the_tags() -> None:
    tokenizer = load_tokenizer(ModelConfig(name=BUNDLED, chat_template="chatml"))
    text = "<think>\n2 and 3 make 5.\n</think>\n\nThe answer is 5."
    ids = tokenizer.encode(text)
    pieces = [tokenizer.tokenizer.decode([i]) for i in ids]
    found = count_reasoning_pieces(pieces)
    assert found.reasoning == pytest.approx(len(tokenizer.encode("\n2 and 3 make 5.\n")), abs=1)
    assert found.answer == pytest.approx(len(tokenizer.encode("\n\nThe answer is 5.")), abs=1)
    spelled = (tokenizer.encode("</think>"), tokenizer.encode("<think>"))
    assert min(map(len, spelled)) > 1
