"""The command line: light help, exit codes, one-line errors."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

HEAVY = ("torch", "ray", "vllm", "trl", "transformers", "datasets", "matplotlib")


def lengthctl(*args: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    code = "from lengthctl.cli import main; main()"
    command = [sys.executable, "-c", code, *args]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=60, env={**os.environ, "CI": "1"})


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
    out = lengthctl(verb, "--help")
    assert out.returncode == 0
    assert "Usage" in out.stdout


def test_check_show_init(tmp_path: Path) -> None:
    assert lengthctl("init", "quickstart", cwd=tmp_path).returncode == 0
    checked = lengthctl("check", "quickstart.yaml", cwd=tmp_path).stdout
    assert checked == "quickstart.yaml: ok, 170 training and 60 held-out prompts, 4 targets each\n"
    missing = lengthctl("check", "quickstart", "prompts.source=none.jsonl", cwd=tmp_path)
    assert (missing.returncode, missing.stdout) == (2, "")
    assert "none.jsonl" in missing.stderr
    shown = lengthctl("show", "quickstart.yaml", "--json", "run.seed=7", cwd=tmp_path)
    assert json.loads(shown.stdout)["run"]["seed"] == 7
    trl = lengthctl("show", "quickstart", "--trl", "run.seed=7").stdout
    assert {"learning_rate: 6e-05", "loss_type: dr_grpo", "logging_steps: 1", "seed: 7"} <= set(trl.splitlines())
    assert lengthctl("init", "quickstart", cwd=tmp_path).returncode == 2


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
    out = lengthctl(*args)
    assert out.returncode == 2
    assert match in out.stderr
    assert "Traceback" not in out.stderr
    assert out.stdout == ""


@pytest.mark.parametrize("leaving", ["raise KeyboardInterrupt", "sys.exit(15)"])
def test_interrupted_is_130(leaving: str) -> None:
    """Ctrl-C, and the SIGTERM handler that ray.init puts in place of ours."""
    code = (
        "import sys; from lengthctl import cli\n"
        f"def stop(*_):\n    {leaving}\n"
        "cli.browse.load_named = stop; sys.argv = ['lengthctl', 'check', 'quickstart']; cli.main()"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert out.returncode == 130
    assert "interrupted" in out.stderr


@pytest.mark.parametrize(
    ("raising", "match"),
    [
        ("ValueError('odd')", "unexpected ValueError: odd. The traceback is in"),
        ("OSError(28, 'x')", "the disk is full"),
    ],
)
def test_what_nobody_foresaw_is_kept_in_the_run_folder(tmp_path: Path, raising: str, match: str) -> None:
    code = (
        "import sys; from lengthctl import cli\n"
        f"def fail(*_, **__):\n    raise {raising}\n"
        "cli.jobs._run = fail; sys.argv = ['lengthctl', 'train', 'quickstart']; cli.main()"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, cwd=tmp_path)
    assert out.returncode == 1
    assert match in out.stderr
    assert "Traceback" not in out.stderr
    assert "Traceback" in (tmp_path / "runs" / "quickstart" / "error.txt").read_text()
