"""The loop that newcomers read first runs, and trains."""

from __future__ import annotations

import re
import runpy
from pathlib import Path

import pytest

from lengthctl.config import ModelConfig
from lengthctl.models import load_policy

pytestmark = [pytest.mark.e2e, pytest.mark.recipes]

SCRIPT = Path(__file__).parents[2] / "scripts" / "rl_on_one_page.py"


def test_two_steps(capsys: pytest.CaptureFixture[str]) -> None:
    trained = runpy.run_path(str(SCRIPT))["main"](2).state_dict()
    assert re.findall(r"step (\d)  mean abs relative deviation \d+\.\d\d", capsys.readouterr().out) == ["1", "2"]
    for name, before in load_policy(ModelConfig()).state_dict().items():
        assert trained[name].isfinite().all(), name
        if "q_proj" in name:
            moved = (trained[name] - before).abs().max().item()
            assert 0 < moved < 1e-3, name  # Adam moves a weight by about the learning rate a step
