"""`lengthctl show RUN --step N --group K`: what one group earned."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from learning_run import write_learning


def show(*args: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", "from lengthctl.cli import main; main()", "show", *args]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, env={**os.environ, "CI": "1"})


def test_a_group_is_printed_with_rewards_and_advantages(tmp_path: Path) -> None:
    write_learning(tmp_path)
    out = show(str(tmp_path), "--step", "3", "--group", "1").stdout
    assert "Step 3, group 1: Write about 1." in out
    assert "member 0 of group 1." in out
    assert "\x1b[31m" not in out
    (first, *_) = rows = json.loads(show(str(tmp_path), "--step", "3", "--json").stdout)
    assert len(rows) == 4
    assert (first["group"], first["reward"], first["advantage"]) == (2, 0.8, 1.0)


def test_a_group_that_is_not_there_is_one_line(tmp_path: Path) -> None:
    write_learning(tmp_path)
    out = show(str(tmp_path), "--group", "9")
    assert (out.returncode, out.stdout) == (2, "")
    assert "step 8 has no group 9" in out.stderr
    assert "from 0 to 2" in out.stderr
