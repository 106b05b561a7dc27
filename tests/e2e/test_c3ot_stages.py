"""C3oT by its script on the real model with tiny settings, its compressor on an engine, and the bench's controls."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from lengthctl.models import BUNDLED, resolve_model

pytestmark = [pytest.mark.e2e, pytest.mark.recipes]

SCRIPT = Path(__file__).parents[2] / "scripts" / "c3ot_stages.py"
TUNED = ["trainer.max_steps=2", "trainer.save_steps=1", "trainer.per_device_train_batch_size=2"]
BENCH = """
problems: {limit: 3}
max_tokens: 96
methods:
  asked: {control: "level:name=short"}
  stop: {control: "stop_temperature:value=2"}
  now: {control: "answer_now:tokens=8,answer_tokens=8"}
  budget: {control: "budget:tokens=12,ignores=1,answer_tokens=8"}
  exit: {control: "early_exit:tokens=24,after=2,trials=2,answer_tokens=8"}
"""


def rows_of(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def run(*command: str) -> str:
    done = subprocess.run([sys.executable, *command], capture_output=True, text=True, timeout=900)
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


class Pipeline:
    """The script with small settings in a folder, on long solutions of the task family."""

    def __init__(self, folder: Path) -> None:
        self.out = folder / "out"
        run("-m", "lengthctl", "data", "problems", "--verbosity", "long", "--n", "12", "--out", str(folder / "rows"))
        self.rows = folder / "rows" / "train.jsonl"
        self.command = [str(SCRIPT), str(self.out), resolve_model(BUNDLED), str(self.rows), "--problems", "3"]
        self.command += ["--sft", *TUNED, "--eval", "evaluate.max_tokens=64"]

    def run(self, *only: str) -> str:
        return run(*self.command, "--only", *only)


@pytest.fixture(scope="module")
def pipeline(tmp_path_factory: pytest.TempPathFactory) -> Pipeline:
    return Pipeline(tmp_path_factory.mktemp("c3ot"))


def test_data(pipeline: Pipeline) -> None:
    pipeline.run("data")
    stats = json.loads((pipeline.out / "data-none" / "stats.json").read_text())["measured"]
    assert stats["rows_by_condition"] == {"long": 12, "short": 12}
    assert stats["length_unit"] == "tokens"
    assert stats["compression"]["short"] > 0.8
    assert rows_of(pipeline.out / "data-none" / "rejected.jsonl") == []


def test_tuning_and_both_modes_beside_the_base(pipeline: Pipeline) -> None:
    told = pipeline.run("sft", "eval")
    found = json.loads((pipeline.out / "c3ot-42.json").read_text())
    assert set(found["sides"]) == {"base", "none short", "none long"}
    for name in ("none short", "none long"):
        assert set(found["sides"][name]["change"]) >= {"accuracy", "mean_total_tokens", "relative_total_tokens"}
        assert f"{name}: " in told
    model = pipeline.out / "c3ot-none-42" / "model" / "model.safetensors"
    written = model.stat().st_mtime_ns
    pipeline.run("sft")
    assert model.stat().st_mtime_ns == written


def test_an_engine_shortens_and_every_answer_is_kept(pipeline: Pipeline, tmp_path: Path) -> None:
    out = tmp_path / "shortened"
    command = ["-m", "lengthctl", "data", "c3ot", str(pipeline.rows), "--limit", "3", "--out", str(out), "--json"]
    command += ["attempts=1", "max_tokens=64"]
    measured = json.loads(run(*command))["measured"]
    assert measured["calls"] == 3
    assert measured["rows_by_condition"]["long"] == 3
    used = measured["rows_by_condition"].get("short", 0)
    assert used + len([row for row in rows_of(out / "rejected.jsonl") if not row.get("is_used")]) == 3
    steps, rows = (out / "steps.jsonl").read_bytes(), (out / "train.jsonl").read_bytes()
    run(*command)
    assert (out / "steps.jsonl").read_bytes() == steps
    assert (out / "train.jsonl").read_bytes() == rows


def test_the_controls_of_the_bench_keep_their_budgets(tmp_path: Path) -> None:
    config = tmp_path / "controls.yaml"
    config.write_text(f"base: {BUNDLED}\n{BENCH}", encoding="utf-8")
    command = ["-m", "lengthctl", "bench", str(config), "--out", str(tmp_path / "bench"), "--json"]
    results = json.loads(run(*command))
    assert results["failures"] == []
    measured = tmp_path / "bench" / "measured" / "42"
    room = 64  # of what is written around a thought
    for name, most in (("now", 8 + 8), ("budget", 12 + 8), ("exit", 24 + 8)):
        rows = rows_of(measured / f"{name}.jsonl")
        assert len(rows) == 3
        assert all(0 < row["total_tokens"] <= most + room for row in rows)
    kept = {path.name: path.read_bytes() for path in measured.glob("*.jsonl")}
    run(*command)
    assert {path.name: path.read_bytes() for path in measured.glob("*.jsonl")} == kept
