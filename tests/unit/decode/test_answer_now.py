"""`answer_now` draws what budget forcing draws that puts no end off."""

from __future__ import annotations

import pytest
from word_model import EOS, VOCABULARY, word_tokenizer

from lengthctl.decode.budget import BudgetForcing
from lengthctl.decode.build import parse_control
from lengthctl.decode.control import Context, Control, Draw, Outcome, Task
from lengthctl.errors import ConfigError
from lengthctl.records import Completion, FinishReason
from lengthctl.rollout.backend import Sampling

TASK = Task("t", ({"role": "user", "content": "How many?"},))
CONTEXT = Context(Sampling(max_tokens=400), word_tokenizer())
SPEC = 'answer_now:tokens=3,end="</think>",answer_prefix="Answer:",answer_tokens=2'


def ids(words: str) -> tuple[int, ...]:
    return tuple(EOS if word == "E" else VOCABULARY.index(word.replace("N", "\n")) for word in words.split())


def drawn(control: Control, words: str, finish: FinishReason) -> tuple[list[Draw], Outcome]:
    steps = control.steps(TASK, CONTEXT)
    asked = list(next(steps))
    with pytest.raises(StopIteration) as ended:
        steps.send([Completion("t", words, ids(words), (), finish)])
    return asked, ended.value.value


@pytest.mark.parametrize(
    ("words", "finish", "ends", "forced"),
    [
        ("Ant Bee </think> Cat E", FinishReason.EOS, FinishReason.EOS, 0),  # it ended within the limit
        ("Ant Bee Cat N </think> Answer: Dog E", FinishReason.EOS, FinishReason.BUDGET, 3),  # cut, and answered
        ("Ant Bee Cat N </think> Answer: Dog Elk", FinishReason.LIMIT, FinishReason.LIMIT, 3),  # no end of the answer
    ],
)
def test_it_is_budget_forcing_in_one_request(words: str, finish: FinishReason, ends: FinishReason, forced: int) -> None:
    asked, outcome = drawn(parse_control(SPEC), words, finish)
    same = BudgetForcing(tokens=3, end="</think>", answer_prefix="Answer:", answer_tokens=2)
    assert (asked, outcome) == drawn(same, words, finish)
    (draw,) = asked
    assert draw.sampling.max_tokens == 3 + 3 + 2
    assert draw.sampling.rules["token_budget"]["limit"] == 3
    assert (outcome.finish, outcome.forced_tokens) == (ends, forced)
    assert outcome.token_ids == ids(words)


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("answer_now:tokens=0", "at least 1"),
        ("answer_now:answer_tokens=0", "at least 1"),
        ("answer_now:ignores=1", "has no option 'ignores'"),
    ],
)
def test_refusals(spec: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        parse_control(spec)


def test_a_prefix_may_hold_hashes_and_line_breaks() -> None:
    control = parse_control('answer_now:answer_prefix="\\n####",tokens=16')
    assert control == parse_control('answer_now:tokens=16,answer_prefix="\\n####"')
    assert control.answer_prefix == "\n####"  # type: ignore[attr-defined]
    assert control.refuses(None) is None
