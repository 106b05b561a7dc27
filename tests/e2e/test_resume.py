"""The driver killed with -9 at moments that nobody chose: nothing is lost or done twice, and the run ends as one that
was left alone, to the last bit."""

from __future__ import annotations

import hashlib
import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psutil
import pytest

pytestmark = pytest.mark.e2e

OPTIONS = (
    "trainer.num_generations=4",
    "trainer.per_device_train_batch_size=8",
    "trainer.max_completion_length=48",
    "trainer.warmup_steps=0",
    "trainer.save_steps=1",
    "prompts.targets=[10, 30]",
    "evaluate.limit=2",
    "rollout.reproducible=true",
    "run.name=run",
)
CLOCKS = ("time", "seconds", "per_second", "changed_fraction")  # the last: since this process began


def start(cwd: Path, *args: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", "from lengthctl.cli import main; main()", "train", *args]
    with (cwd / "stderr.txt").open("a") as log:
        return subprocess.Popen(command, cwd=cwd, stdout=subprocess.DEVNULL, stderr=log, text=True)


def finish(process: subprocess.Popen[str], cwd: Path) -> None:
    code = process.wait(timeout=600)
    assert code == 0, (cwd / "stderr.txt").read_text()[-3000:]


def kill_after(
    step: int, delay: float, process: subprocess.Popen[str], run: Path, *, whole: bool = False
) -> list[psutil.Process]:
    """SIGKILL, some time after the step was logged, or its checkpoint written; returns what it had started."""
    metrics, deadline = run / "metrics.jsonl", time.monotonic() + 300
    checkpoint = run / "checkpoints" / f"checkpoint-{step}" / "trainer_state.json"
    while not (checkpoint.is_file() if whole else metrics.is_file() and len(metrics.read_text().splitlines()) >= step):
        assert process.poll() is None, "ended by itself"
        assert time.monotonic() < deadline
        time.sleep(0.05)
    time.sleep(delay)
    family = psutil.Process(process.pid).children(recursive=True)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    return family


def outcome(run: Path) -> dict[str, Any]:
    """All that must be equal: samples, metrics without what a clock tells, weights."""
    metrics = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    return {
        "rollouts": [json.loads(line) for line in (run / "samples" / "rollouts.jsonl").read_text().splitlines()],
        "metrics": [{k: v for k, v in row.items() if not any(c in k for c in CLOCKS)} for row in metrics],
        "before": (run / "samples" / "before.jsonl").read_text(),
        "after": (run / "samples" / "after.jsonl").read_text(),
        "weights": hashlib.sha256((run / "model" / "model.safetensors").read_bytes()).hexdigest(),
    }


@pytest.mark.parametrize(
    ("steps", "kills", "more"),
    [
        pytest.param(4, (1, 3), (), id="full weights"),
        pytest.param(
            2, (1, 2), ("model.lora={r: 4}", "trainer.learning_rate=1e-2"), id="LoRA", marks=pytest.mark.recipes
        ),
    ],
)
def test_a_killed_run_ends_as_an_undisturbed_one(
    tmp_path: Path, steps: int, kills: tuple[int, ...], more: tuple[str, ...]
) -> None:
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    options = ("quickstart", *OPTIONS, f"trainer.max_steps={steps}", *more)
    for folder in (whole, cut):
        folder.mkdir()
    finish(start(whole, *options), whole)

    draw = random.Random(5)
    run = cut / "runs" / "run"
    process = start(cut, *options)
    family: list[psutil.Process] = []
    for step in kills:
        family += kill_after(step, draw.uniform(0, 3) if step < steps else 0, process, run, whole=step == steps)
        process = start(cut, "--resume", str(run))
    finish(process, cut)
    _, alive = psutil.wait_procs(family, timeout=120)  # Ray's agents look for its control store for a minute
    assert not alive, [p.name() for p in alive]
    ours, theirs = outcome(run), outcome(whole / "runs" / "run")
    for name, value in theirs.items():
        assert ours[name] == value, name
    assert [row["step"] for row in ours["rollouts"]] == [s for s in range(1, steps + 1) for _ in range(8)]
