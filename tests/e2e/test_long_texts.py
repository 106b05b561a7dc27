"""Long texts by the real small model: planned and written by engines here, killed with -9 and gone on with, and written
by vLLM's own server; a model that lengthens its own texts and is tuned on them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psutil
import pytest
from vllm_server import vllm_server

from lengthctl.models import BUNDLED, resolve_model

pytestmark = pytest.mark.e2e

CLI = [sys.executable, "-c", "from lengthctl.cli import main; main()"]
REQUESTS = ("Write a story about a lighthouse.", "Explain how bread is baked.", "Describe a walk through a wood.")
WRITE = ["data", "agentwrite", "requests.jsonl", "--words", "240", "--small", "--out", "out", "--json"]
WRITE += ["--failure-budget", "1"]  # a text that repeats itself is no fault of ours


def write_requests(folder: Path) -> None:
    rows = [{"id": f"r{n}", "prompt": text} for n, text in enumerate(REQUESTS)]
    (folder / "requests.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))


def lines(path: Path) -> list[bytes]:
    """Whole lines of a file that may not be there yet."""
    return path.read_bytes().split(b"\n")[:-1] if path.is_file() else []


def check_data(folder: Path, facts: dict[str, Any]) -> None:
    """Every request is written, or dropped for a reason; every call was answered once."""
    steps = [json.loads(line) for line in lines(folder / "steps.jsonl")]
    assert len({step["key"] for step in steps}) == len(steps) == facts["measured"]["calls"]
    assert {step["call"].split("/")[0] for step in steps} == {"plan", "write"}
    rows = [json.loads(line) for line in lines(folder / "train.jsonl")]
    dropped = sum(sum(source["dropped"].values()) for source in facts["sources"])
    assert len(rows) + dropped == len(REQUESTS)
    assert rows
    for row in rows:
        assert row["words"] > 40
        assert len(row["plan"]) >= 2
        assert "Paragraph 1" not in row["completion"][0]["content"]


def test_a_killed_writer_repeats_no_call(tmp_path: Path) -> None:
    write_requests(tmp_path)
    steps, log = tmp_path / "out" / "steps.jsonl", (tmp_path / "log").open("w")
    first = subprocess.Popen([*CLI, *WRITE], cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=log)
    deadline = time.monotonic() + 300
    while len(lines(steps)) < 4:
        assert first.poll() is None, (tmp_path / "log").read_text()[-3000:]
        assert time.monotonic() < deadline
        time.sleep(0.02)
    family = psutil.Process(first.pid).children(recursive=True)
    os.kill(first.pid, signal.SIGKILL)
    first.wait()
    psutil.wait_procs(family, timeout=15)
    kept = lines(steps)
    out = subprocess.run([*CLI, *WRITE], cwd=tmp_path, capture_output=True, text=True, timeout=600)
    assert out.returncode == 0, out.stderr[-3000:]
    assert lines(steps)[: len(kept)] == kept
    check_data(tmp_path / "out", json.loads(out.stdout))


def test_a_server_writes_the_same_way(tmp_path: Path) -> None:
    write_requests(tmp_path)
    with vllm_server(resolve_model(BUNDLED), tmp_path, max_model_len=2048) as url:
        command = [*CLI, *WRITE, "--endpoint", url, "--model", "m"]
        out = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=600)
    assert out.returncode == 0, out.stderr[-3000:]
    facts = json.loads(out.stdout)
    check_data(tmp_path / "out", facts)
    assert facts["measured"]["prompt_tokens"] > 300


@pytest.mark.recipes
def test_a_model_is_tuned_on_what_it_lengthened(tmp_path: Path) -> None:
    command = ["data", "self-lengthen", "--out", "out", "--profile", "small", "--seed", "3", "--json"]
    command += ["rounds=1", "instructions=6", "max_tokens=160", "probe_tokens=200", "evaluate.limit=1"]
    command += ["evaluate.max_tokens=64", "prompts.targets=[30]", "trainer.max_steps=2"]
    out = subprocess.run([*CLI, *command], cwd=tmp_path, capture_output=True, text=True, timeout=1200)
    assert out.returncode == 0, out.stderr[-3000:]
    found = json.loads(out.stdout)
    assert len(found["rounds"]) == 2  # before, and behind the first
    again = subprocess.run([*CLI, *command], cwd=tmp_path, capture_output=True, text=True, timeout=300)
    assert again.returncode == 0, again.stderr[-3000:]
    assert json.loads(again.stdout)["calls"] == found["calls"]
