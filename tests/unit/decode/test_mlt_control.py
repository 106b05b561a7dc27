"""Meta length tokens at inference, on a model of words whose vocabulary has them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from word_model import EOS, VOCABULARY, word_tokenizer

from lengthctl.decode.build import parse_control
from lengthctl.decode.control import Context, Draw, Outcome, Task
from lengthctl.errors import ConfigError, ModelError
from lengthctl.length import Relation, Target, Unit
from lengthctl.mlt import RULER_TABLE, MltRecord
from lengthctl.records import Completion, FinishReason
from lengthctl.rollout.backend import Ability, Sampling

FIRST = len(VOCABULARY)
IDS = tuple(range(FIRST, FIRST + len(RULER_TABLE.tokens)))
ASKED = ({"role": "user", "content": "Of ants, in 30 words."},)
REQUEST = ({"role": "user", "content": "Of ants."},)


def context(*, marked: bool = True) -> Context:
    record = MltRecord(RULER_TABLE, IDS, "0") if marked else None
    return Context(Sampling(max_tokens=40), replace(word_tokenizer(), mlt=record))


def run(spec: str, target: Target | None, answers: Sequence[Sequence[int]]) -> tuple[Outcome, list[Draw]]:
    steps = parse_control(spec).steps(Task("t", ASKED, target, REQUEST), context())
    draws = [*next(steps)]
    for ids in answers:
        try:
            draws += steps.send([Completion("r", "", tuple(ids), tuple(0.0 for _ in ids), FinishReason.EOS)])
        except StopIteration as stop:
            outcome: Outcome = stop.value
            return outcome, draws
    raise AssertionError("the control wants more")


def test_a_target_puts_its_token_in_front_and_the_length_out_of_the_prompt() -> None:
    outcome, (draw,) = run("mlt", Target(35), [[1, 2, EOS]])
    assert draw.prefix == (IDS[1],)  # [MLT:30], whose FM band holds 35
    assert draw.messages == REQUEST
    assert draw.sampling.logit_bias == dict.fromkeys(IDS, -100.0)
    assert (outcome.lead, outcome.text, outcome.token_ids) == ("30", " Ant Bee", (1, 2, EOS))
    assert outcome.forced_tokens == 1


def test_the_length_can_stay_in_the_prompt() -> None:
    _, (draw,) = run("mlt:ask=true", Target(35), [[1, EOS]])
    assert draw.messages == ASKED


def test_the_model_chooses_among_its_tokens_where_no_length_is_asked() -> None:
    outcome, draws = run("mlt", None, [[IDS[3]], [1, EOS]])
    assert draws[0].sampling.max_tokens == 1
    assert draws[0].sampling.logit_bias == dict.fromkeys(IDS, 100.0)
    assert draws[1].prefix == (IDS[3],)
    assert (outcome.lead, outcome.text) == ("80", " Ant")


@pytest.mark.parametrize(
    ("written", "lead", "text"), [([IDS[0], 1, EOS], "10", " Ant"), ([1, IDS[0], 2], None, " Ant Bee")]
)
def test_a_free_model_writes_one_or_none(written: list[int], lead: str | None, text: str) -> None:
    outcome, (draw,) = run("mlt:mode=free", None, [written])
    assert (draw.prefix, draw.sampling.logit_bias) == ((), {})
    assert (outcome.lead, outcome.text, outcome.forced_tokens) == (lead, text, 0)


def test_what_cannot_be_is_told() -> None:
    steps = parse_control("mlt").steps(Task("t", ASKED, Target(30)), context(marked=False))
    with pytest.raises(ModelError, match="the model has no meta length tokens"):
        next(steps)
    with pytest.raises(ModelError, match="no meta length token for 30 tokens"):
        run("mlt", Target(30, unit=Unit.TOKENS), [])
    assert parse_control("mlt:mode=given").refuses(None) == "mode=given needs a length"
    assert parse_control("mlt").refuses(Target(3, Relation.AT_MOST)) is None
    with pytest.raises(ConfigError, match="mode is auto, given, free, forced or served"):
        parse_control("mlt:mode=some")


def test_a_server_is_told_the_number_and_puts_the_token_itself() -> None:
    for target, words in (
        (Target(35), 35),
        (Target(30, Relation.RANGE, high=40), 35),
        (Target(9, Relation.AT_MOST), 9),
    ):
        outcome, (draw,) = run("mlt:mode=served", target, [[1, EOS]])
        assert draw.template_values == {"target_words": words}
        assert (draw.messages, draw.prefix, outcome.token_ids) == (REQUEST, (), (1, EOS))
    served = parse_control("mlt:mode=served")
    assert served.needs == {Ability.TEMPLATE}
    assert served.refuses(None) == "mode=served needs a length"
    assert served.refuses(Target(30, unit=Unit.TOKENS)) == "mode=served asks in words"


def test_a_marker_is_plain_text_at_the_end_of_the_request() -> None:
    outcome, (draw,) = run("mlt_marker", Target(35), [[1, EOS]])
    assert draw.messages == ({"role": "user", "content": "Of ants. [MLT:30]"},)
    assert (draw.prefix, outcome.token_ids) == ((), (1, EOS))
    marker = parse_control("mlt_marker")
    assert marker.refuses(None) == "needs a length"
    assert "has no token" in str(marker.refuses(Target(30, unit=Unit.TOKENS)))
    with pytest.raises(ConfigError, match="no table 'rulr'; did you mean ruler"):
        parse_control("mlt_marker:table=rulr")


def test_a_marker_of_a_table_of_ones_own(tmp_path: Path) -> None:
    file = tmp_path / "table.json"
    file.write_text(json.dumps({"unit": "sentences", "tokens": [{"target": 3}, {"target": 8}]}))
    steps = parse_control(f"mlt_marker:table={file}").steps(
        Task("t", ASKED, Target(7, unit=Unit.SENTENCES), REQUEST), context()
    )
    assert next(steps)[0].messages[-1]["content"] == "Of ants. [MLT:8]"
