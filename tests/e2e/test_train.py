"""The whole flow on the real small model: train, resume, LoRA, evaluate, report, plain Hugging Face folder out."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.e2e

SMALL = (
    "trainer.num_generations=4",
    "trainer.per_device_train_batch_size=8",
    "trainer.max_completion_length=96",
    "trainer.warmup_steps=0",
    "trainer.save_steps=1",
    "prompts.targets=[10, 30]",
    "evaluate.limit=4",
)


def lengthctl(*args: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", "from lengthctl.cli import main; main()", *args]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=800)


def records(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of two steps that was interrupted after the first and resumed."""
    cwd = tmp_path_factory.mktemp("run")
    _interrupt_after_first_step(cwd)
    folder = cwd / "runs" / "quickstart"
    out = lengthctl("train", "quickstart", *SMALL, "trainer.max_steps=3", "--resume", str(folder), "--json", cwd=cwd)
    assert out.returncode == 0, out.stderr[-3000:]
    assert json.loads(out.stdout)["schema"] == 1
    return folder


def _interrupt_after_first_step(cwd: Path) -> None:
    command = [sys.executable, "-c", "from lengthctl.cli import main; main()", "train", "quickstart", *SMALL]
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
    process = subprocess.Popen(
        [*command, "trainer.max_steps=3"], cwd=cwd, stderr=subprocess.PIPE, text=True, env=environment
    )
    checkpoint = cwd / "runs" / "quickstart" / "checkpoints" / "checkpoint-1" / "trainer_state.json"
    deadline = time.monotonic() + 600
    while not checkpoint.is_file() and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.5)
    process.send_signal(signal.SIGINT)
    _, stderr = process.communicate(timeout=120)
    assert process.returncode == 130, stderr[-3000:]
    assert "interrupted" in stderr


def test_resume_does_no_step_twice(run: Path) -> None:
    steps = [r["step"] for r in records(run / "metrics.jsonl") if r["split"] == "train"]
    assert steps == [1, 2, 3]
    last = records(run / "metrics.jsonl")[-1]
    assert 0 <= last["adherence/words/fm"] <= 1
    assert last["reward_parts/log_ratio"] > 0
    assert last["sampling/importance_sampling_ratio/mean"] == pytest.approx(1, abs=0.1)


def test_summary_and_report(run: Path) -> None:
    summary = json.loads((run / "summary.json").read_text())
    assert set(summary["before_variants"]) == {"chosen", "model_template", "run_template"}
    assert summary["change"]["fm"]["low"] <= summary["change"]["fm"]["value"] <= summary["change"]["fm"]["high"]
    assert 0 < summary["peak_memory_gib"] < 20
    assert "Length adherence" in (run / "report.html").read_text()


def test_model_is_a_plain_folder(run: Path) -> None:
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    model = AutoModelForCausalLM.from_pretrained(run / "model", dtype=torch.float32)
    tokenizer = AutoTokenizer.from_pretrained(run / "model")
    ids = tokenizer.apply_chat_template(
        [{"role": "user", "content": "Hello"}], add_generation_prompt=True, return_tensors="pt", return_dict=True
    )
    assert "SmolLM" not in tokenizer.decode(ids["input_ids"][0])
    assert model.generate(**ids, max_new_tokens=4, do_sample=False).shape[1] > ids["input_ids"].shape[1]
    assert model.lm_head.weight.data_ptr() == model.model.embed_tokens.weight.data_ptr()
    assert "## Limits" in (run / "model" / "README.md").read_text()


def test_eval_of_the_run(run: Path, tmp_path: Path) -> None:
    args = ("eval", str(run), "evaluate.limit=3", "prompts.targets=[10]", "trainer.max_completion_length=64")
    out = lengthctl(*args, "--json", "--out", str(tmp_path), cwd=tmp_path)
    assert out.returncode == 0, out.stderr[-3000:]
    assert json.loads(out.stdout)["after"]["overall"]["fm"]["n"] == 3
    assert (tmp_path / "report.html").is_file()


def test_lora_trains_and_is_merged(tmp_path: Path) -> None:
    from safetensors.torch import load_file

    from lengthctl.models import BUNDLED, resolve_model

    args = ("train", "quickstart", *SMALL, "trainer.max_steps=1", "model.lora={r: 4}", "trainer.learning_rate=1e-2")
    out = lengthctl(*args, "--json", cwd=tmp_path)
    assert out.returncode == 0, out.stderr[-3000:]
    folder = tmp_path / "runs" / "quickstart"
    assert (folder / "adapter" / "adapter_config.json").is_file()
    trained = load_file(folder / "model" / "model.safetensors")
    base = load_file(Path(resolve_model(BUNDLED)) / "model.safetensors")
    assert set(trained) == set(base)
    changed = [name for name in base if not trained[name].equal(base[name])]
    assert any("q_proj" in name for name in changed)
    assert not any("norm" in name or "embed" in name for name in changed)
