"""The loop that newcomers read first runs."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.e2e

SCRIPT = Path(__file__).parents[2] / "scripts" / "rl_on_one_page.py"


def test_two_steps() -> None:
    out = subprocess.run([sys.executable, str(SCRIPT), "2"], capture_output=True, text=True, timeout=400)
    assert out.returncode == 0, out.stderr[-3000:]
    deviations = re.findall(r"step (\d)  mean abs relative deviation (\d+\.\d\d)", out.stdout)
    assert [step for step, _ in deviations] == ["1", "2"]
    assert deviations[0][1] != deviations[1][1]
