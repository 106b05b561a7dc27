"""What watches a run: silent failures are named once, records of lost steps are dropped."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import pytest

pytest.importorskip("transformers", reason="callbacks build on transformers")

from lengthctl.progress import Narrator
from lengthctl.train import callbacks
from lengthctl.train.callbacks import MetricsFile, trim_records
from lengthctl.train.silent_failures import SilentFailures


def test_silent_failure_is_named_once_at_its_second_step(capsys: pytest.CaptureFixture[str]) -> None:
    watch = SilentFailures(Narrator())
    for step, zero in enumerate([1.0, 0.5, 1.0, 1.0, 1.0], 1):
        watch.on_log(None, SimpleNamespace(global_step=step), None, {"reward": 0.1, "frac_reward_zero_std": zero})
    told = capsys.readouterr().err.splitlines()
    assert len(told) == 1
    assert "step 4: in nearly every group all rewards are equal" in told[0]


@pytest.mark.parametrize(
    ("logs", "cause"),
    [
        ({"reward": None}, "not a number"),  # TRL's word for it
        ({"reward": 0.5, "grad_norm": float("nan")}, "not a number"),
        ({"reward": 0.5, "loss": float("inf")}, "not a number"),
        ({"reward": 0.5, "completions/clipped_ratio": 0.97}, "cut by the limit"),
        ({"reward": 0.5, "grad_norm": 0.0}, "gradient is zero"),
        ({"reward": 0.5, "adherence/reward_correlation": -0.4}, "sign of its weight"),
        ({"reward": 0.5, "weights/changed_fraction": 0.0}, "lost in rounding"),
        ({"reward": 0.5, "groups/kept_fraction": 0.05}, "train.advantage.resample_rounds"),
        ({"reward": 0.0, "answers/correct_fraction": 0.0}, "no answer was right"),
        ({"reward": 0.5, "sampling/importance_sampling_ratio/p50": 0.3}, "other probabilities"),
        ({"reward": 0.5, "sampling/importance_sampling_ratio/p50": 3.0}, "other probabilities"),
    ],
)
def test_each_cause_is_named_at_its_second_step(
    capsys: pytest.CaptureFixture[str], logs: dict[str, float], cause: str
) -> None:
    watch = SilentFailures(Narrator())
    for step in (1, 2, 3):
        watch.on_log(None, SimpleNamespace(global_step=step), None, logs)
        assert capsys.readouterr().err.count(cause) == (1 if step == 2 else 0)


def test_a_healthy_step_is_no_failure(capsys: pytest.CaptureFixture[str]) -> None:
    watch = SilentFailures(Narrator())
    logs = {
        "reward": 0.5,
        "grad_norm": 0.1,
        "frac_reward_zero_std": 0.2,
        "groups/kept_fraction": 0.8,
        "answers/correct_fraction": 0.1,
        "sampling/importance_sampling_ratio/p50": 0.98,
        "adherence/reward_correlation": 0.4,
    }
    for step in range(1, 6):
        watch.on_log(None, SimpleNamespace(global_step=step), None, logs)
    assert capsys.readouterr().err == ""


def test_metrics_of_lost_steps_are_dropped(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    file = MetricsFile(path)
    for step in (1, 2, 3):
        logs = {"reward": float(step), "eval_x": float("nan"), "note": "text"}
        file.on_log(None, SimpleNamespace(global_step=step), None, logs)
    file.on_log(None, SimpleNamespace(global_step=3), None, {"eval_reward": 0.5})
    trim_records(path, 2)
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    assert [(r["step"], r["split"], r["reward"]) for r in rows] == [(1, "train", 1.0), (2, "train", 2.0)]


@pytest.mark.parametrize("is_short", [True, False])
def test_memory_is_given_back_while_it_is_short(monkeypatch: pytest.MonkeyPatch, is_short: bool) -> None:
    given: list[bool] = []
    monkeypatch.setattr(callbacks, "memory_is_short", lambda: is_short)
    monkeypatch.setattr(callbacks, "release_freed_memory", lambda: given.append(True))
    callbacks.MemoryRelief().on_step_begin(None, None, None)
    assert bool(given) is is_short
