"""The watch over a run: told once, and not again after a resume."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

pytest.importorskip("transformers", reason="callbacks build on transformers")

from lengthctl.progress import Narrator
from lengthctl.train.hacking_watch import HackingWatch


def logs(step: int) -> dict[str, Any]:
    return {"reward": step / 100, "text/repetition": 0.01 * step, "loss": None}


def run(watch: HackingWatch, steps: range) -> None:
    for step in steps:
        watch.on_log(None, SimpleNamespace(global_step=step), None, logs(step))
        watch.on_log(None, SimpleNamespace(global_step=step), None, {"eval_reward": 0.5})
        watch.on_log(None, SimpleNamespace(global_step=step), None, None)


def test_a_sign_is_told_once(capsys: pytest.CaptureFixture[str]) -> None:
    run(HackingWatch(Narrator()), range(1, 61))
    (told,) = capsys.readouterr().err.splitlines()
    assert told.startswith(
        "warning, step 20: repetition: the reward rose while the share of repeated word trigrams rose"
    )
    assert "add the reward `repetition` as a gate" in told


@pytest.mark.parametrize(("until", "told"), [(12, 1), (40, 0)])
def test_a_resumed_run_goes_on_from_its_log(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], until: int, told: int
) -> None:
    path = tmp_path / "metrics.jsonl"
    records = [{"step": step, "split": split, **logs(step)} for step in range(1, until) for split in ("train", "eval")]
    path.write_text("".join(json.dumps(record) + "\n" for record in records) + '{"step": ')  # a torn last line
    run(HackingWatch(Narrator(), path), range(until, 61))
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == told
    assert all("step 20" in line for line in lines)


def test_a_run_that_begins_has_no_log_yet(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run(HackingWatch(Narrator(), tmp_path / "metrics.jsonl"), range(1, 10))
    assert capsys.readouterr().err == ""
