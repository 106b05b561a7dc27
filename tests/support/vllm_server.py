"""vLLM's own OpenAI-compatible server on this machine, for as long as a test needs it."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def vllm_server(model: str, folder: Path, *, max_model_len: int) -> Iterator[str]:
    """Serve a checkpoint as `m` on a free loopback port; gives the base URL. Its log goes into `folder`."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = int(free.getsockname()[1])
    args = ["--model", model, "--served-model-name", "m", "--host", "127.0.0.1", "--port", str(port)]
    size = ["--max-model-len", str(max_model_len), "--enforce-eager", "--dtype", "bfloat16"]
    quiet = {"VLLM_CPU_KVCACHE_SPACE": "1", "VLLM_LOGGING_LEVEL": "ERROR", "TORCHDYNAMO_DISABLE": "1"}
    command = [sys.executable, "-m", "vllm.entrypoints.openai.api_server", *args, *size]
    path = folder / "server.log"
    with path.open("w") as log:
        server = subprocess.Popen(command, stdout=log, stderr=log, env={**os.environ, **quiet}, start_new_session=True)
    try:
        _wait_for(port, server, path)
        yield f"http://127.0.0.1:{port}/v1"
    finally:
        os.killpg(server.pid, signal.SIGTERM)
        server.wait(timeout=60)


def _wait_for(port: int, server: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + 300
    while time.monotonic() < deadline:
        assert server.poll() is None, log.read_text()[-3000:]
        with (
            contextlib.suppress(OSError),
            urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=5) as answer,
        ):
            if answer.status == 200:
                return
        time.sleep(1)
    raise AssertionError(log.read_text()[-3000:])
