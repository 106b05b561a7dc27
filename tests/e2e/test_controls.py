"""Controls on the real small model: real logits, texts at their lengths, a killed evaluation, the command line."""

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

pytestmark = pytest.mark.e2e

SUPPORT = Path(__file__).parents[1] / "support"
CLI = [sys.executable, "-c", "from lengthctl.cli import main; main()"]


def lengthctl(*args: str, cwd: Path, stdin: str | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*CLI, *args], cwd=cwd, input=stdin, capture_output=True, text=True, timeout=600)


@pytest.fixture(scope="module")
def probe() -> dict[str, Any]:
    environment = {
        **os.environ,
        "VLLM_ENABLE_V1_MULTIPROCESSING": "0",
        "VLLM_CPU_KVCACHE_SPACE": "1",
        "VLLM_CPU_OMP_THREADS_BIND": "nobind",
        "VLLM_LOGGING_LEVEL": "ERROR",
    }
    command = [sys.executable, str(SUPPORT / "logits_probe.py")]
    out = subprocess.run(command, capture_output=True, text=True, timeout=600, env=environment)
    assert out.returncode == 0, out.stderr[-3000:]
    found: dict[str, Any] = json.loads(out.stdout.splitlines()[-1])
    return found


def test_the_shift_of_the_stop_token_is_exact_and_no_other_logit_is_touched(probe: dict[str, Any]) -> None:
    shift = probe["shift"]
    assert probe["vocabulary"] > 49_000
    assert all(side["others"] == 0 for side in shift.values())
    assert shift["none"]["after"] == shift["none"]["before"]
    assert shift["bias"]["after"] == pytest.approx(shift["bias"]["before"] + 1.5, abs=1e-5)
    assert shift["raw"]["after"] == pytest.approx(shift["raw"]["before"] / 0.5, abs=1e-4)
    total = shift["logp"]["logsumexp"]
    assert shift["logp"]["after"] == pytest.approx(total + (shift["logp"]["before"] - total) / 2, abs=1e-3)


def test_rows_of_a_mixed_batch_are_as_if_alone(probe: dict[str, Any]) -> None:
    assert probe["forced"]
    assert max(probe["batch_difference"]) < 1e-4


@pytest.fixture(scope="module")
def evaluation(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Controls compared on two prompts, killed with -9 in the middle, and gone on with."""
    cwd = tmp_path_factory.mktemp("controls")
    command = ["eval", "smollm2-135m-instruct", "prompts.targets=[20, 40]", "evaluate.limit=4", "evaluate.samples=1"]
    for control in ("plain", "close", "retry:budget=4,batch=2", "revise:rounds=2", "feedback", "countdown"):
        command += ["--control", control]
    command += ["--control", "stop_temperature:value=2.0", "--control", "budget:tokens=20,answer_tokens=20"]
    command += ["evaluate.problems=builtin", "evaluate.problem_limit=4", "evaluate.likelihood=true", "--out", "out"]
    first = subprocess.Popen([*CLI, *command], cwd=cwd, stderr=subprocess.DEVNULL)
    samples = cwd / "out" / "samples"
    deadline = time.monotonic() + 300
    while time.monotonic() < deadline and len(list(samples.glob("*.jsonl")) if samples.is_dir() else ()) < 3:
        time.sleep(0.05)
    family = psutil.Process(first.pid).children(recursive=True)
    first.send_signal(signal.SIGKILL)
    first.wait()
    _, left = psutil.wait_procs(family, timeout=15)
    assert not [p.name() for p in left if "Engine" in p.name()]  # Ray's own agents look for their parent more rarely
    kept = {path.name: path.read_bytes() for path in samples.glob("*.jsonl")}
    assert kept
    out = lengthctl(*command, "--json", cwd=cwd)
    assert out.returncode == 0, out.stderr[-3000:]
    for name, data in kept.items():
        whole = data.split(b"\n")[:-1]
        assert set(whole) <= set((samples / name).read_bytes().split(b"\n")), name
    (cwd / "out" / "printed.json").write_text(out.stdout)
    return cwd / "out"


def test_a_killed_evaluation_goes_on_and_does_nothing_twice(evaluation: Path) -> None:
    for path in (evaluation / "samples").glob("*.jsonl"):
        ids = [json.loads(line)["id"] for line in path.read_text().splitlines()]
        assert len(ids) == len(set(ids)) == 8, path.name
    summary = json.loads((evaluation / "summary.json").read_text())
    assert json.loads((evaluation / "printed.json").read_text()) == summary
    assert set(summary["differences"]) == set(summary["subjects"]) - {"plain"}


def test_problems_and_likelihood_are_measured_on_the_real_model(evaluation: Path) -> None:
    summary = json.loads((evaluation / "summary.json").read_text())
    assert set(summary["reasoning"]) == {
        "plain",
        "stop_temperature:value=2.0",
        "budget:tokens=20,answer_tokens=20",
    }
    budget = summary["problems"]["budget:tokens=20,answer_tokens=20"]["overall"]["mean_total_tokens"]["value"]
    assert 1 <= budget <= 20 + 20 + 8
    nats = [side["overall"]["nll_per_token"]["value"] for side in summary["subjects"].values()]
    assert all(0 < value < 8 for value in nats)
    files = sorted(path.name for path in (evaluation / "likelihood").glob("*.jsonl"))
    assert len(files) == len(summary["subjects"])


def test_close_hits_every_target_on_whole_sentences(evaluation: Path) -> None:
    close = json.loads((evaluation / "summary.json").read_text())["subjects"]["close"]
    rows = [json.loads(line) for line in (evaluation / close["samples"]).read_text().splitlines()]
    assert all(abs(row["length"] - row["target"]["value"]) <= 2 for row in rows)
    assert sum(row["is_finished"] for row in rows) >= len(rows) - 1
    assert all(row["drawn_tokens"] >= row["tokens"] for row in rows)


def test_lengths_and_report_are_written(evaluation: Path) -> None:
    from lengthctl.evaluate.length_table import read_lengths

    (table,) = (evaluation / "lengths").glob("plain*.parquet")
    assert len(read_lengths(table)) == 8
    assert "close" in (evaluation / "report.html").read_text()


def test_gen_writes_to_length_from_stdin_and_goes_on(tmp_path: Path) -> None:
    lines = "Describe the sea.\nDescribe a forest.\n"
    command = ["gen", "--in", "-", "--words", "30", "--out", "texts.jsonl"]
    out = lengthctl(*command, cwd=tmp_path, stdin=lines)
    assert out.returncode == 0, out.stderr[-3000:]
    assert "2 texts, 2 of 2 hit" in out.stdout
    rows = [json.loads(line) for line in (tmp_path / "texts.jsonl").read_text().splitlines()]
    assert all(28 <= row["length"] <= 32 for row in rows)
    again = lengthctl(*command, cwd=tmp_path, stdin=lines)
    assert "engine" not in again.stderr
    assert again.stdout == out.stdout
    scored = lengthctl("score", "texts.jsonl", "--json", "--fail-under", "pm=0.9", cwd=tmp_path)
    assert scored.returncode == 0, scored.stderr


def test_a_local_model_judges_and_what_cannot_be_read_is_counted(tmp_path: Path) -> None:
    judge = "judge={backend: vllm, model: {name: smollm2-135m-instruct}, max_tokens: 96, attempts: 2, cache: v.jsonl}"
    settings = ["prompts.targets=[20]", "evaluate.limit=2", "evaluate.samples=1", judge]
    out = lengthctl("eval", "smollm2-135m-instruct", *settings, "--out", "out", "--json", cwd=tmp_path)
    assert out.returncode == 0, out.stderr[-3000:]
    (side,) = json.loads(out.stdout)["subjects"].values()
    found = side["judge"]
    assert found["ok"] + found["parse_error"] + found["refused"] == 2
    assert ("s_q" in found) == (found["ok"] > 0)  # a verdict that cannot be read is no score
    assert len((tmp_path / "v.jsonl").read_text().splitlines()) >= found["ok"]
