"""Documents over one backend: results that no timing changes, failures with a budget, ends that lose nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from echo_room import Echo, Result, call, made, one_at_a_time, room, single, stories
from hypothesis import given, settings
from hypothesis import strategies as st
from word_model import FakeWordModel, word_tokenizer

from lengthctl.decode.build import parse_control
from lengthctl.decode.calls import raise_for_error
from lengthctl.decode.flow import Answer, Flow, FlowFailedError, Setback
from lengthctl.errors import DataError, FailureBudgetError
from lengthctl.length import Target
from lengthctl.pipelines.document_room import Document, Room, run_documents
from lengthctl.pipelines.step_store import StepStore
from lengthctl.records import FinishReason
from lengthctl.rollout.backend import Request, Sampling


@settings(max_examples=30)
@given(st.data(), st.integers(0, 12), st.integers(1, 6), st.booleans())
def test_results_do_not_depend_on_the_order_of_answers(
    data: st.DataObject, count: int, in_flight: int, ordered: bool
) -> None:
    backend = Echo(pick=lambda waiting: data.draw(st.integers(0, waiting - 1)))
    results, report = made(stories(count), room(backend, in_flight=in_flight), ordered=ordered)
    assert results == one_at_a_time(count)
    assert report.documents == count
    assert report.calls_made == len(backend.asked) == sum(i % 4 + 3 for i in range(count))
    assert backend.most_waiting <= 2 * in_flight  # a document has two calls out at most
    assert backend.calls == (1 if count else 0)
    if ordered:
        assert list(results) == [f"doc {i}" for i in range(count)]


def test_documents_are_read_as_room_for_them_comes() -> None:
    ended = 0
    read = 0

    def source() -> Iterator[Document[str]]:
        nonlocal read
        for document in stories(200):
            read += 1
            assert read - ended <= 4
            yield document

    def told(document: Document[str], result: Result) -> None:
        nonlocal ended
        ended += 1

    run_documents(source(), room(Echo()), on_result=told)
    assert ended == read == 200


def test_order_is_kept_without_running_away_from_a_slow_document() -> None:
    """The first document's calls are answered last."""

    def pick_others(waiting: int) -> int:
        return waiting - 1

    read = 0
    told: list[str] = []

    def source() -> Iterator[Document[str]]:
        nonlocal read
        for document in stories(200):
            read += 1
            assert read - len(told) <= 8 * 4
            yield document

    run_documents(source(), room(Echo(pick=pick_others)), on_result=lambda d, _: told.append(d.id), ordered=True)
    assert told == [f"doc {i}" for i in range(200)]


def test_a_long_run_ends_the_call_of_the_backend_now_and_then() -> None:
    """It holds every completion until it ends."""
    backend = Echo()
    results, _ = made([Document(str(i), lambda: single()) for i in range(5000)], room(backend, in_flight=32))
    assert len(results) == 5000
    assert backend.calls == 2


def test_a_source_that_raises_ends_after_the_documents_that_were_begun(tmp_path: Path) -> None:
    def source() -> Iterator[Document[str]]:
        yield from stories(6)
        raise DataError("row 7 is no prompt")

    results: dict[str, Result] = {}
    with pytest.raises(DataError, match="row 7"):
        run_documents(source(), room(Echo()), on_result=lambda d, r: results.update({d.id: r}))
    assert results == one_at_a_time(6)


def test_an_error_of_the_caller_is_not_swallowed() -> None:
    def full(document: Document[str], result: Result) -> None:
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        run_documents(stories(3), room(Echo()), on_result=full)


def needy() -> Flow[str]:
    answers = yield [call("one"), call("two")]
    raise_for_error(answers)
    return answers[0].text


def lenient() -> Flow[str]:
    answers: Sequence[Answer] = yield [call("one")]
    while answers[0].finish is FinishReason.ERROR:
        answers = yield [call("another")]
    return answers[0].text


def broken(*names: str) -> Callable[[Request], str | None]:
    return lambda request: "500" if request.id in names else None


def test_a_failed_call_is_the_flows_to_judge_and_is_tried_again_at_the_next_start(tmp_path: Path) -> None:
    documents = [Document("a", needy), Document("b", needy), Document("c", lenient)]
    with StepStore(tmp_path / "steps.jsonl") as store:
        results, report = made(documents, room(Echo(fails=broken("b two", "c one")), store=store))
        failed = results["b"]
        assert isinstance(failed, FlowFailedError)
        assert (failed.setback, failed.detail) == (Setback.BACKEND, "500")
        assert isinstance(results["c"], str)
        assert (report.documents, report.failed, report.calls_failed) == (3, 1, 2)
        assert report.setbacks == {Setback.BACKEND: 1}
        again = Echo()
        assert all(isinstance(r, str) for r in made(documents, room(again, store=store))[0].values())
    assert [r.id for r in again.asked] == ["b two", "c one"]


def failing(is_bad: bool) -> Flow[str]:
    (answer,) = yield [call("one")]
    if is_bad:
        raise FlowFailedError(Setback.REFUSED, "I cannot.")
    return answer.text


@pytest.mark.parametrize(
    ("count", "bad", "budget", "passes"),
    [
        (10, 1, 0.01, True),  # one in any case
        (10, 2, 0.1, False),
        (20, 2, 0.1, True),
        (100, 10, 0.1, True),
        (100, 11, 0.1, False),
        (1, 1, 0.5, True),
        (1, 1, 0.0, False),
        (5, 5, 1.0, True),
        (0, 0, 0.0, True),
    ],
)
def test_so_many_documents_may_fail(count: int, bad: int, budget: float, passes: bool) -> None:
    """The bad ones last, so that the share is known when they end."""
    documents = [Document(str(i), lambda i=i: failing(i >= count - bad)) for i in range(count)]
    results: dict[str, Result] = {}
    started = room(Echo(), failure_budget=budget)
    if passes:
        run_documents(documents, started, on_result=lambda d, r: results.update({d.id: r}))
        assert len(results) == count
        return
    with pytest.raises(FailureBudgetError, match=r"came to nothing \(refused \d+\).*refused: I cannot"):
        run_documents(documents, started, on_result=lambda d, r: results.update({d.id: r}))
    assert len(results) >= count - 1


def test_errors_of_the_backend_may_have_a_budget_of_their_own() -> None:
    refusals = [Document(str(i), lambda: failing(True)) for i in range(30)]
    patient = room(Echo(), failure_budget=0.0, setback_budget=1.0)
    _, report = made(refusals, patient)
    assert report.setbacks == {Setback.REFUSED: 30}
    down = replace(patient, backend=Echo(fails=broken("0 one")))
    with pytest.raises(FailureBudgetError, match="budget of 0 allows; the last: 0: backend: 500"):
        made([Document("0", needy)], down)
    with pytest.raises(FailureBudgetError, match=r"budget of 0\.1 allows"):
        made(refusals, replace(patient, setback_budget=0.1))
    with pytest.raises(ValueError, match=r"found 1\.5"):
        replace(patient, setback_budget=1.5)


def test_a_run_whose_documents_all_fail_ends_early() -> None:
    backend = Echo()
    documents = (Document(str(i), lambda: failing(True)) for i in range(10**9))
    with pytest.raises(FailureBudgetError, match="finished calls are kept"):
        run_documents(documents, room(backend, in_flight=20), on_result=lambda d, r: None)
    assert len(backend.asked) == 3  # two of the first twenty may fail


def test_a_conversation_over_the_context_ends_its_document_alone() -> None:
    def wordy(content: str) -> Flow[str]:
        (answer,) = yield [call("one", content)]
        return answer.text

    setbacks: list[Setback] = []

    def shortening() -> Flow[str]:
        try:
            yield [call("one", max_tokens=99)]
        except FlowFailedError as error:
            setbacks.append(error.setback)
        (answer,) = yield [call("one", max_tokens=10)]
        return answer.text

    def stubborn() -> Flow[str]:
        while True:
            try:
                yield [call("one", max_tokens=99)]
            except FlowFailedError:
                continue

    documents = [Document("fits", lambda: wordy("a")), Document("short", shortening), Document("stubborn", stubborn)]
    started = Room(FakeWordModel(), word_tokenizer(), [], Sampling(), context_tokens=18, failure_budget=1.0)
    results, report = made(documents, started)
    assert isinstance(results["fits"], str)
    assert isinstance(results["short"], str)
    assert setbacks == [Setback.TOO_LONG]
    assert report.setbacks == {Setback.TOO_LONG: 1}
    assert "need 100, the context has 18" in str(results["stubborn"])
    assert report.prompt_tokens == 2


def test_a_server_that_calls_a_conversation_too_long_is_understood() -> None:
    setbacks: list[Setback] = []

    def shortening() -> Flow[str]:
        try:
            yield [call("one", "long")]
        except FlowFailedError as error:
            setbacks.append(error.setback)
        (answer,) = yield [call("one", "short")]
        return answer.text

    def too_long(request: Request) -> str | None:
        told = "Error code: 400 - This model's maximum context length is 2048 tokens."
        return told if request.messages[-1]["content"] == "long" else None

    results, _ = made([Document("d", shortening)], room(Echo(fails=too_long)))
    assert isinstance(results["d"], str)
    assert setbacks == [Setback.TOO_LONG]
    _, report = made([Document("d", lambda: endless("long"))], room(Echo(fails=too_long)))
    assert report.setbacks == {Setback.TOO_LONG: 1}


def endless(content: str) -> Flow[str]:
    (answer,) = yield [call("one", content)]
    return answer.text


def test_calls_are_asked_as_they_say() -> None:
    def flow() -> Flow[str]:
        yield [call("plain", temperature=0.0, max_tokens=7, prefill="Paragraph 1 -")]
        (answer,) = yield [call("steered", target=Target(12), max_tokens=40)]
        return answer.text

    backend = Echo()
    made([Document("d", flow)], room(backend, control=parse_control("retry:budget=3,batch=3")))
    plain, *steered = backend.asked
    assert (plain.sampling.temperature, plain.sampling.max_tokens, plain.prefill) == (0.0, 7, "Paragraph 1 -")
    assert plain.group == "d"
    assert [(r.sampling.temperature, r.sampling.max_tokens, r.prefill) for r in steered] == [(0.5, 40, "")] * 3
    assert len({r.sampling.seed for r in backend.asked}) == 4


def test_tokens_of_every_try_are_counted() -> None:
    def flow() -> Flow[str]:
        (answer,) = yield [call("one", target=Target(12))]
        assert (answer.tokens, answer.prompt_tokens) == (48, 3)
        return answer.text

    started = Room(FakeWordModel(end=0.0), word_tokenizer(), [], Sampling())
    _, report = made([Document("d", flow)], replace(started, control=parse_control("retry:budget=3,batch=3")))
    assert report.totals() == {"calls": 1, "prompt_tokens": 3, "completion_tokens": 48}


def test_flows_without_calls_and_empty_turns_end() -> None:
    def nothing() -> Flow[str]:
        return "at once"
        yield

    def pause() -> Flow[str]:
        answers = yield []
        assert answers == []
        (answer,) = yield [call("one")]
        return answer.text

    results, report = made([Document("a", nothing), Document("b", pause)], room(Echo()))
    assert results["a"] == "at once"
    assert report.calls_made == 1


@pytest.mark.parametrize(
    ("names", "told"),
    [
        (["a", "a"], "names two calls 'a'"),
        (["a b"], "a call's name is of letters"),
        (["1.0"], "a call's name is of letters"),
        ([""], "a call's name is of letters"),
    ],
)
@pytest.mark.parametrize("at_once", [True, False])
def test_calls_that_cannot_be_told_apart_are_refused(names: list[str], told: str, at_once: bool) -> None:
    def flow() -> Flow[str]:
        for turn in [names] if at_once else [[name] for name in names]:
            yield [call(name) for name in turn]
        return ""

    with pytest.raises(ValueError, match=told):
        made([Document("d", flow)], room(Echo()))


def test_documents_under_way_have_ids_of_their_own() -> None:
    with pytest.raises(DataError, match="'same' stands twice"):
        made([Document("same", single), Document("same", single)], room(Echo()))


def test_a_fault_in_a_flow_names_its_document() -> None:
    def flow() -> Flow[str]:
        yield [call("one")]
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError) as caught:
        made([Document("the third", flow)], room(Echo()))
    assert "in document 'the third'" in caught.value.__notes__
