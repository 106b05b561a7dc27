"""The control `c3ot` asks in the words of the data, and leaves the rest to its inner control."""

from __future__ import annotations

import pytest
from word_model import word_tokenizer

from lengthctl.conditions import CONDITIONS, SHORT, ask_condition
from lengthctl.decode.build import parse_control
from lengthctl.decode.c3ot import C3oT
from lengthctl.decode.control import Context, Draw, Task
from lengthctl.errors import ConfigError
from lengthctl.length import Target
from lengthctl.records import Completion, FinishReason
from lengthctl.rollout.backend import Ability, Sampling

TURNS = ({"role": "system", "content": "Be kind."}, {"role": "user", "content": "How many?"})
TASK = Task("t", TURNS, request=TURNS)
CONTEXT = Context(Sampling(max_tokens=40), word_tokenizer())


def draws_of(spec: str) -> list[Draw]:
    return list(next(parse_control(spec).steps(TASK, CONTEXT)))


@pytest.mark.parametrize("condition", sorted(CONDITIONS))
def test_it_asks_as_the_data_do(condition: str) -> None:
    (draw,) = draws_of(f"c3ot:condition={condition}")
    assert draw.messages == ask_condition(TURNS, condition)
    assert draw.sampling == CONTEXT.sampling


def test_the_short_condition_is_the_default_and_the_text_is_taken_as_it_comes() -> None:
    assert draws_of("c3ot") == draws_of(f"c3ot:condition={SHORT}")
    steps = parse_control("c3ot").steps(TASK, CONTEXT)
    next(steps)
    with pytest.raises(StopIteration) as ended:
        steps.send([Completion("t", "5", (1,), (), FinishReason.EOS)])
    assert (ended.value.value.text, ended.value.value.finish) == ("5", FinishReason.EOS)


def test_an_inner_control_draws_the_answer() -> None:
    control = parse_control("c3ot:condition=short,inner=stop_temperature:value=2;after=4")
    (draw,) = next(control.steps(TASK, CONTEXT))
    assert draw.messages == ask_condition(TURNS, SHORT)
    rule = draw.sampling.rules["stop_scale"]
    assert (rule["value"], rule["after"]) == (2, 4)
    assert control.needs == frozenset({Ability.RULES})
    assert parse_control("c3ot").needs == frozenset()
    assert parse_control("c3ot:inner=close").refuses(None) == "needs a length"
    assert parse_control("c3ot").refuses(None) is None
    assert parse_control("c3ot").refuses(Target(5)) is None


@pytest.mark.parametrize("condition", sorted(CONDITIONS))
def test_its_words_have_room(condition: str) -> None:
    plain = len(CONTEXT.tokenizer.prompt_ids([dict(m) for m in TURNS])) if CONTEXT.tokenizer else 0
    (draw,) = draws_of(f"c3ot:condition={condition}")
    assert CONTEXT.tokenizer is not None
    asked = len(CONTEXT.tokenizer.prompt_ids([dict(m) for m in draw.messages]))
    assert C3oT(condition).room(TASK, 40) >= 40 + asked - plain


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("c3ot:condition=shrt", "did you mean short"),
        ("c3ot:condition=1", "is of type str"),
        ("c3ot:inner=c3ot", "cannot itself be c3ot"),
        ("c3ot:inner=stop_temprature", "there is no such control"),
        ("c3ot:level=short", "has no option 'level'"),
    ],
)
def test_refusals(spec: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        parse_control(spec)
