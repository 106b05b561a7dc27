"""Reinforcement from composed parts on the real small model: levels of problems, and a judge of pairs on an engine of
its own."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.e2e

CLI = [sys.executable, "-c", "from lengthctl.cli import main; main()"]
SMALL = ("model.name=smollm2-135m-instruct", "trainer.max_steps=2", "trainer.save_steps=2", "trainer.num_generations=4")


def lengthctl(*args: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*CLI, *args], cwd=cwd, capture_output=True, text=True, timeout=900)


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_problems_are_trained_and_measured_at_each_level(tmp_path: Path) -> None:
    sizes = ("trainer.per_device_train_batch_size=24", "trainer.max_completion_length=64", "evaluate.problem_limit=4")
    out = lengthctl("train", "tldr", *SMALL, *sizes, "evaluate.max_tokens=64", "run.name=levels", cwd=tmp_path)
    assert out.returncode == 0, out.stderr[-3000:]
    run = tmp_path / "runs" / "levels"
    steps = [row for row in lines(run / "metrics.jsonl") if row.get("split") == "train" and "reward" in row]
    assert [row["step"] for row in steps] == [1, 2]
    rollouts = lines(run / "samples" / "rollouts.jsonl")
    groups = {(row["step"], row["group"]) for row in rollouts}
    assert len(groups) == 12
    assert all(f"tokens/level_{name}" in row for row in steps for name in ("short", "medium", "long"))
    summary = json.loads((run / "summary.json").read_text())
    assert {"accuracy", "format"} <= set(summary["after"]["overall"])
    page = (run / "report.html").read_text()
    assert "Learning" in page
    assert "nan" not in page.lower().split()
    shown = lengthctl("show", "runs/levels", "--step", "2", "--group", "0", cwd=tmp_path)
    assert shown.returncode == 0, shown.stderr
    assert "advantage" in shown.stdout


def test_a_judge_that_says_nothing_of_use_neither_stops_nor_teaches(tmp_path: Path) -> None:
    """The untuned model as judge, beside the policy's engine: it ends no verdict in the form that is asked."""
    # rounds of dynamic sampling would ask this judge for nothing
    judge = ("judge.model={name: smollm2-135m-instruct}", "judge.max_tokens=16", "train.advantage.resample_rounds=0")
    sizes = ("trainer.per_device_train_batch_size=16", "trainer.max_completion_length=48", "evaluate.limit=2")
    out = lengthctl(
        "train",
        "brpo",
        *SMALL,
        *sizes,
        *judge,
        "evaluate.max_tokens=48",
        "prompts.targets=[10, 20]",
        "run.name=brpo",
        cwd=tmp_path,
    )
    assert out.returncode == 0, out.stderr[-3000:]
    run = tmp_path / "runs" / "brpo"
    steps = [row for row in lines(run / "metrics.jsonl") if row.get("split") == "train" and "reward" in row]
    assert [row["step"] for row in steps] == [1, 2]
    assert all(row["pairwise/unparsable_share"] > 0.5 for row in steps)
    assert "verdict" in out.stderr
