"""Controls on a model of words: where texts end, what is drawn, what is kept."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st
from word_model import EOS, VOCABULARY, FakeWordModel, word_tokenizer

from lengthctl.decode.budget import BudgetForcing, Thought
from lengthctl.decode.build import control_names, parse_control
from lengthctl.decode.close import Close
from lengthctl.decode.control import Context, Control, Outcome, Task
from lengthctl.decode.run import check_abilities, run_controls
from lengthctl.errors import ConfigError
from lengthctl.length import Relation, Target, count_length
from lengthctl.records import Completion, FinishReason
from lengthctl.rollout.backend import Ability, Request, Sampling
from lengthctl.rollout.scripted import ScriptedBackend
from lengthctl.scoring import hit_band

ASK = ({"role": "user", "content": "Tell me of animals. Answer in about so many words."},)


def run(
    control: Control, targets: Sequence[Target], model: FakeWordModel | None = None, limit: int = 400
) -> list[Outcome]:
    tasks = [Task(f"t{i}", ASK, target) for i, target in enumerate(targets)]
    context = Context(Sampling(max_tokens=limit), word_tokenizer())
    return run_controls(model or FakeWordModel(), [(task, control) for task in tasks], context, seed=7)


def script(texts: list[str], control: Control, target: Target) -> tuple[Outcome, list[str]]:
    """A control on a scripted backend, and the last messages that it sent."""
    asked = []

    class Spy(ScriptedBackend):
        def _answer(self, request: Request) -> Completion:
            asked.append(request.messages[-1]["content"])
            return super()._answer(request)

    (outcome,) = run_controls(Spy({"*": texts}), [(Task("t", ASK, target), control)], Context(Sampling()))
    return outcome, asked


@pytest.mark.parametrize("relation", [Relation.EXACT, Relation.AT_MOST, Relation.AT_LEAST, Relation.RANGE])
def test_close_ends_on_a_sentence_inside_the_band(relation: Relation) -> None:
    high = {"high": 60} if relation is Relation.RANGE else {}
    target = Target(50, relation, **high)
    band = hit_band(target)
    outcomes = run(Close(), [target] * 40)
    assert all(count_length(o.text) in band for o in outcomes)
    cut = [o for o in outcomes if o.is_cut]
    assert len(cut) <= 2
    assert all(o.text.endswith(".") for o in outcomes if not o.is_cut)
    assert all(VOCABULARY[o.token_ids[-1]].endswith(".") for o in outcomes if not o.is_cut)


@given(st.integers(3, 200), st.integers(2, 30), st.floats(0, 1))
def test_close_reaches_any_target_with_any_model(value: int, sentence: int, end: float) -> None:
    (outcome,) = run(Close(rounds=3), [Target(value)], FakeWordModel(sentence, end))
    assert count_length(outcome.text) in hit_band(Target(value))
    assert outcome.finish in (FinishReason.EOS, FinishReason.CLOSED)


def test_close_ends_at_most_as_late_as_it_may() -> None:
    model = FakeWordModel(sentence=4, end=0.0)
    outcomes = run(Close(), [Target(40, Relation.AT_MOST)] * 12, model)
    assert all(25 <= count_length(o.text) <= 40 for o in outcomes)


def test_close_can_branch_before_an_end_that_comes_too_soon() -> None:
    control = parse_control("close:hold=false,starts=3")
    model = FakeWordModel(sentence=8, end=0.6)
    outcomes = run(control, [Target(50)] * 10, model)
    assert all(count_length(o.text) in hit_band(Target(50)) for o in outcomes)
    early = [r for r in model.requests if int((r.id.partition("/")[2] or "0").partition(".")[0]) <= 4]
    assert {r.sampling.min_tokens for r in early} == {1}


def test_close_cuts_at_a_word_where_no_sentence_ends() -> None:
    (outcome,) = run(Close(rounds=2), [Target(20)], FakeWordModel(sentence=10**9))
    assert outcome.is_cut
    assert count_length(outcome.text) == 20


def test_close_draws_again_from_a_sentence_end_only() -> None:
    model = FakeWordModel()
    run(Close(branches=3), [Target(60)] * 10, model)
    later = [r for r in model.requests if len(r.prompt_ids) > 1]
    assert later
    assert all(VOCABULARY[r.prompt_ids[-1]].endswith(".") for r in later)
    assert all(EOS not in r.prompt_ids[1:] for r in later)


def test_close_goes_on_where_the_bound_of_a_draw_was_too_low() -> None:
    (outcome,) = run(Close(), [Target(300)], FakeWordModel(), limit=900)
    assert count_length(outcome.text) in hit_band(Target(300))


def test_retry_keeps_the_nearest_and_stops_at_a_hit() -> None:
    outcome, asked = script(
        ["a b c.", "a b c d e f g h.", "a.", "a b."], parse_control("retry:budget=4,batch=1"), Target(8)
    )
    assert outcome.text == "a b c d e f g h."
    assert len(asked) == 2
    outcome, asked = script(["a b c.", "a b c d."], parse_control("retry:budget=2,batch=2"), Target(40))
    assert outcome.text == "a b c d."
    assert outcome.draws == 2


def test_revise_tells_the_count_and_the_direction() -> None:
    outcome, asked = script(
        ["one two.", "one two three four five six seven eight nine ten."], parse_control("revise"), Target(10)
    )
    assert outcome.text.startswith("one two three")
    assert asked[1] == "That was 2 words. Lengthen it to about 10 words."


def test_countdown_takes_the_markers_out() -> None:
    outcome, asked = script(["<3>Cats <2>sleep <1>here.<0>"], parse_control("countdown"), Target(3))
    assert outcome.text == "Cats sleep here."
    assert "from <3> down to <1>" in asked[0]


def test_feedback_puts_counts_behind_sentences_and_hides_them() -> None:
    model = FakeWordModel(sentence=5, end=0.2)

    class Tokens(type(word_tokenizer().tokenizer)):
        def encode(self, text: str, *, add_special_tokens: bool = False) -> list[int]:
            return [VOCABULARY.index("Wait")]  # stands for a marker

    from lengthctl.models import LoadedTokenizer

    context = Context(Sampling(max_tokens=120), LoadedTokenizer(Tokens(), (EOS,)))
    (outcome,) = run_controls(model, [(Task("t", ASK, Target(20)), parse_control("feedback"))], context, seed=1)
    assert outcome.forced_tokens >= 1
    assert "Wait" not in outcome.text
    assert any(VOCABULARY[r.prompt_ids[-1]] == "Wait" for r in model.requests)


@pytest.mark.parametrize(
    ("ignores", "budget", "written"),
    [
        (0, 10, "a b c E"),
        (0, 3, "a b c N E F"),
        (0, 2, "a b N E F"),
        (1, 10, "a b c W d e E"),
        (1, 5, "a b c W d N E F"),
        (2, 10, "a b c W d e W f E"),
        (2, 6, "a b c W d e N E F"),
    ],
)
def test_budget_counts_over_all_draws(ignores: int, budget: int, written: str) -> None:
    calls = iter(["abc", "de", "f"])
    letters = {letter: i for i, letter in enumerate("abcdefW")}
    thought = Thought(budget, ignores, (letters["W"],))
    while not thought.is_over:
        full = [letters[x] for x in next(calls)]
        thought.take(full[: thought.left], ended=len(full) < thought.left)
    names = "abcdefW"
    end = "N E F" if thought.is_cut else "E"
    assert " ".join(names[i] for i in thought.ids) + f" {end}" == written


def test_budget_forces_an_answer_after_a_cut() -> None:
    model = FakeWordModel(end=0.0)
    control = BudgetForcing(tokens=12, ignores=1, end="</think>", answer_prefix="Answer:", answer_tokens=5)
    (outcome,) = run(control, [Target(10)], model)
    words = [VOCABULARY[i] for i in outcome.token_ids]
    assert words[12:15] == ["\n", "</think>", "Answer:"]
    assert len(words) == 20
    assert outcome.forced_tokens == 3


def test_controls_mix_in_one_batch_and_results_do_not_depend_on_it() -> None:
    controls = {spec: parse_control(spec) for spec in ("plain", "close", "retry")}
    controls["budget"] = BudgetForcing(tokens=20, ignores=1, answer_prefix="Answer:")
    jobs = [(Task(f"{name}{i}", ASK, Target(30)), control) for name, control in controls.items() for i in range(3)]
    context = Context(Sampling(max_tokens=100), word_tokenizer())
    together = run_controls(FakeWordModel(), jobs, context, seed=3)
    apart = [run_controls(FakeWordModel(), [job], context, seed=3)[0] for job in jobs]
    assert [o.text for o in together] == [o.text for o in apart]
    assert [o.drawn_tokens for o in together] == [o.drawn_tokens for o in apart]


def test_outcomes_are_told_as_they_end_and_failures_are_data() -> None:
    told = []
    tasks = [Task("good", ASK, Target(3)), Task("bad", ASK, Target(3))]
    outcomes = run_controls(
        ScriptedBackend({"good": ["one two three."]}),
        [(task, parse_control("plain")) for task in tasks],
        Context(Sampling()),
        on_outcome=lambda task, outcome: told.append((task.id, outcome.finish)),
    )
    assert told == [("good", FinishReason.EOS), ("bad", FinishReason.ERROR)]
    assert outcomes[1].error == "not in the script"


def test_an_endpoint_refuses_what_it_cannot_do() -> None:
    with pytest.raises(ConfigError, match="continue a text that has begun"):
        check_abilities("close", Close(), ScriptedBackend({}))
    check_abilities("retry", parse_control("retry"), ScriptedBackend({}))
    assert all(parse_control(name).needs <= frozenset(Ability) for name in control_names())


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("closed", "did you mean close"),
        ("close:branchs=2", "did you mean branches"),
        ("close:branches=two", "is of type int, found 'two'"),
        ("close:branches=0", "at least 1"),
        ("retry:budget", "an option is name=value"),
        ("plain:n=3", "it has none"),
        ("budget:ignores=9", "between 0 and 6"),
    ],
)
def test_bad_controls_are_named(spec: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_control(spec)
    assert message in str(caught.value)


def test_the_end_of_a_text_over_an_endpoint_is_a_bias() -> None:
    control = parse_control("stop_temperature:token=2,value=-3.0")
    assert control.needs == {Ability.LOGIT_BIAS}
    (draw,) = next(iter(control.steps(Task("t", ASK, None), Context(Sampling()))))
    assert draw.sampling.logit_bias == {2: -3.0}
    assert not draw.sampling.rules
    with pytest.raises(ConfigError, match="token is for mode=bias alone"):
        parse_control("stop_temperature:token=2,mode=raw")
