"""A run meets a full disk: one line with the remedy, and with space again it goes on."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from small_disk import SmallDisk

pytestmark = pytest.mark.e2e

OPTIONS = (
    "model.lora={r: 4}",
    "trainer.num_generations=4",
    "trainer.per_device_train_batch_size=4",
    "trainer.max_completion_length=32",
    "trainer.max_steps=2",
    "train.overlap=true",
    "trainer.save_steps=1",
    "prompts.targets=[10]",
    "evaluate.limit=2",
    "run.name=run",
)


def train(cwd: Path, *args: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", "from lengthctl.cli import main; main()", "train", *args, "--json"]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=400)


def test_a_full_disk_ends_a_run_that_can_be_resumed(tmp_path: Path) -> None:
    """With LoRA, whose checkpoint is small, and rollouts that overlap with the update."""
    disk = SmallDisk(tmp_path / "disk", "600k")  # room for all but the checkpoint
    try:
        full = train(tmp_path, "quickstart", *OPTIONS, f"run.dir={disk.path}")
        assert full.returncode == 1
        assert "the disk is full" in full.stderr
        assert "Traceback" not in full.stderr
        before = (disk.path / "run" / "samples" / "before.jsonl").read_text()
        disk.grow("2g")
        out = train(tmp_path, "--resume", str(disk.path / "run"))
        assert out.returncode == 0, out.stderr[-3000:]
        assert json.loads(out.stdout)["after"]["overall"]["fm"]["n"] == 2
        assert (disk.path / "run" / "samples" / "before.jsonl").read_text() == before
        steps = [json.loads(line) for line in (disk.path / "run" / "metrics.jsonl").read_text().splitlines()]
        assert [row["rollout/version_lag"] for row in steps] == [0, 1]
    finally:
        disk.close()
