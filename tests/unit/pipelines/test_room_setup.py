"""A room over an endpoint or a script: what is refused at the start, what is kept; the estimate and the numbers."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import flaky_server as flaky
import pytest
from flaky_server import Answer as Served
from flaky_server import FlakyServer
from word_model import word_tokenizer

from lengthctl.config import Config, ModelConfig, RewardSpec, RolloutConfig
from lengthctl.decode.flow import Answer, Call, Flow, FlowFailedError, Setback
from lengthctl.errors import ConfigError, EndpointError, RunFolderError
from lengthctl.length import Target
from lengthctl.pipelines.document_room import Document, Room, run_documents
from lengthctl.pipelines.journal import source_identity
from lengthctl.pipelines.room_estimate import Estimate, Prices, describe_first_calls, dry_run, estimate_calls, limited
from lengthctl.pipelines.room_report import Tally
from lengthctl.pipelines.room_setup import documents_at_once, opened_room
from lengthctl.pipelines.step_store import StepStore
from lengthctl.progress import Narrator
from lengthctl.records import FinishReason
from lengthctl.rollout.backend import Ability, Sampling
from lengthctl.rollout.scripted import ScriptedBackend

REWARD = [RewardSpec(name="log_ratio")]


def endpoint(url: str, **changes: Any) -> Config:
    section = {"base_url": url, "model": "m", "api_key_env": None, "attempts": 2, "backoff_s": 0.001, **changes}
    return Config(rollout=RolloutConfig(backend="endpoint", endpoint=section), rewards=REWARD)


def scripted(tmp_path: Path) -> Config:
    path = tmp_path / "script.jsonl"
    path.write_text('{"id": "*", "texts": ["a text."]}\n')
    return Config(rollout=RolloutConfig(backend="scripted", script=str(path)), rewards=REWARD)


def asking(text: str = "hello", **options: Any) -> Flow[str]:
    (answer,) = yield [Call("one", ({"role": "user", "content": text},), 8, **options)]
    if answer.finish is FinishReason.ERROR:
        raise FlowFailedError(Setback.BACKEND, answer.error or "")
    return answer.text


def documents(count: int) -> list[Document[str]]:
    return [Document(f"d{i}", lambda i=i: asking(f"say {i}")) for i in range(count)]


def open_it(config: Config, out: Path | None, **options: Any) -> Any:
    return opened_room(config, out, sampling=Sampling(), narrator=Narrator(quiet=True), **options)


def try_to_open(config: Config, out: Path | None, **options: Any) -> None:
    with open_it(config, out, **options):
        raise AssertionError("opened")


def test_documents_over_an_endpoint_are_kept_and_not_asked_again(tmp_path: Path) -> None:
    told: dict[str, Any] = {}
    with FlakyServer() as server:
        for _ in range(2):
            with open_it(endpoint(server.url, concurrency=3), tmp_path, prices=Prices(1.0, 1e6)) as room:
                assert room.in_flight == 3
                report = run_documents(documents(9), room, on_result=lambda d, r: told.update({d.id: r}))
        assert len(server.bodies) == 9
        assert len({body["seed"] for body in server.bodies}) == 9
    assert told == {f"d{i}": f"said: say {i}" for i in range(9)}
    assert (report.calls_made, report.calls_stored) == (0, 9)
    assert report.totals() == {"calls": 9, "prompt_tokens": 36, "completion_tokens": 63}
    assert report.cost == 0.0
    assert (tmp_path / "steps.jsonl").read_bytes().count(b"\n") == 9


def test_what_fails_costs_its_own_document_only(tmp_path: Path) -> None:
    refused = Served(400, b'{"error": {"message": "no"}}')
    served = [flaky.OK, refused, refused, refused, flaky.OK]
    with FlakyServer(served) as server, open_it(endpoint(server.url), tmp_path, failure_budget=0.5) as room:
        report = run_documents(documents(9), room, on_result=lambda d, r: None)
    assert (report.documents, report.setbacks) == (9, {Setback.BACKEND: 3})


def test_a_server_that_takes_no_first_words_is_refused_at_the_start(tmp_path: Path) -> None:
    unknown = Served(400, b'{"error": {"message": "unknown field continue_final_message"}}')
    needs = frozenset({Ability.PREFILL})
    with FlakyServer([unknown]) as server:
        with pytest.raises(ConfigError, match="unknown field continue_final_message"):
            try_to_open(endpoint(server.url), tmp_path, needs=needs)
        assert len(server.bodies) == 1
    with FlakyServer() as server, open_it(endpoint(server.url), tmp_path, needs=needs):
        assert server.bodies[0]["max_tokens"] == 1
    with FlakyServer([flaky.BROKEN]) as server, pytest.raises(EndpointError, match="no usable answer"):
        try_to_open(endpoint(server.url), tmp_path, needs=needs)


def test_what_a_backend_cannot_do_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="rules  is needed"):
        try_to_open(scripted(tmp_path), None, needs=frozenset({Ability.RULES}))
    with pytest.raises(ConfigError, match="continue a text that has begun"):
        try_to_open(scripted(tmp_path), None, control="close")
    with open_it(scripted(tmp_path), None, control="retry", needs=frozenset({Ability.PREFILL})) as room:
        assert room.control is not None
        assert room.store is None


@pytest.mark.parametrize(
    ("name", "shown"),
    [("org/small-model", "org/small-model"), ("/data/models/small", "small"), ("/data/runs/first/model", "first")],
)
def test_a_model_is_named_without_its_folder(name: str, shown: str) -> None:
    config = Config(model=ModelConfig(name=name), rewards=REWARD)
    room = Room(ScriptedBackend({}), None, source_identity(config), Sampling())
    assert room.model_name == shown
    assert replace(room, source=source_identity(endpoint("http://127.0.0.1:9/v1"))).model_name == "m"
    assert replace(room, source=[]).model_name is None
    assert replace(room, source=["fake", 1]).model_name is None


def test_the_steps_are_let_go_of_behind_the_block(tmp_path: Path) -> None:
    with open_it(scripted(tmp_path), tmp_path), pytest.raises(RunFolderError, match="in use"):
        StepStore(tmp_path / "steps.jsonl")
    StepStore(tmp_path / "steps.jsonl").close()


def test_progress_names_documents_tokens_and_failures(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with opened_room(scripted(tmp_path), None, sampling=Sampling(), narrator=Narrator()) as room:
        run_documents(documents(3), room, on_result=lambda d, r: None, title="stories")
    shown = capsys.readouterr().err
    assert "stories 3/3" in shown
    assert "calls 3" in shown
    assert "tokens_per_second" in shown


def two_at_once() -> Flow[str]:
    system = {"role": "system", "content": "Be brief."}
    one = Call("plan/0", (system, {"role": "user", "content": "Plan\na text."}), 30, prefill="1.")
    yield [one, Call("plan/1", ({"role": "user", "content": "写" * 40},), 90, target=Target(20))]
    raise AssertionError("nobody answers")


def test_a_dry_run_shows_the_first_calls_and_sums_up() -> None:
    text = describe_first_calls(Document("d", two_at_once), 1)
    assert "call plan/0: at most 30 tokens" in text
    assert "    [user]\n    Plan\n    a text." in text
    assert "    [assistant, begun]\n    1." in text
    assert "and 1 more at once" in text
    assert "plan/1: at most 90 tokens, about 20 words" in describe_first_calls(Document("d", two_at_once), 2)
    assert "asks for nothing" in describe_first_calls(Document("d", lambda: iter_of("done")))
    shown, total = dry_run([Document(str(i), two_at_once) for i in range(5)], shown=2, prices=Prices(10.0, 20.0))
    assert total == Estimate(10, 5 * (2 + 3 + 16 + 40 + 8), 5 * (30 + 28))
    assert shown.count("document ") == 2
    assert "5 documents, 10 calls, about 345 prompt tokens" in shown
    assert "first calls alone" in shown
    assert "cost: about 0.01" in shown
    shown, total = dry_run(documents(3), expected=lambda _: Estimate(7, 10, 20))
    assert (total, "first calls alone" in shown) == (Estimate(21, 30, 60), False)


def iter_of(result: str) -> Flow[str]:
    return result
    yield


def test_prompts_are_counted_by_the_tokenizer_where_there_is_one() -> None:
    call = Call("a", ({"role": "user", "content": "Ant"},), 5, target=Target(100), prefill="Bee Cat")
    assert estimate_calls([call], word_tokenizer()) == Estimate(1, 3, 5)
    assert estimate_calls([]) == Estimate()


def test_a_limit_reads_no_more_than_it_takes() -> None:
    rest = iter(documents(5))
    assert [d.id for d in limited(rest, 2)] == ["d0", "d1"]
    assert [d.id for d in limited(rest, None)] == ["d2", "d3", "d4"]


def test_a_long_message_is_cut_in_a_dry_run() -> None:
    text = describe_first_calls(Document("d", lambda: asking("x" * 10_000)))
    assert len(text) < 5000
    assert "(10000 characters)" in text


@pytest.mark.parametrize("prices", [(-1.0, 0.0), (0.0, -1.0), (float("nan"), 0.0)])
def test_a_price_is_not_negative(prices: tuple[float, float]) -> None:
    with pytest.raises(ValueError, match="a price is 0 or more"):
        Prices(*prices)


def test_the_share_of_time_that_the_backend_was_busy() -> None:
    times: Iterator[float] = iter([0.0, 0.0, 6.0, 8.0, 10.0])
    tally = Tally(4, None, clock=lambda: next(times))
    for out in (4, 2, 5):
        tally.mark(out)
    report = tally.report()  # 6 s with 4, 2 s with 2, 2 s with 5
    assert report.busy_share == pytest.approx(0.8)
    assert report.mean_calls_out == pytest.approx((24 + 4 + 10) / 10)
    assert report.seconds == 10.0


def test_a_report_is_a_row_of_numbers() -> None:
    tally = Tally(1, Prices(1e6, 2e6))
    tally.answer(Answer("x", FinishReason.EOS, tokens=5, prompt_tokens=3), stored=False)
    tally.answer(Answer("y", FinishReason.EOS, tokens=50, prompt_tokens=30), stored=True)
    tally.answer(Answer("", FinishReason.ERROR, error="no"), stored=False)
    tally.end(None)
    tally.end(Setback.EMPTY)
    assert (
        "2 documents (1 empty), 1 calls made and 1 kept from before, 3 prompt and 5 completion" in tally.report().line
    )
    assert tally.report().line.endswith("cost 13.00")
    row = tally.report().to_row()
    assert row["setbacks"] == {"empty": 1}
    assert (row["calls_made"], row["calls_stored"], row["calls_failed"], row["cost"]) == (1, 1, 1, 13.0)
    assert tally.report().totals() == {"calls": 2, "prompt_tokens": 33, "completion_tokens": 55}


@pytest.mark.parametrize(
    ("rollout", "context", "expected"),
    [
        ({}, 8192, 45),  # 46,603 tokens in a GiB of the bundled model's cache
        ({"engines": 2}, 8192, 64),
        ({"kv_cache_gib": 2}, 8192, 64),
        ({}, 512, 64),
        ({"max_num_seqs": 4}, 8192, 4),
        ({"gpus": 1}, 8192, 128),  # vLLM takes what is free
        ({"gpus": 0.1, "kv_cache_gib": 1}, 8192, 45),
    ],
)
def test_engines_get_as_many_documents_as_their_cache_holds(
    rollout: dict[str, Any], context: int, expected: int
) -> None:
    config = Config(rollout=RolloutConfig(**rollout), rewards=REWARD)
    assert documents_at_once(config, context) == expected
