"""Backends that need no model: the contract, failures as data, a budget for them."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from lengthctl.config import EndpointSection
from lengthctl.errors import DataError, EndpointError
from lengthctl.records import FinishReason
from lengthctl.rollout.backend import Request, Sampling
from lengthctl.rollout.endpoint import EndpointBackend
from lengthctl.rollout.scripted import ScriptedBackend


def requests(count: int) -> list[Request]:
    return [
        Request(f"r{i}", (), Sampling(max_tokens=8), ({"role": "user", "content": f"say {i}"},)) for i in range(count)
    ]


class Echo(BaseHTTPRequestHandler):
    """Answers `said: <last message>`; a message that holds `fail` is refused."""

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        text = body["messages"][-1]["content"]
        status, answer = (400, {"error": {"message": "no"}}) if "fail" in text else (200, self._completion(text))
        payload = json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(payload)))
        self.end_headers()
        self.wfile.write(payload)

    def _completion(self, text: str) -> dict[str, Any]:
        reason = "length" if "long" in text else "stop"
        choice = {"index": 0, "message": {"role": "assistant", "content": f"said: {text}"}, "finish_reason": reason}
        return {"id": "x", "object": "chat.completion", "created": 0, "model": "m", "choices": [choice]}

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def endpoint() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Echo)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/v1"
    server.shutdown()


def settings(url: str) -> EndpointSection:
    return EndpointSection(base_url=url, model="m", concurrency=2, timeout_s=5.0, backoff_s=0.001, api_key_env=None)


def test_endpoint_keeps_the_order(endpoint: str) -> None:
    seen: list[str] = []
    out = EndpointBackend(settings(endpoint)).generate(requests(5), lambda c: seen.append(c.request_id))
    assert [c.text for c in out] == [f"said: say {i}" for i in range(5)]
    assert sorted(seen) == [f"r{i}" for i in range(5)]


def test_endpoint_reports_truncation_and_failure_as_data(endpoint: str) -> None:
    mixed = [
        Request("a", (), Sampling(), ({"role": "user", "content": "long one"},)),
        Request("b", (), Sampling(), ({"role": "user", "content": "please fail"},)),
        Request("c", (), Sampling(), ({"role": "user", "content": "fine"},)),
    ]
    out = EndpointBackend(settings(endpoint)).generate(mixed)
    assert [c.finish for c in out] == [FinishReason.LIMIT, FinishReason.ERROR, FinishReason.EOS]
    assert out[1].error is not None
    assert out[1].text == ""


def test_endpoint_that_does_not_answer() -> None:
    backend = EndpointBackend(settings("http://127.0.0.1:9/v1"))
    with pytest.raises(EndpointError, match="does not answer"):
        backend.generate(requests(4))


def test_script_replays_in_turn(tmp_path: Path) -> None:
    path = tmp_path / "script.jsonl"
    path.write_text('{"id": "r0", "texts": ["one", "two"]}\n{"id": "*", "texts": ["other"]}\n')
    backend = ScriptedBackend.from_file(path)
    assert [c.text for c in backend.generate(requests(2))] == ["one", "other"]
    assert [c.text for c in backend.generate(requests(1))] == ["two"]


def test_script_without_an_entry_fails_with_a_cause() -> None:
    (completion,) = ScriptedBackend({"x": ["y"]}).generate(requests(1))
    assert completion.finish is FinishReason.ERROR
    assert completion.error == "not in the script"


def test_torn_script_names_the_line(tmp_path: Path) -> None:
    path = tmp_path / "script.jsonl"
    path.write_text('{"id": "a", "texts": ["b"]}\n{"id": 3}\n')
    with pytest.raises(DataError, match=r"script\.jsonl:2"):
        ScriptedBackend.from_file(path)


def test_a_script_takes_added_requests_in() -> None:
    backend = ScriptedBackend({"*": ["one", "two", "three"]})
    first, second, third = requests(3)
    done = backend.generate([first, second], lambda c: [third] if c.request_id == "r0" else None)
    assert [(c.request_id, c.text) for c in done] == [("r0", "one"), ("r1", "two"), ("r2", "three")]
