"""An endpoint that misbehaves is survived, or ends with a clear error and everything done so far kept."""

from __future__ import annotations

import json
import math
import signal
import threading
import time
from dataclasses import replace
from typing import Any

import flaky_server as flaky
import pytest
from flaky_server import Answer, FlakyServer, completion
from pydantic import ValidationError

from lengthctl.config import EndpointSection
from lengthctl.errors import ConfigError, EndpointError, FailureBudgetError
from lengthctl.records import Completion, FinishReason
from lengthctl.rollout.backend import Request, Sampling
from lengthctl.rollout.endpoint import EndpointBackend

SLOW = Answer(wait_s=30)


def settings(url: str, **changes: Any) -> EndpointSection:
    quick = {"timeout_s": 5.0, "attempts": 3, "backoff_s": 0.001, "concurrency": 2, "api_key_env": None}
    return EndpointSection(base_url=url, model="m", **{**quick, **changes})


def requests(count: int, **sampling: Any) -> list[Request]:
    message = {"role": "user", "content": "hello"}
    return [Request(f"r{i}", (), Sampling(**{"max_tokens": 8, **sampling}), (message,)) for i in range(count)]


BAD = {
    "429": flaky.BUSY,
    "500": flaky.BROKEN,
    "html": flaky.HTML,
    "empty choices": flaky.EMPTY,
    "cut-off JSON": flaky.CUT_JSON,
    "cut-off body": flaky.CUT_BODY,
    "hangs up": flaky.MUTE,
    "a list": Answer(200, b"[1, 2]"),
    "no message": Answer(200, b'{"choices": [null]}'),
    "no text": Answer(200, completion("").replace(b'""', b"[1]")),
    "deep JSON": Answer(200, b"[" * 100_000),
}


@pytest.mark.parametrize("bad", BAD.values(), ids=BAD.keys())
def test_a_fault_that_passes_costs_a_try(bad: Answer) -> None:
    with FlakyServer([bad, bad, flaky.OK]) as server:
        (done,) = EndpointBackend(settings(server.url)).generate(requests(1))
    assert (done.text, done.finish, done.error) == ("said: hello", FinishReason.EOS, None)
    assert len(server.bodies) == 3


@pytest.mark.parametrize("bad", BAD.values(), ids=BAD.keys())
def test_a_fault_that_stays_ends_after_so_many_tries(bad: Answer) -> None:
    seen: list[str] = []
    with FlakyServer([bad]) as server:
        backend = EndpointBackend(settings(server.url, concurrency=1))
        with pytest.raises(EndpointError, match=r"does not answer|no usable answer"):
            backend.generate(requests(5), lambda c: seen.append(c.request_id))
    assert 6 <= len(server.bodies) <= 9  # one failure is allowed, and a third request may be under way
    assert seen[:2] == ["r0", "r1"]


@pytest.mark.parametrize("slow", [SLOW, Answer(drip_s=0.05)], ids=["silent", "dripping"])
def test_a_slow_answer_is_bounded_in_all(slow: Answer) -> None:
    start = time.monotonic()
    with FlakyServer([slow, flaky.OK]) as server:
        (done,) = EndpointBackend(settings(server.url, timeout_s=0.3, attempts=6)).generate(requests(1))
    assert done.text == "said: hello"
    assert time.monotonic() - start < 5


def test_retry_after_is_heeded_and_bounded() -> None:
    wait = Answer(429, b"{}", {"Retry-After": "0.2"})
    start = time.monotonic()
    with FlakyServer([wait, flaky.OK]) as server:
        EndpointBackend(settings(server.url)).generate(requests(1))
    assert time.monotonic() - start >= 0.2
    late = ["3600", "Fri, 31 Dec 2999 23:59:59 GMT", "soon", "nan", "-1"]
    with FlakyServer([*(Answer(429, b"{}", {"Retry-After": value}) for value in late), flaky.OK]) as server:
        backend = EndpointBackend(settings(server.url, max_backoff_s=0.01, attempts=6))
        assert backend.generate(requests(1))[0].text == "said: hello"
    assert time.monotonic() - start < 10


def test_what_was_answered_is_kept_when_the_server_dies() -> None:
    seen: list[str] = []
    with FlakyServer([flaky.OK] * 6 + [flaky.MUTE]) as server:
        backend = EndpointBackend(settings(server.url, concurrency=1), failure_budget=0.1)
        with pytest.raises(FailureBudgetError, match="3 of 20 completions failed"):
            backend.generate(requests(20), lambda c: seen.append(c.text))
    assert seen[:6] == ["said: hello"] * 6


def test_a_request_that_is_refused_is_not_repeated() -> None:
    refused = Answer(400, b'{"error": {"message": "too long"}}')
    with FlakyServer([flaky.OK, refused, flaky.OK]) as server:
        done = EndpointBackend(settings(server.url, concurrency=1)).generate(requests(3))
    assert [c.finish for c in done] == [FinishReason.EOS, FinishReason.ERROR, FinishReason.EOS]
    assert "too long" in str(done[1].error)
    assert len(server.bodies) == 3


def test_a_filtered_text_is_a_failure_and_a_refusal_is_a_text() -> None:
    filtered = Answer(200, completion("half of i", finish_reason="content_filter"))
    refusal = Answer(200, completion("", message={"content": None, "refusal": "I cannot."}))
    with FlakyServer([filtered, refusal]) as server:
        held, said = EndpointBackend(settings(server.url, concurrency=1)).generate(requests(2))
    assert (held.finish, held.text) == (FinishReason.ERROR, "")
    assert said.text == "I cannot."


@pytest.mark.parametrize(("status", "told"), [(401, "SOME_KEY"), (403, "SOME_KEY"), (404, "does not know 'm'")])
def test_what_concerns_every_request_ends_at_once(status: int, told: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOME_KEY", "sk-secret")
    with FlakyServer([Answer(status, b'{"error": {"message": "bad key sk-secret"}}')]) as server:
        backend = EndpointBackend(settings(server.url, concurrency=1, api_key_env="SOME_KEY"), failure_budget=1.0)
        with pytest.raises(EndpointError, match=told) as caught:
            backend.generate(requests(50))
    assert len(server.bodies) < 10  # the worker may be some ahead of who reads its answers
    assert "sk-secret" not in str(caught.value)


def test_the_key_is_sent_without_its_line_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOME_KEY", "sk-secret\n")
    with FlakyServer() as server:
        EndpointBackend(settings(server.url, api_key_env="SOME_KEY")).generate(requests(1))
    assert server.keys == ["Bearer sk-secret"]


def test_a_missing_key_names_its_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_SUCH_KEY", raising=False)
    for url in ("https://api.example.org/v1", "http://10.0.0.7:8000/v1"):
        with pytest.raises(ConfigError, match="NO_SUCH_KEY is not set"):
            EndpointBackend(settings(url, api_key_env="NO_SUCH_KEY"))
    for url in ("http://localhost:1/v1", "http://127.0.0.2:1/v1", "http://[::1]:1/v1"):
        EndpointBackend(settings(url, api_key_env="NO_SUCH_KEY")).close()
    EndpointBackend(settings("http://10.0.0.7:8000/v1", api_key_env=None)).close()


def test_an_address_without_a_scheme_is_refused() -> None:
    with pytest.raises(ValidationError, match="http://"):
        settings("localhost:8000/v1")


def test_the_request_carries_what_was_asked_and_nothing_else() -> None:
    bias, stops = {11: -math.inf, 12: 2.5}, (9,)
    asked = requests(1, seed=3, top_k=5, repetition_penalty=1.2, min_tokens=2, logit_bias=bias, stop_token_ids=stops)
    with FlakyServer() as server:
        backend = EndpointBackend(settings(server.url))
        (done,) = backend.generate(asked)
        backend.generate(requests(1))
    full, plain = server.bodies
    assert (full["seed"], full["top_k"], full["min_tokens"], full["stop_token_ids"]) == (3, 5, 2, [9])
    assert full["repetition_penalty"] == 1.2
    assert full["logit_bias"] == {"11": -100.0, "12": 2.5}
    assert set(plain) == {"model", "messages", "temperature", "top_p", "max_tokens"}
    assert (done.tokens, done.reported_prompt_tokens, done.token_ids) == (7, 4, ())


class SlowWhereTold(FlakyServer):
    """Takes half a second for `slow`."""

    def _take(self, asked: dict[str, Any], key: str | None) -> Answer:
        super()._take(asked, key)
        return Answer(wait_s=0.5) if asked["messages"][-1]["content"] == "slow" else flaky.OK


def test_added_requests_join_the_call_while_others_are_waited_for() -> None:
    seen: list[str] = []
    first, second, third, fourth = requests(4)
    slow = replace(first, messages=({"role": "user", "content": "slow"},))

    def follow(done: Completion) -> list[Request]:
        seen.append(done.request_id)
        return {"r1": [third], "r2": [fourth]}.get(done.request_id, [])

    with SlowWhereTold() as server:
        done = EndpointBackend(settings(server.url, concurrency=2)).generate([slow, second], follow)
    assert seen == ["r1", "r2", "r3", "r0"]
    assert [c.request_id for c in done] == ["r0", "r1", "r2", "r3"]


def test_one_thread_is_enough_for_requests_that_follow_each_other() -> None:
    (first,) = requests(1)

    def follow(done: Completion) -> list[Request]:
        number = int(done.request_id[1:]) + 1
        return [replace(first, id=f"r{number}")] if number < 12 else []

    with FlakyServer() as server:
        done = EndpointBackend(settings(server.url, concurrency=8)).generate([first], follow)
    assert [c.request_id for c in done] == [f"r{i}" for i in range(12)]


def test_added_requests_count_for_the_budget_of_failures() -> None:
    first, *others = requests(100)
    with FlakyServer([flaky.OK, *[Answer(400, b"{}")] * 3]) as server:
        backend = EndpointBackend(settings(server.url, concurrency=1), failure_budget=0.02)
        with pytest.raises(FailureBudgetError, match="3 of 100 completions failed"):
            backend.generate([first], lambda done: others if done.request_id == "r0" else None)


def test_a_rule_among_added_requests_is_refused() -> None:
    (late,) = requests(1, rules={"close": {}})
    with FlakyServer() as server, pytest.raises(EndpointError, match="logit rules"):
        EndpointBackend(settings(server.url)).generate(requests(1), lambda _: [replace(late, id="late")])


def test_first_words_are_a_last_message_that_is_not_over() -> None:
    (asked,) = requests(1)
    with FlakyServer() as server:
        (done,) = EndpointBackend(settings(server.url)).generate([replace(asked, prefill="Once upon")])
    (body,) = server.bodies
    assert body["messages"][-2:] == [
        {"role": "user", "content": "hello"},
        {"role": "assistant", "content": "Once upon"},
    ]
    assert (body["continue_final_message"], body["add_generation_prompt"]) == (True, False)
    assert done.text == "said: Once upon"


def test_logit_rules_are_refused() -> None:
    with pytest.raises(EndpointError, match="logit rules"):
        EndpointBackend(settings("http://127.0.0.1:9/v1")).generate(requests(1, rules={"close": {}}))


def test_half_a_surrogate_pair_cannot_stop_a_record() -> None:
    with FlakyServer([Answer(200, completion("a\ud800b"))]) as server:
        (done,) = EndpointBackend(settings(server.url)).generate(requests(1))
    assert done.text == "a?b"


def test_an_interrupt_does_not_wait_for_the_server() -> None:
    main = threading.main_thread()
    former = signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background job ignores it
    interrupt = threading.Timer(0.2, lambda: signal.pthread_kill(main.ident or 0, signal.SIGINT))
    start = time.monotonic()
    with FlakyServer([SLOW]) as server:
        backend = EndpointBackend(settings(server.url, timeout_s=60))
        interrupt.start()
        with pytest.raises(KeyboardInterrupt):
            backend.generate(requests(4))
        signal.signal(signal.SIGINT, former)
        assert time.monotonic() - start < 10
        assert all(thread.daemon for thread in threading.enumerate() if thread not in (main, interrupt))


def test_an_error_of_the_callback_reaches_the_caller() -> None:
    def full(_: object) -> None:
        raise OSError("disk full")

    with FlakyServer() as server, pytest.raises(OSError, match="disk full"):
        EndpointBackend(settings(server.url)).generate(requests(4), full)


@pytest.mark.parametrize(
    "usage", [None, [], {}, {"prompt_tokens": "4", "completion_tokens": True}, {"prompt_tokens": -4}]
)
def test_a_usage_that_cannot_be_counts_nothing(usage: Any) -> None:
    body = {**json.loads(completion("x")), "usage": usage}
    with FlakyServer([Answer(200, json.dumps(body).encode())]) as server:
        (done,) = EndpointBackend(settings(server.url)).generate(requests(1))
    assert (done.tokens, done.reported_prompt_tokens) == (0, 0)
