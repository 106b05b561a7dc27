"""Trainings of a bench: what is run, what is kept of it, and the process that runs it."""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path

import pytest
from two_method_bench import Trainings, plan

from lengthctl.errors import RunFolderError
from lengthctl.pipelines.reasoning_bench_plan import TrainingJob
from lengthctl.pipelines.reasoning_bench_training import (
    TrainingFailedError,
    read_trained,
    run_lengthctl,
    train_method,
)
from lengthctl.progress import Narrator

QUIET = Narrator(quiet=True)


def job(folder: Path) -> TrainingJob:
    found = plan(folder).job("brief", 1)
    assert found is not None
    return found


def test_sittings_add_up_and_a_finished_training_is_read(tmp_path: Path) -> None:
    made, failing = job(tmp_path), Trainings(1)

    def slow(words: tuple[str, ...]) -> int:
        time.sleep(0.02)
        return failing(words)

    assert read_trained(made) is None
    with pytest.raises(TrainingFailedError, match=r"`lengthctl train arithmetic .*` ended with exit code 1"):
        train_method(made, slow, QUIET)  # type: ignore[arg-type]
    assert read_trained(made) is None
    done = train_method(made, Trainings(), QUIET)
    assert done.seconds >= 0.04  # the data's and the failed training's
    assert (done.train_minutes, done.tokens) == (2.5, 250)
    never = Trainings()
    assert train_method(made, never, QUIET) == done == read_trained(made)
    assert never.ran == []


def test_data_that_cannot_be_made_end_a_method_before_its_training(tmp_path: Path) -> None:
    ran = []

    def failing(words: tuple[str, ...]) -> int:
        ran.append(words[0])
        return 2

    with pytest.raises(TrainingFailedError, match="data problems --out"):
        train_method(job(tmp_path), failing, QUIET)  # type: ignore[arg-type]
    assert ran == ["data"]


def test_a_training_that_leaves_no_model_has_failed(tmp_path: Path) -> None:
    with pytest.raises(TrainingFailedError, match="holds no model"):
        train_method(job(tmp_path), lambda words: 0, QUIET)


def test_the_place_of_a_bench_does_not_matter_and_a_torn_file_does(tmp_path: Path) -> None:
    train_method(job(tmp_path / "a"), Trainings(), QUIET)
    (tmp_path / "a").rename(tmp_path / "b")
    assert read_trained(job(tmp_path / "b")) is not None
    (tmp_path / "b" / "trained" / "brief-1.bench.json").write_text("{")
    with pytest.raises(RunFolderError, match="is torn"):
        read_trained(job(tmp_path / "b"))


def test_a_command_of_ours_runs_in_a_process_and_tells_its_exit_code(capfd: pytest.CaptureFixture[str]) -> None:
    assert run_lengthctl(["show", "quikstart"]) == 2
    out, err = capfd.readouterr()
    assert out == ""
    assert "did you mean quickstart?" in err


def test_an_interrupt_is_handed_on_and_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script, saved = tmp_path / "python", tmp_path / "saved"
    trap = f"trap 'sleep 0.1; echo done > {saved}; exit 130' TERM"
    script.write_text(f"#!/bin/sh\n{trap}\nwhile :; do sleep 0.02; done\n")
    script.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(script))

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGALRM, interrupt)
    signal.setitimer(signal.ITIMER_REAL, 0.3)
    try:
        with pytest.raises(KeyboardInterrupt):
            run_lengthctl(["train"])
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert saved.read_text() == "done\n"


def test_a_second_interrupt_leaves_no_training_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script, known = tmp_path / "python", tmp_path / "pid"
    script.write_text(f"#!/bin/sh\ntrap '' TERM\necho $$ > {known}\nwhile :; do sleep 0.02; done\n")
    script.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(script))

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGALRM, interrupt)
    signal.setitimer(signal.ITIMER_REAL, 0.3, 0.3)
    try:
        with pytest.raises(KeyboardInterrupt):
            run_lengthctl(["train"])
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    with pytest.raises(ProcessLookupError):
        os.kill(int(known.read_text()), 0)
