"""`lengthctl show RUN --step N --group K`: what one group earned."""

from __future__ import annotations

import json
from pathlib import Path

from command_line import Ended, run_main
from learning_run import write_learning


def show(*args: str) -> Ended:
    return run_main("show", *args)


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
