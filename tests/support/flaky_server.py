"""A small server of `/v1/chat/completions` that misbehaves as told: one behaviour a request, in turn."""

from __future__ import annotations

import json
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass(frozen=True)
class Answer:
    """What one request gets. `body` None: a whole completion that says `said: ` and the last message."""

    status: int = 200
    body: bytes | None = None
    headers: dict[str, str] = field(default_factory=dict)
    wait_s: float = 0.0
    """Before the first byte."""
    drip_s: float = 0.0
    """Between two bytes of the body."""
    cut: int = 0
    """Bytes of the body that are announced and never sent."""
    is_mute: bool = False
    """Close the connection without an answer."""


OK = Answer()
BUSY = Answer(429, b'{"error": {"message": "slow down"}}')
BROKEN = Answer(500, b"oops")
HTML = Answer(200, b"<html>Bad Gateway</html>", {"Content-Type": "text/html"})
EMPTY = Answer(200, b'{"choices": [], "error": {"message": "no room"}}')
CUT_JSON = Answer(200, b'{"choices": [{"message": {"content": "ha')
CUT_BODY = Answer(cut=30)
MUTE = Answer(is_mute=True)


def completion(text: str, **choice: Any) -> bytes:
    """The body of a completion."""
    whole = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop", **choice}
    usage = {"prompt_tokens": 4, "completion_tokens": 7}
    return json.dumps({"object": "chat.completion", "choices": [whole], "usage": usage}).encode()


class FlakyServer:
    """Use as a context; the last answer repeats. `bodies` and `keys` hold what was asked, in order."""

    def __init__(self, answers: Sequence[Answer] = (OK,)) -> None:
        self.bodies: list[dict[str, Any]] = []
        self.keys: list[str | None] = []
        self._answers = answers
        self._lock = threading.Lock()
        self._over = threading.Event()
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                server._answer(self, server._take(asked, self.headers.get("Authorization")), asked)

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}/v1"

    def __enter__(self) -> FlakyServer:
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._server.shutdown()
        self._server.server_close()

    def _take(self, asked: dict[str, Any], key: str | None) -> Answer:
        with self._lock:
            self.bodies.append(asked)
            self.keys.append(key)
            return self._answers[min(len(self.bodies), len(self._answers)) - 1]

    def _answer(self, handler: BaseHTTPRequestHandler, answer: Answer, asked: dict[str, Any]) -> None:
        self._over.wait(answer.wait_s)
        if answer.is_mute or self._over.is_set():
            handler.close_connection = True
            return
        body = completion(f"said: {asked['messages'][-1]['content']}") if answer.body is None else answer.body
        handler.send_response(answer.status)
        for name, value in {"Content-Type": "application/json", **answer.headers}.items():
            handler.send_header(name, value)
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        whole = body[: len(body) - answer.cut]
        try:
            for piece in [whole] if not answer.drip_s else [whole[i : i + 1] for i in range(len(whole))]:
                handler.wfile.write(piece)
                if self._over.wait(answer.drip_s):
                    break
        except OSError:  # the client has hung up
            pass
        handler.close_connection = bool(answer.cut)
