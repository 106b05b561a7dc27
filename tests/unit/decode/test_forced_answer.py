"""What is written behind a thought that was cut, and the text that it makes with its answer."""

from __future__ import annotations

import pytest
from word_model import EOS, VOCABULARY, word_tokenizer

from lengthctl.decode.forced_answer import answered, closing_ids, thought_ends
from lengthctl.errors import ModelError
from lengthctl.records import Completion, FinishReason

TOKENIZER = word_tokenizer()


def ids(words: str) -> tuple[int, ...]:
    return tuple(EOS if word == "E" else VOCABULARY.index(word.replace("N", "\n")) for word in words.split())


def test_a_model_without_thoughts_gets_the_prefix_alone() -> None:
    assert thought_ends(TOKENIZER, None) == (EOS,)
    assert closing_ids(TOKENIZER, None, "Answer:", thought=ids("Ant")) == ids("Answer:")


@pytest.mark.parametrize(("thought", "expected"), [("Ant", "N </think> Answer:"), ("Ant N", "</think> Answer:")])
def test_the_end_of_a_thought_stands_on_a_line_of_its_own(thought: str, expected: str) -> None:
    assert closing_ids(TOKENIZER, "</think>", "Answer:", thought=ids(thought)) == ids(expected)


def test_an_end_of_several_tokens_is_told() -> None:
    with pytest.raises(ModelError, match="2 tokens"):
        closing_ids(TOKENIZER, "Wait Wait", "Answer:")


@pytest.mark.parametrize(
    ("finish", "is_cut", "expected"),
    [
        (FinishReason.EOS, True, FinishReason.BUDGET),
        (FinishReason.EOS, False, FinishReason.EOS),
        (FinishReason.LIMIT, True, FinishReason.LIMIT),
    ],
)
def test_a_cut_thought_says_so_unless_its_answer_was_cut_too(
    finish: FinishReason, is_cut: bool, expected: FinishReason
) -> None:
    answer = Completion("t", "", ids("Bee E"), (), finish)
    found = answered(TOKENIZER, ids("Ant Answer:"), answer, forced=1, is_cut=is_cut)
    assert (found.token_ids, found.finish, found.forced_tokens) == (ids("Ant Answer: Bee E"), expected, 1)
    assert found.text.split() == ["Ant", "Answer:", "Bee"]
