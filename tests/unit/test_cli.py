"""The command line: light help, exit codes, one-line errors."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from command_line import run_main

from lengthctl import cli

HEAVY = ("torch", "ray", "vllm", "trl", "transformers", "datasets", "matplotlib")


def test_a_process_ends_with_the_exit_code_and_no_traceback() -> None:
    out = subprocess.run(
        [sys.executable, "-m", "lengthctl", "check", "quikstart"], capture_output=True, text=True, timeout=60
    )
    assert (out.returncode, out.stdout) == (2, "")
    assert out.stderr.startswith("lengthctl: ")
    assert "Traceback" not in out.stderr


def test_help_imports_nothing_heavy() -> None:
    code = (
        "import sys; sys.argv = ['lengthctl', '--help']\n"
        "from lengthctl.cli import main\n"
        "try: main()\nexcept SystemExit: pass\n"
        f"print([m for m in {HEAVY!r} if m in sys.modules])"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert "quickstart" in out.stdout
    assert out.stdout.splitlines()[-1] == "[]"


@pytest.mark.parametrize(
    "verb", ["quickstart", "train", "eval", "report", "ls", "show", "init", "check", "env", "rewards"]
)
def test_every_verb_has_help(verb: str) -> None:
    out = run_main(verb, "--help")
    assert out.returncode == 0
    assert "Usage" in out.stdout


def test_check_show_init(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert run_main("init", "quickstart").returncode == 0
    checked = run_main("check", "quickstart.yaml").stdout
    assert checked == "quickstart.yaml: ok, 170 training and 60 held-out prompts, 4 targets each\n"
    missing = run_main("check", "quickstart", "prompts.source=none.jsonl")
    assert (missing.returncode, missing.stdout) == (2, "")
    assert "none.jsonl" in missing.stderr
    shown = run_main("show", "quickstart.yaml", "--json", "run.seed=7")
    assert json.loads(shown.stdout)["run"]["seed"] == 7
    trl = run_main("show", "quickstart", "--trl", "run.seed=7").stdout
    assert {"learning_rate: 6e-05", "loss_type: dr_grpo", "logging_steps: 1", "seed: 7"} <= set(trl.splitlines())
    assert run_main("init", "quickstart").returncode == 2


@pytest.mark.parametrize(
    ("args", "match"),
    [
        (["check", "quikstart"], "did you mean quickstart?"),
        (["check", "none.yaml"], "No such file"),
        (["check", "quickstart", "rollout.engnes=2"], "did you mean engines?"),
        (["report", "nowhere"], "does not exist"),
        (["trian"], "train"),
        (["train"], "--resume RUN"),
        (["train", "--resume", "nowhere"], "holds no run"),
        (
            ["train", "quickstart", "rollout.reward_stop=off", "rollout.backend=scripted", "rollout.script=x"],
            "training needs vllm",
        ),
    ],
)
def test_user_errors_are_short_and_exit_2(args: list[str], match: str) -> None:
    out = run_main(*args)
    assert out.returncode == 2
    assert match in out.stderr
    assert "Traceback" not in out.stderr
    assert out.stdout == ""


@pytest.mark.parametrize("leaving", [KeyboardInterrupt(), SystemExit(15)], ids=["Ctrl-C", "SIGTERM"])
def test_interrupted_is_130(monkeypatch: pytest.MonkeyPatch, leaving: BaseException) -> None:
    """Ctrl-C, and the SIGTERM handler that ray.init puts in place of ours."""

    def stop(*_: object) -> None:
        raise leaving

    monkeypatch.setattr(cli.browse, "load_named", stop)
    out = run_main("check", "quickstart")
    assert out.returncode == 130
    assert "interrupted" in out.stderr


@pytest.mark.parametrize(
    ("raising", "match"),
    [
        (ValueError("odd"), "unexpected ValueError: odd. The traceback is in"),
        (OSError(28, "x"), "the disk is full"),
    ],
)
def test_what_nobody_foresaw_is_kept_in_the_run_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, raising: Exception, match: str
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise raising

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(cli.jobs, "prepare_heavy", lambda: None)  # it moves file descriptor 1
    monkeypatch.setattr(cli.jobs, "_run", fail)
    out = run_main("train", "quickstart")
    assert out.returncode == 1
    assert match in out.stderr
    assert "Traceback" not in out.stderr
    assert "Traceback" in (tmp_path / "runs" / "quickstart" / "error.txt").read_text()
