"""Narration goes to stderr, in plain lines when that is no terminal."""

from __future__ import annotations

from pathlib import Path

import pytest

from lengthctl.progress import Narrator


def test_plain_lines_and_stage_times(capsys: pytest.CaptureFixture[str]) -> None:
    narrator = Narrator()
    with narrator.stage("train"), narrator.bar(2, "steps") as bar:
        bar.update(1, reward=0.25, deviation=None)
        bar.update(2, reward=0.5)
    out = capsys.readouterr()
    assert out.out == ""
    assert "steps 1/2  reward 0.25  minutes_left " in out.err
    assert "steps 2/2  reward 0.5  minutes_left 0" in out.err
    assert narrator.stages["train"] >= 0


@pytest.mark.parametrize("text", ["", "{", "[]", '{"train": "long"}'])
def test_torn_stages_cost_their_times_only(tmp_path: Path, text: str) -> None:
    (tmp_path / "stages.json").write_text(text)
    narrator = Narrator(tmp_path / "stages.json")
    assert narrator.stages == {}
    with narrator.stage("train"):
        pass
    assert set(Narrator(tmp_path / "stages.json").stages) == {"train"}


def test_stages_of_an_interrupted_run_add_up(tmp_path: Path) -> None:
    kept = tmp_path / "stages.json"
    kept.write_text('{"train": 100.0, "before": 5.0}')
    with pytest.raises(KeyboardInterrupt), Narrator(kept).stage("train"):
        raise KeyboardInterrupt
    stages = Narrator(kept).stages
    assert stages["train"] > 100
    assert stages["before"] == 5


def test_where_nobody_knows_the_total_few_lines_are_told(capsys: pytest.CaptureFixture[str]) -> None:
    with Narrator().bar(0, "rows") as bar:
        for done in range(1, 500):
            bar.update(done)
    assert capsys.readouterr().err == "rows 1\n"
