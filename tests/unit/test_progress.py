"""Narration goes to stderr, in plain lines when that is no terminal."""

from __future__ import annotations

import pytest

from lengthctl.progress import Narrator


def test_plain_lines_and_stage_times(capsys: pytest.CaptureFixture[str]) -> None:
    narrator = Narrator()
    with narrator.stage("train"), narrator.bar(2, "steps") as bar:
        bar.update(1, reward=0.25, deviation=None)
        bar.update(2, reward=0.5)
    out = capsys.readouterr()
    assert out.out == ""
    assert "steps 1/2 reward 0.25" in out.err
    assert "steps 2/2 reward 0.5" in out.err
    assert narrator.stages["train"] >= 0
