"""The whole of LongWriter by its script, on the real model with tiny settings; what was done is not done again."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytestmark = [pytest.mark.e2e, pytest.mark.recipes]

SCRIPT = Path(__file__).parents[2] / "scripts" / "longwrite_stages.py"
TOPICS = ("rain", "bread", "trains", "owls", "glass", "paint", "salt", "wool", "rivers", "clocks", "moss", "kites")
TUNED = ["trainer.max_steps=2", "trainer.save_steps=1", "trainer.per_device_train_batch_size=2"]
ALL_PASS = ["lengths=any", "min_s_l=0", "require_finished=false", "check_repetition=false", "check_leftovers=false"]
ALL_PASS += ["check_language=false", "near_requests=null", "near_texts=null"]
PARTS = ["plan_min_words=30", "part_floor=15", "part_ceiling=30"]


def rows_of(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


class Pipeline:
    """The script with small settings in a folder."""

    def __init__(self, folder: Path) -> None:
        self.out = folder / "out"
        source = folder / "hellobench.jsonl"
        rows = [{"id": f"p{i}", "instruction": f"Tell me about {t}.", "category": "x"} for i, t in enumerate(TOPICS)]
        source.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
        self.command = [sys.executable, str(SCRIPT), str(self.out), str(source), "--words", "40", "60"]
        self.command += ["--tokens", "160", "--agentwrite", *PARTS, "--curate", *ALL_PASS, "--sft", *TUNED]

    def run(self, *only: str) -> None:
        done = subprocess.run([*self.command, "--only", *only], capture_output=True, text=True, timeout=900)
        assert done.returncode == 0, done.stderr[-3000:]


@pytest.fixture(scope="module")
def pipeline(tmp_path_factory: pytest.TempPathFactory) -> Pipeline:
    return Pipeline(tmp_path_factory.mktemp("longwrite"))


def test_data(pipeline: Pipeline) -> None:
    pipeline.run("prompts", "direct", "agentwrite", "curate")
    asked = {row["id"] for row in rows_of(pipeline.out / "prompts-data.jsonl")}
    long = rows_of(pipeline.out / "long" / "train.jsonl")
    assert long
    assert {row["source"].rpartition("/")[2] for row in long} <= {"direct-rows.jsonl", "train.jsonl"}
    held_out = {row["id"] for row in rows_of(pipeline.out / "prompts-development.jsonl")}
    assert not asked & held_out
    steps = (pipeline.out / "agentwrite" / "steps.jsonl").read_bytes()
    made = (pipeline.out / "agentwrite" / "train.jsonl").read_bytes()
    pipeline.run("agentwrite")
    assert (pipeline.out / "agentwrite" / "steps.jsonl").read_bytes() == steps
    assert (pipeline.out / "agentwrite" / "train.jsonl").read_bytes() == made


def test_tuning_and_the_report(pipeline: Pipeline) -> None:
    pipeline.run("sft", "eval")
    summary = json.loads((pipeline.out / "evaluation-development-42" / "summary.json").read_text())
    assert len(summary["subjects"]) == 3
    for side in summary["differences"].values():
        assert {"s_l", "seq_rep_4", "truncation"} <= set(side)
    model = pipeline.out / "sft-42" / "model" / "model.safetensors"
    written = model.stat().st_mtime_ns
    pipeline.run("sft")
    assert model.stat().st_mtime_ns == written
