"""Controls in one call of a backend: nobody waits for others, jobs follow jobs, and no order changes a text."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from word_model import FakeWordModel, word_tokenizer

from lengthctl.decode.build import parse_control
from lengthctl.decode.calls import OfCall, answer_of, raise_for_error, task_of
from lengthctl.decode.control import Context, Control, Draw, Outcome, Steps, Task, outcome_of
from lengthctl.decode.flow import Answer, Call, FlowFailedError, Setback
from lengthctl.decode.plain import Plain
from lengthctl.decode.run import Job, run_controls
from lengthctl.errors import EngineError
from lengthctl.length import Target
from lengthctl.records import Completion, FinishReason
from lengthctl.rollout.backend import Ability, OnCompletion, Request, Sampling
from lengthctl.rollout.scripted import ScriptedBackend

ASK = ({"role": "user", "content": "Tell of animals."},)


class AnyOrder(FakeWordModel):
    """The words of `FakeWordModel`, answered in the order that the test draws."""

    def __init__(self, data: st.DataObject, *, takes_in: bool) -> None:
        super().__init__(sentence=6)
        self._choices, self._takes_in = data, takes_in
        self.calls = 0

    def generate(self, requests: Sequence[Request], on_completion: OnCompletion | None = None) -> list[Completion]:
        self.calls += 1
        waiting, done = list(requests), []
        while waiting:
            request = waiting.pop(self._choices.draw(st.integers(0, len(waiting) - 1)))
            done.append(self._draw(request))
            further = (on_completion(done[-1]) if on_completion else None) or ()
            if self._takes_in:
                waiting.extend(further)
        return done


@settings(max_examples=30)
@given(st.data(), st.integers(1, 5), st.booleans())
def test_no_order_of_answers_changes_an_outcome(data: st.DataObject, count: int, takes_in: bool) -> None:
    """A backend may also leave added requests to the next call."""
    controls = [parse_control(spec) for spec in ("retry:budget=4,batch=2", "plain", "close:rounds=2")]
    jobs = [(Task(f"t{i}", ASK, Target(12)), controls[i % 3]) for i in range(count)]
    context = Context(Sampling(max_tokens=60), word_tokenizer())
    backend = AnyOrder(data, takes_in=takes_in)
    outcomes = run_controls(backend, jobs, context, seed=4)
    assert outcomes == run_controls(FakeWordModel(sentence=6), jobs, context, seed=4)
    if takes_in:
        assert backend.calls == 1


def test_a_task_goes_on_while_another_still_waits() -> None:
    """The first task's only draw is answered last."""

    class Last(ScriptedBackend):
        def generate(self, requests: Sequence[Request], on_completion: OnCompletion | None = None) -> list[Completion]:
            waiting, done = list(requests), []
            while waiting:
                request = waiting.pop()
                order.append(request.id)
                done.append(self._answer(request))
                waiting.extend((on_completion(done[-1]) if on_completion else None) or ())
            return done

    order: list[str] = []
    jobs = [
        (Task("slow", ASK, Target(9)), parse_control("plain")),
        (Task("quick", ASK, Target(9)), parse_control("retry:budget=3,batch=1")),
    ]
    run_controls(Last({"*": ["too short."]}), jobs, Context(Sampling()))
    assert order == ["quick", "quick/1.0", "quick/2.0", "slow"]


class Silent:
    """A control that settles for a text without asking for any."""

    needs: frozenset[Ability] = frozenset()

    def refuses(self, target: Target | None) -> str | None:
        return None

    def room(self, task: Task, limit: int) -> int:
        return 0

    def steps(self, task: Task, context: Context) -> Steps:
        answers = yield []
        assert answers == []
        return Outcome(task.id, (), FinishReason.CLOSED)


def test_jobs_follow_jobs_in_the_order_in_which_they_were_added() -> None:
    def more(task: Task, outcome: Outcome) -> Iterable[Job] | None:
        number = int(task.id)
        if number >= 2000:
            return None
        control: Control = Silent() if number % 7 else Plain()
        return [(Task(str(number + 1), ASK), control)]

    outcomes = run_controls(
        ScriptedBackend({"*": ["x"]}), [(Task("0", ASK), Silent())], Context(Sampling()), on_outcome=more
    )
    assert len(outcomes) == 2001  # far more than a stack of calls would hold
    assert [o.text for o in outcomes[:4]] == ["0", "x", "2", "3"]


def test_a_task_id_stands_once() -> None:
    jobs = [(Task("same", ASK), Plain())]
    with pytest.raises(ValueError, match="'same' stands twice"):
        run_controls(ScriptedBackend({"*": ["x"]}), jobs * 2, Context(Sampling()))
    with pytest.raises(ValueError, match="'same' stands twice"):
        run_controls(ScriptedBackend({"*": ["x"]}), jobs, Context(Sampling()), on_outcome=lambda *_: jobs)


def test_a_backend_that_leaves_a_request_is_named() -> None:
    class Lazy(ScriptedBackend):
        def generate(self, requests: Sequence[Request], on_completion: OnCompletion | None = None) -> list[Completion]:
            return []

    with pytest.raises(EngineError, match="left 1 requests without an answer"):
        run_controls(Lazy({}), [(Task("t", ASK), Plain())], Context(Sampling()))


def test_a_call_goes_on_behind_its_first_words() -> None:
    call = Call("plan/0", ASK, 9, prefill="Ant Bee", temperature=0.25)
    control = OfCall(call, parse_control("retry:budget=2,batch=1"))
    assert control.needs == {Ability.PREFILL}
    model = FakeWordModel(end=0.0)
    task = replace(task_of(call, "d plan/0"), target=Target(3))
    (outcome,) = run_controls(model, [(task, control)], Context(Sampling(max_tokens=99), word_tokenizer()))
    assert [r.prompt_ids[-2:] for r in model.requests] == [word_tokenizer().encode("Ant Bee")] * 2
    assert [(r.prefill, r.sampling.temperature, r.sampling.max_tokens) for r in model.requests] == [
        ("Ant Bee", 0.25, 9)
    ] * 2
    assert len(outcome.text.split()) == 9


def test_first_words_stand_before_what_a_control_has_chosen() -> None:
    """`close` goes on from tokens of the text: they come behind the first words."""
    call = Call("write/0", ASK, 90, target=Target(30), prefill="Jay.")
    model = FakeWordModel(sentence=5)
    context = Context(Sampling(), word_tokenizer())
    (outcome,) = run_controls(model, [(task_of(call, "t"), OfCall(call, parse_control("close")))], context)
    jay = word_tokenizer().encode("Jay.")
    assert all(r.prompt_ids[1:2] == jay for r in model.requests)
    assert any(len(r.prompt_ids) > 2 for r in model.requests)
    assert "Jay." not in outcome.text[:4]


def test_a_call_without_wishes_is_asked_as_the_run_is_set() -> None:
    call = Call("a", ASK, 5)
    assert OfCall(call, Plain()).needs == frozenset()
    (draw,) = next(iter(OfCall(call, Plain()).steps(task_of(call, "t"), Context(Sampling(temperature=0.3)))))
    assert draw == Draw(ASK, Sampling(temperature=0.3))


def test_answers_tell_what_their_outcomes_cost() -> None:
    completion = Completion("r", "a\ud800b", (1, 2), (), FinishReason.LIMIT)
    assert answer_of(replace(outcome_of(completion), prompt_tokens=4)) == Answer("a?b", FinishReason.LIMIT, 2, 4)
    assert answer_of(replace(outcome_of(completion), drawn_tokens=9)).tokens == 9
    failed = answer_of(Outcome("", (), FinishReason.ERROR, error="500"))
    raise_for_error([Answer("x", FinishReason.EOS)])
    with pytest.raises(FlowFailedError) as caught:
        raise_for_error([Answer("x", FinishReason.EOS), failed])
    assert (caught.value.setback, caught.value.detail) == (Setback.BACKEND, "500")
