"""`--push` against a hub on this machine: the folder arrives under the user's own login, or the fault is named."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from command_line import lengthctl

from lengthctl.errors import ConfigError

pytest.importorskip("huggingface_hub", reason="the upload is huggingface_hub's")


class FakeHub(BaseHTTPRequestHandler):
    """The three calls of an upload of small files; keeps what it was asked."""

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.server.calls.append((self.path, self.headers.get("Authorization"), body))  # type: ignore[attr-defined]
        if self.path.endswith("/preupload/main"):
            answer: Any = {
                "files": [{**f, "uploadMode": "regular", "shouldIgnore": False} for f in json.loads(body)["files"]]
            }
        else:
            home = f"http://127.0.0.1:{self.server.server_port}/me/m"  # type: ignore[attr-defined]
            answer = {"url": home, "success": True, "commitUrl": f"{home}/commit/1", "commitOid": "1"}
        payload = json.dumps(answer).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(payload)))
        self.end_headers()
        self.wfile.write(payload)

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def hub() -> Iterator[ThreadingHTTPServer]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), FakeHub)
    server.calls = []  # type: ignore[attr-defined]
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()


def push(folder: Path, endpoint: str, kind: str = "model") -> subprocess.CompletedProcess[str]:
    code = (
        "import sys\nfrom pathlib import Path\nfrom lengthctl.errors import LengthctlError\n"
        f"from lengthctl.pipelines.publish import push_{kind}\n"
        f"try: push_{kind}(Path({str(folder)!r}), 'me/m')\n"
        "except LengthctlError as error: sys.exit(str(error))"
    )
    env = {**os.environ, "HF_ENDPOINT": endpoint, "HF_TOKEN": "hf_secret", "HF_HUB_OFFLINE": "0"}
    return subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, timeout=60)


def test_the_folder_arrives_under_the_users_login(hub: ThreadingHTTPServer, tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text("a card")
    (tmp_path / "config.json").write_text("{}")
    out = push(tmp_path, f"http://127.0.0.1:{hub.server_port}")
    assert out.returncode == 0, out.stderr
    paths = [call[0] for call in hub.calls]  # type: ignore[attr-defined]
    assert paths[0] == "/api/repos/create"
    assert paths[-1].startswith("/api/models/me/m/commit/main")
    assert {call[1] for call in hub.calls} == {"Bearer hf_secret"}  # type: ignore[attr-defined]
    committed = [json.loads(line) for line in hub.calls[-1][2].splitlines()]  # type: ignore[attr-defined]
    assert {line["value"]["path"] for line in committed if line["key"] == "file"} == {"README.md", "config.json"}


def test_of_a_dataset_only_its_own_files_go(hub: ThreadingHTTPServer, tmp_path: Path) -> None:
    names = {"README.md", "stats.json", "train.jsonl"}
    for name in {*names, "steps.jsonl", "verdicts.jsonl"}:
        (tmp_path / name).write_text("{}")
    out = push(tmp_path, f"http://127.0.0.1:{hub.server_port}", "dataset")
    assert out.returncode == 0, out.stderr
    calls = hub.calls  # type: ignore[attr-defined]
    assert json.loads(calls[0][2])["type"] == "dataset"
    assert calls[-1][0].startswith("/api/datasets/me/m/commit/main")
    committed = [json.loads(line) for line in calls[-1][2].splitlines()]
    assert {line["value"]["path"] for line in committed if line["key"] == "file"} == names


def test_a_hub_that_does_not_answer_is_named(tmp_path: Path) -> None:
    out = push(tmp_path, "http://127.0.0.1:9")
    assert out.returncode == 1
    assert "me/m could not be pushed" in out.stderr
    assert "hf auth login" in out.stderr
    assert "Traceback" not in out.stderr


@pytest.mark.parametrize("verb", [["train", "quickstart"], ["data", "curate", "x.jsonl", "--out", "o"]])
def test_what_is_no_name_on_the_hub_is_refused_before_anything_is_done(verb: list[str]) -> None:
    out = lengthctl(*verb, "--push", "a/b/c")
    assert isinstance(out.exception, ConfigError)
    assert "'a/b/c' is no name of a hub repository" in str(out.exception)
