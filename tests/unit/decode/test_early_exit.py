"""`early_exit`: when an answer is tried, when it is taken, and what a text is made of then."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from word_model import EOS, VOCABULARY, FakeWordModel, word_tokenizer

from lengthctl.decode.build import parse_control
from lengthctl.decode.control import Context, Draw, Outcome, Task
from lengthctl.decode.early_exit import EarlyExit, answer_confidence
from lengthctl.decode.run import run_controls
from lengthctl.errors import ConfigError, ModelError
from lengthctl.records import Completion, FinishReason
from lengthctl.rollout.backend import Sampling

GOLDEN = json.loads((Path(__file__).parents[2] / "golden" / "early_exit.json").read_text())
TASK = Task("t", ({"role": "user", "content": "How many?"},))
CONTEXT = Context(Sampling(max_tokens=400, temperature=0.6), word_tokenizer())


def ids(words: str) -> tuple[int, ...]:
    return tuple(EOS if word == "E" else VOCABULARY.index(word.replace("N", "\n")) for word in words.split())


def completion(words: str, probability: float = 0.5) -> Completion:
    """Ended where its last word is N, E or the end of the thought, else by its limit."""
    found = ids(words)
    ended = words.split()[-1] in ("N", "E", "</think>")
    logprobs = tuple(math.log(probability) for _ in found)
    return Completion("t", words, found, logprobs, FinishReason.EOS if ended else FinishReason.LIMIT)


def play(control: EarlyExit, script: Sequence[Completion]) -> tuple[list[Draw], Outcome]:
    """What the control asks for, given these completions one after another."""
    steps, asked = control.steps(TASK, CONTEXT), list[Draw]()
    asked += next(steps)
    for number, part in enumerate(script):
        try:
            asked += steps.send([part])
        except StopIteration as ended:
            assert number == len(script) - 1
            return asked, ended.value
    raise AssertionError("the control asks for more")


@pytest.mark.parametrize("case", GOLDEN["confidence"], ids=str)
def test_confidence(case: dict[str, list[float] | float]) -> None:
    probabilities = case["probabilities"]
    assert isinstance(probabilities, list)
    assert answer_confidence([math.log(p) for p in probabilities]) == pytest.approx(case["expected"], abs=1e-6)


def test_it_ends_with_the_first_answer_that_is_sure() -> None:
    control = EarlyExit(after=1, answer_prefix="Answer:", answer_tokens=4)
    script = [
        completion("Ant Bee N"),
        completion("Cat E", 0.94),  # not sure enough: dropped
        completion("Dog N"),
        completion("Elk E", 0.96),
    ]
    asked, outcome = play(control, script)
    assert outcome.token_ids == ids("Ant Bee N Dog Answer: Elk E")
    assert (outcome.finish, outcome.forced_tokens) == (FinishReason.EOS, 1)
    assert [draw.prefix for draw in asked] == [
        (),
        ids("Ant Bee Answer:"),
        ids("Ant Bee N"),
        ids("Ant Bee N Dog Answer:"),
    ]
    step, trial = asked[0].sampling, asked[1].sampling
    assert step.stop_token_ids == ids("N E")
    assert (step.temperature, trial.temperature) == (0.6, 1.0)
    assert (step.max_tokens, asked[2].sampling.max_tokens, trial.max_tokens) == (256, 253, 4)


def test_a_model_that_ends_by_itself_is_left_alone() -> None:
    _, outcome = play(EarlyExit(), [completion("Ant Bee. E")])
    assert (outcome.token_ids, outcome.finish) == (ids("Ant Bee. E"), FinishReason.EOS)
    thinking = EarlyExit(end="</think>", answer_tokens=3)
    asked, outcome = play(thinking, [completion("Ant </think>"), completion("Bee E")])
    assert outcome.token_ids == ids("Ant </think> Bee E")
    assert outcome.forced_tokens == 0
    assert asked[1].sampling.max_tokens == 3


def test_a_spent_budget_forces_the_answer_whatever_its_confidence() -> None:
    control = EarlyExit(tokens=3, end="</think>", answer_prefix="Answer:")
    _, outcome = play(control, [completion("Ant Bee Cat"), completion("Dog E", 0.1)])
    assert outcome.token_ids == ids("Ant Bee Cat N </think> Answer: Dog E")
    assert (outcome.finish, outcome.forced_tokens) == (FinishReason.BUDGET, 3)
    _, outcome = play(control, [completion("Ant Bee Cat"), completion("Dog Elk")])
    assert outcome.finish is FinishReason.LIMIT  # an answer without an end is none


def test_nothing_is_tried_too_soon_or_too_often() -> None:
    early = EarlyExit(after=4, answer_prefix="Answer:")
    asked, _ = play(early, [completion("Ant N"), completion("Bee N"), completion("Cat E", 1.0)])
    assert [draw.prefix for draw in asked] == [(), ids("Ant N"), ids("Ant N Bee Answer:")]
    once = EarlyExit(after=0, trials=1, answer_prefix="Answer:")
    asked, outcome = play(once, [completion("Ant N"), completion("Bee E"), completion("Cat N Dog E")])
    assert asked[2].sampling.stop_token_ids == (EOS,)
    assert outcome.token_ids == ids("Ant N Cat N Dog E")


def test_an_answer_without_end_or_without_probabilities_is_not_sure() -> None:
    control = EarlyExit(after=0, answer_prefix="Answer:")
    silent = Completion("t", "Bee", ids("Bee E"), (), FinishReason.EOS)
    for doubtful in (completion("Bee Cat", 1.0), silent, completion("E", 1.0)):
        _, outcome = play(control, [completion("Ant N"), doubtful, completion("Cat E")])
        assert outcome.token_ids == ids("Ant N Cat E")


def test_a_step_may_end_in_a_token_that_says_more() -> None:
    control = EarlyExit(after=0, at=".", answer_prefix=". Answer:", answer_tokens=4)
    step = Completion("t", "Ant Bee.", ids("Ant Bee."), (), FinishReason.EOS)
    asked, outcome = play(control, [step, completion("Cat E", 0.96)])
    assert outcome.token_ids == ids("Ant Bee. Answer: Cat E")  # its word stays, and its full stop is not doubled
    assert set(asked[0].sampling.stop_token_ids) == {EOS, *(i for i, word in enumerate(VOCABULARY) if word[-1] == ".")}


def test_a_text_that_ends_no_token_is_told() -> None:
    with pytest.raises(ModelError, match=r"no token of this model ends in '\?'"):
        play(EarlyExit(at="?"), [completion("Ant E")])


@given(st.integers(1, 40), st.floats(0, 1), st.integers(1, 8))
def test_texts_stay_within_their_room(tokens: int, end: float, answer_tokens: int) -> None:
    control = EarlyExit(tokens=tokens, answer_prefix="Answer:", answer_tokens=answer_tokens, at="Wait")
    (outcome,) = run_controls(FakeWordModel(4, end), [(TASK, control)], CONTEXT, seed=3)
    assert 1 <= outcome.tokens <= tokens + 1 + answer_tokens <= control.room(TASK, 0)
    assert outcome.drawn_tokens <= tokens + answer_tokens


@pytest.mark.parametrize(
    "spec", ["tokens=0", "answer_tokens=0", "trials=0", "after=-1", "confidence=0", "confidence=2"]
)
def test_refusals(spec: str) -> None:
    with pytest.raises(ConfigError):
        parse_control(f"early_exit:{spec}")
