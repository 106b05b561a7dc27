"""The whole flow on the real small model: train, resume, LoRA, evaluate, report, plain Hugging Face folder out."""

from __future__ import annotations

import contextlib
import functools
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


def lengthctl(*args: str, cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", "from lengthctl.cli import main; main()", *args]
    env = {**os.environ, **environment}
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=800, env=env)


def only_side(printed: str) -> dict[str, Any]:
    (side,) = json.loads(printed)["subjects"].values()
    return side


def records(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


LISTENING: set[tuple[str, str]] = set()
"""Processes of the run below and the addresses that they listened on."""


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of three steps, stopped by SIGTERM after the first and by Ctrl-C after the second, resumed each time."""
    cwd = tmp_path_factory.mktemp("run")
    folder = cwd / "runs" / "quickstart"
    steps = "trainer.max_steps=3"
    stop_after(1, signal.SIGTERM, "quickstart", *SMALL, steps, cwd=cwd)
    stop_after(2, signal.SIGINT, "--resume", str(folder), cwd=cwd)
    out = lengthctl("train", "quickstart", *SMALL, steps, "--resume", str(folder), "--json", cwd=cwd)
    assert out.returncode == 0, out.stderr[-3000:]
    assert json.loads(out.stdout)["schema"] == 1
    return folder


def stop_after(step: int, signal_number: int, *args: str, cwd: Path) -> None:
    """Start a training, signal it once the checkpoint of `step` is written, and expect exit code 130."""
    command = [sys.executable, "-c", "from lengthctl.cli import main; main()", "train", *args]
    # a shell's background job ignores SIGINT, and hands that on
    heed = functools.partial(signal.signal, signal.SIGINT, signal.SIG_DFL)
    process = subprocess.Popen(command, cwd=cwd, stderr=subprocess.PIPE, text=True, preexec_fn=heed)
    checkpoint = cwd / "runs" / "quickstart" / "checkpoints" / f"checkpoint-{step}" / "trainer_state.json"
    deadline = time.monotonic() + 600
    while not checkpoint.is_file() and process.poll() is None and time.monotonic() < deadline:
        look_for_sockets(process.pid)
        time.sleep(0.5)
    family = psutil.Process(process.pid).children(recursive=True)
    process.send_signal(signal_number)
    _, stderr = process.communicate(timeout=120)
    _, left = psutil.wait_procs(family, timeout=30)
    assert not left, [p.name() for p in left]
    assert process.returncode == 130, stderr[-3000:]
    assert "interrupted" in stderr


def look_for_sockets(pid: int) -> None:
    for process in [psutil.Process(pid), *psutil.Process(pid).children(recursive=True)]:
        with contextlib.suppress(psutil.Error):
            sockets = process.net_connections(kind="inet")
            LISTENING.update((process.name(), s.laddr.ip) for s in sockets if s.status == psutil.CONN_LISTEN)


def test_nothing_listens_outside_this_machine(run: Path) -> None:
    assert {"gcs_server", "raylet"} <= {name for name, _ in LISTENING}
    assert {address for _, address in LISTENING} <= {"127.0.0.1", "::1", "::ffff:127.0.0.1"}, LISTENING


def test_resume_does_no_step_twice(run: Path) -> None:
    steps = [r["step"] for r in records(run / "metrics.jsonl") if r["split"] == "train"]
    assert steps == [1, 2, 3]
    last = records(run / "metrics.jsonl")[-1]
    assert 0 <= last["adherence/words/fm"] <= 1
    assert last["reward_parts/log_ratio"] > 0
    assert last["sampling/importance_sampling_ratio/mean"] == pytest.approx(1, abs=0.1)


def test_every_training_completion_is_recorded_once(run: Path) -> None:
    rollouts = records(run / "samples" / "rollouts.jsonl")
    assert [r["step"] for r in rollouts] == [1] * 8 + [2] * 8 + [3] * 8
    assert all(len(r["token_ids"]) == len(r["logprobs"]) for r in rollouts)
    assert {r["engine"] for r in rollouts} == {"engine-0"}
    assert {r["finish"] for r in rollouts} <= {"eos", "limit", "reward_ceiling"}


def test_every_held_out_sample_says_where_it_came_from(run: Path) -> None:
    for side in ("before", "after"):
        samples = records(run / "samples" / f"{side}.jsonl")
        assert len(samples) == 8
        assert all((r["weight_version"] == 0) == (side == "before") for r in samples)
        assert all(len(r["token_ids"]) == len(r["logprobs"]) > 0 for r in samples)
        assert {r["engine"] for r in samples} == {"engine-0"}


def test_summary_and_report(run: Path) -> None:
    summary = json.loads((run / "summary.json").read_text())
    assert set(summary["before_variants"]) == {"chosen", "model_template", "run_template"}
    assert summary["change"]["fm"]["low"] <= summary["change"]["fm"]["value"] <= summary["change"]["fm"]["high"]
    assert 0 < summary["peak_memory_gib"] < 20
    minutes = summary["minutes"]
    assert minutes.pop("total") == pytest.approx(sum(minutes.values()), abs=0.02)
    assert min(minutes.values()) > 0
    assert set(minutes) == {"start", "prepare", "engine", "before", "train", "export", "after"}
    assert json.loads((run / "env.json").read_text())["versions"]["trl"] == summary["versions"]["trl"]
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
    assert only_side(out.stdout)["overall"]["fm"]["n"] == 3
    assert (tmp_path / "report.html").is_file()


@pytest.fixture(scope="module")
def lora_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One step with LoRA and reward-aware stop, evaluated during training, told to two trackers."""
    cwd = tmp_path_factory.mktemp("lora")
    trackers = ("trainer.report_to=[tensorboard, trackio]", "trainer.eval_strategy=steps", "trainer.eval_steps=1")
    args = ("train", "quickstart", *SMALL, "trainer.max_steps=1", "model.lora={r: 4}", "trainer.learning_rate=1e-2")
    folders = {"TENSORBOARD_LOGGING_DIR": str(cwd / "tensorboard"), "TRACKIO_DIR": str(cwd / "trackio")}
    out = lengthctl(*args, *trackers, "rollout.reward_stop=on", "--json", cwd=cwd, **folders)
    assert out.returncode == 0, out.stderr[-3000:]
    return cwd / "runs" / "quickstart"


def test_trackers_and_evaluation_during_training(lora_run: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    evaluated = [r for r in records(lora_run / "metrics.jsonl") if r["split"] == "eval"]
    assert [r["step"] for r in evaluated] == [1]
    assert "adherence/words/target_30/fm" in evaluated[0]
    cwd = lora_run.parents[1]
    events = EventAccumulator(str(next(cwd.rglob("events.out.tfevents*")).parent)).Reload()
    assert any("adherence/words/fm" in tag for tag in events.Tags()["scalars"])
    assert any(path.stat().st_size > 0 for path in (cwd / "trackio").rglob("*.db"))


def test_only_completions_that_earn_nothing_were_stopped(lora_run: Path) -> None:
    step = next(r for r in records(lora_run / "metrics.jsonl") if r["split"] == "train")
    rollouts = records(lora_run / "samples" / "rollouts.jsonl")
    stopped = [r for r in rollouts if r["finish"] == "reward_ceiling"]
    assert step["reward_stop/stopped_fraction"] == pytest.approx(len(stopped) / len(rollouts))
    assert all(r["reward"] == 0 and r["stopped_at"] == len(r["token_ids"]) < 96 for r in stopped)
    evaluated = next(r for r in records(lora_run / "metrics.jsonl") if r["split"] == "eval")
    assert "reward_stop/stopped_fraction" not in evaluated


def test_lora_trains_and_is_merged(lora_run: Path) -> None:
    from safetensors.torch import load_file

    from lengthctl.models import BUNDLED, resolve_model

    folder = lora_run
    assert (folder / "adapter" / "adapter_config.json").is_file()
    trained = load_file(folder / "model" / "model.safetensors")
    base = load_file(Path(resolve_model(BUNDLED)) / "model.safetensors")
    assert set(trained) == set(base)
    changed = [name for name in base if not trained[name].equal(base[name])]
    assert any("q_proj" in name for name in changed)
    assert not any("norm" in name or "embed" in name for name in changed)


def test_an_adapter_is_evaluated_through_the_engines(lora_run: Path, tmp_path: Path) -> None:
    args = ("eval", "smollm2-135m-instruct", f"model.adapter={lora_run / 'adapter'}", "evaluate.limit=2")
    out = lengthctl(*args, "prompts.targets=[10]", "trainer.max_completion_length=32", "--json", cwd=tmp_path)
    assert out.returncode == 0, out.stderr[-3000:]
    assert only_side(out.stdout)["overall"]["pm"]["n"] == 2


def test_the_model_is_served_and_evaluated_as_an_endpoint(run: Path, tmp_path: Path) -> None:
    with vllm_server(str(run / "model"), tmp_path, max_model_len=512) as url:
        endpoint = f"rollout.endpoint={{base_url: '{url}', model: m}}"
        settings = ("rollout.backend=endpoint", endpoint, "evaluate.limit=2", "prompts.targets=[10]")
        out = lengthctl("eval", "m", "--config", "quickstart", *settings, "--json", cwd=tmp_path)
        assert out.returncode == 0, out.stderr[-3000:]
        assert only_side(out.stdout)["overall"]["fm"]["n"] == 2
