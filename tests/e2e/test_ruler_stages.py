"""The whole of Ruler by its script, killed with -9 in every stage: what was done is not done again."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest

pytestmark = [pytest.mark.e2e, pytest.mark.recipes]

SCRIPT = Path(__file__).parents[2] / "scripts" / "ruler_stages.py"
SAVED = ["trainer.save_steps=1", "trainer.max_steps=3"]
TUNED = [*SAVED, "trainer.per_device_train_batch_size=4"]
DRAWN = [*SAVED, "trainer.per_device_train_batch_size=16", "trainer.num_generations=4", "prompts.targets=[10, 30]"]
DRAWN += ["trainer.max_completion_length=64", "trainer.lr_scheduler_kwargs={num_decay_steps: 1}"]
TOPICS = ("rain", "bread", "trains", "owls", "glass", "paint", "salt", "wool", "rivers", "clocks", "moss", "kites")


def lines(path: Path) -> list[str]:
    """Whole lines of a file that may not be there yet."""
    return path.read_text(encoding="utf-8").split("\n")[:-1] if path.is_file() else []


def whole(found: list[str]) -> list[dict[str, Any]]:
    return [json.loads(line) for line in found]


class Pipeline:
    """The script with small settings in a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.out = folder, folder / "out"
        for name, topics in (("prompts", TOPICS), ("held-out", ("foxes", "lamps"))):
            rows = [{"id": f"{name}{n}", "prompt": f"Tell me about {topic}."} for n, topic in enumerate(topics)]
            (folder / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
        self.command = [sys.executable, str(SCRIPT), str(self.out), str(folder / "prompts.jsonl")]
        self.command += ["--eval", str(folder / "held-out.jsonl"), "--tokens", "96"]
        self.command += ["--sft", *TUNED, "--rl", *DRAWN, "--dpo", *TUNED]

    def start(self, *only: str) -> subprocess.Popen[bytes]:
        log = (self.folder / "log").open("ab")
        return subprocess.Popen([*self.command, "--only", *only], stdout=log, stderr=log, cwd=self.folder)

    def kill(self, stage: str, has_begun: Callable[[], bool]) -> None:
        """Start a stage, and end it and all that it started once it has done something."""
        process, deadline = self.start(stage), time.monotonic() + 300
        while not has_begun():
            assert process.poll() is None, self.told()
            assert time.monotonic() < deadline, self.told()
            time.sleep(0.02)
        family = psutil.Process(process.pid).children(recursive=True)
        for one in (process, *family):
            os.kill(one.pid, signal.SIGKILL) if psutil.pid_exists(one.pid) else None
        process.wait()
        psutil.wait_procs(family, timeout=20)

    def finish(self, stage: str) -> None:
        assert self.start(stage).wait(timeout=600) == 0, self.told()

    def told(self) -> str:
        return (self.folder / "log").read_text(errors="replace")[-3000:]


@pytest.fixture(scope="module")
def pipeline(tmp_path_factory: pytest.TempPathFactory) -> Pipeline:
    return Pipeline(tmp_path_factory.mktemp("stages"))


def test_texts(pipeline: Pipeline) -> None:
    file = pipeline.out / "texts.jsonl"
    pipeline.kill("texts", lambda: len(lines(file)) >= 3)
    kept = lines(file)
    pipeline.finish("texts")
    assert set(kept) <= set(lines(file))
    assert sorted(row["id"] for row in whole(lines(file))) == sorted({row["id"] for row in whole(lines(file))})
    assert len(lines(file)) == len(TOPICS)


def test_data(pipeline: Pipeline) -> None:
    pipeline.kill("data", (pipeline.out / "data").is_dir)
    pipeline.finish("data")
    made = pipeline.out / "data" / "train.jsonl"
    undisturbed = pipeline.folder / "again"
    undisturbed.mkdir()
    (undisturbed / "texts.jsonl").write_bytes((pipeline.out / "texts.jsonl").read_bytes())
    command = ["data", "ruler", "texts.jsonl", "--hindsight", "--openings", "--cap", "500", "--controls"]
    command += ["--out", "data", "--against", str(pipeline.folder / "held-out.jsonl")]
    subprocess.run([sys.executable, "-m", "lengthctl", *command], cwd=undisturbed, check=True, capture_output=True)
    rows = [{k: v for k, v in row.items() if k != "source"} for row in whole(lines(made))]
    others = [{k: v for k, v in row.items() if k != "source"} for row in whole(lines(undisturbed / "data/train.jsonl"))]
    assert digest(rows) == digest(others)


def digest(rows: list[dict[str, Any]]) -> str:
    return hashlib.sha256(json.dumps(rows, sort_keys=True).encode()).hexdigest()


@pytest.mark.parametrize("stage", ["sft", "vanilla", "rl", "dpo"])
def test_training(pipeline: Pipeline, stage: str) -> None:
    metrics = pipeline.out / f"{stage}-42" / "metrics.jsonl"
    pipeline.kill(stage, lambda: bool(lines(metrics)))
    pipeline.finish(stage)
    steps = [row["step"] for row in whole(lines(metrics)) if row.get("split") == "train" and "loss" in row]
    assert steps == [1, 2, 3]
    assert (pipeline.out / f"{stage}-42" / "model" / "mlt.json").is_file() == (stage != "vanilla")


def test_evaluation_and_nothing_is_done_twice(pipeline: Pipeline) -> None:
    samples = pipeline.out / "evaluation-42" / "samples"

    def found() -> list[str]:
        return [line for file in sorted(samples.glob("*.jsonl")) for line in lines(file)]

    pipeline.kill("eval", lambda: len(found()) >= 8)
    kept = found()
    pipeline.finish("eval")
    assert set(kept) <= set(found())
    assert len(found()) == 6 * 2 * 5  # sides, prompts, targets
    summary = json.loads((pipeline.out / "evaluation-42" / "summary.json").read_text())
    assert len(summary["subjects"]) == 6
    before = {path: path.stat().st_mtime_ns for path in pipeline.out.glob("*/model/model.safetensors")}
    assert len(before) == 4
    stages = ("texts", "sft", "vanilla", "rl", "dpo")
    assert pipeline.start(*stages).wait(timeout=120) == 0, pipeline.told()
    assert {path: path.stat().st_mtime_ns for path in before} == before
