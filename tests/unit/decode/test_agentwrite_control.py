"""AgentWrite in a text's place: under run_controls, with a control for each part."""

from __future__ import annotations

import pytest
from perfect_writer import PerfectWriter
from word_model import FakeWordModel, word_tokenizer

from lengthctl.decode.build import parse_control
from lengthctl.decode.control import Context, Outcome, Task
from lengthctl.decode.run import run_controls
from lengthctl.errors import ConfigError
from lengthctl.length import Relation, Target, count_length
from lengthctl.records import FinishReason
from lengthctl.rollout.backend import Ability, Sampling
from lengthctl.scoring import s_l


def asking(target: Target | None, words: str = "Write about rivers.") -> Task:
    asked = ({"role": "user", "content": f"{words} In about {target.value if target else 0} words."},)
    return Task("t", asked, target, ({"role": "user", "content": words},))


def run(spec: str, target: Target | None, writer: PerfectWriter | None = None) -> Outcome:
    (outcome,) = run_controls(writer or PerfectWriter(), [(asking(target), parse_control(spec))], Context(Sampling()))
    return outcome


@pytest.mark.parametrize("spec", ["agentwrite", "agentwrite:parallel=true", "agentwrite-small:redistribute=false"])
@pytest.mark.parametrize("words", [1000, 5000])
def test_a_perfect_writer_loses_nothing(spec: str, words: int) -> None:
    outcome = run(spec, Target(words))
    assert outcome.finish is FinishReason.EOS
    assert s_l(count_length(outcome.text), Target(words)) > 0.999
    assert outcome.draws > 2


def test_short_targets_take_one_call() -> None:
    writer = PerfectWriter()
    outcome = run("agentwrite", Target(300), writer)
    assert [request.id for request in writer.requests] == ["t"]
    assert outcome.source is not None
    assert writer.requests[0].messages[-1]["content"].endswith("In about 300 words.")
    assert len(run("agentwrite:plan_min_words=100", Target(300), writer).text.split()) == 300
    assert len(writer.requests) > 2


def test_parts_run_under_the_inner_control() -> None:
    model = FakeWordModel(sentence=6, end=0.05)
    control = parse_control("agentwrite-small:inner=close:starts=2;branches=2,prefill=false,brief=false")
    tasks = [(Task(f"t{n}", ({"role": "user", "content": "Cat Dog"},), Target(240)), control) for n in range(3)]
    outcomes = run_controls(model, tasks, Context(Sampling(max_tokens=900), _Tokenizer()), seed=3)
    assert [outcome.finish for outcome in outcomes if outcome.finish is FinishReason.ERROR] == []
    # two parts of 120, each closed within 5 %; repeated sentences of so small a vocabulary are no matter here
    assert all(0.9 * 240 <= count_length(outcome.text) <= 1.1 * 240 for outcome in outcomes)
    assert all(outcome.token_ids for outcome in outcomes)


def _Tokenizer() -> object:
    from lengthctl.models import LoadedTokenizer

    class Loose(type(word_tokenizer().tokenizer)):
        def encode(self, text: str, *, add_special_tokens: bool = False) -> list[int]:
            return [1] * len(text.split())

    return LoadedTokenizer(Loose(), (0,))


def test_a_document_that_fails_is_an_outcome_with_its_cause() -> None:
    outcome = run("agentwrite", Target(2000), PerfectWriter(lambda _, __: "I am sorry, but I cannot help with that."))
    assert outcome.finish is FinishReason.ERROR
    assert outcome.error == "refused: no_steps"
    outcome = run("agentwrite", Target(2000), PerfectWriter(lambda _, __: "Rivers are long. They flow."))
    assert outcome.error == "plan_unreadable: no_steps"


def test_options_are_checked() -> None:
    assert parse_control("agentwrite-small").needs == {Ability.PREFILL}
    assert parse_control("agentwrite:inner=close").needs == {Ability.PREFIX}
    assert parse_control("agentwrite").refuses(Target(500)) is None
    assert parse_control("agentwrite").refuses(None) == "needs a length"
    assert parse_control("agentwrite:inner=level").refuses(Target(500)) == parse_control("level").refuses(Target(500))
    for wrong in ["inner=closed", "inner=agentwrite", "part_ceiling=10", "step_attempts=0", "inner=close:startz=1"]:
        with pytest.raises(ConfigError):
            parse_control(f"agentwrite:{wrong}")


def test_room_covers_every_conversation() -> None:
    for spec in ("agentwrite", "agentwrite-small", "agentwrite:parallel=true"):
        control, writer = parse_control(spec), PerfectWriter()
        task = asking(Target(3000))
        run_controls(writer, [(task, control)], Context(Sampling()))
        longest = max(2 * len(r.messages[-1]["content"].split()) + r.sampling.max_tokens for r in writer.requests)
        assert longest <= control.room(task, 4096) + 100
    assert parse_control("agentwrite").room(asking(Target(100)), 512) == 512


def test_an_open_target_is_kept() -> None:
    outcome = run("agentwrite", Target(1000, Relation.AT_LEAST))
    assert 1000 <= count_length(outcome.text) <= 1200
    outcome = run("agentwrite", Target(1000, Relation.AT_MOST))
    assert 800 <= count_length(outcome.text) <= 1000
