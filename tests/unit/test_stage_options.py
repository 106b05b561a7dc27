"""Scripts of stages: what was begun with other options is refused, and GRPO sees no prompt of the evaluation."""

from __future__ import annotations

import json
import runpy
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest

SCRIPTS = Path(__file__).parents[2] / "scripts"


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """Commands; a training one leaves a begun run, without a result."""
    made: list[list[str]] = []

    def lengthctl(folder: Path, *args: str) -> None:
        made.append(list(args))
        if args[0] == "train" and args[1] != "--resume":
            settings = dict(word.partition("=")[::2] for word in args if "=" in word)
            run = Path(settings["run.dir"]) / settings["run.name"]
            run.mkdir(parents=True)
            (run / "config.resolved.yaml").write_text("")

    monkeypatch.syspath_prepend(str(SCRIPTS))
    import verbs

    monkeypatch.setattr(verbs, "lengthctl", lengthctl)
    return made


@pytest.fixture
def prompts(tmp_path: Path) -> str:
    texts = ["Describe a lighthouse in a storm for young readers at sea.", "Tell me of rivers.", "Tell me of wool."]
    return write(tmp_path / "prompts.jsonl", [{"prompt": text} for text in texts])


def write(path: Path, rows: list[dict[str, Any]]) -> str:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


def run(monkeypatch: pytest.MonkeyPatch, script: str, *args: str) -> None:
    monkeypatch.setattr(sys, "argv", [script, *args])
    runpy.run_path(str(SCRIPTS / script), run_name="__main__")


def finish(folder: Path) -> None:
    (folder / "summary.json").write_text("{}")


@pytest.mark.parametrize("is_finished", [True, False])
def test_other_options_are_refused(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    calls: list[list[str]],
    prompts: str,
    capsys: pytest.CaptureFixture[str],
    is_finished: bool,
) -> None:
    out = tmp_path / "o"
    given = [str(out), prompts, "--only", "sft", "--sft"]
    run(monkeypatch, "ruler_stages.py", *given, "data.limit=5", "trainer.max_steps=3")
    if is_finished:
        finish(out / "sft-42")
    with pytest.raises(SystemExit) as leaving:
        run(monkeypatch, "ruler_stages.py", *given, "trainer.max_steps=4", "train.end_weight=1")
    assert leaving.value.code == 2
    (told,) = capsys.readouterr().err.splitlines()
    assert "sft-42 was begun with other options (data.limit: 5 -> not given" in told
    assert "trainer.max_steps: 3 -> 4" in told
    assert "train.end_weight: not given -> 1)" in told
    assert len(calls) == 1
    run(monkeypatch, "ruler_stages.py", *given, "trainer.max_steps=2", "trainer.max_steps=3", "data.limit=5")
    assert calls[1:] == ([] if is_finished else [["train", "--resume", str(out / "sft-42")]])


def test_removed_or_moved_it_begins_or_goes_on(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, calls: list[list[str]], prompts: str
) -> None:
    out = tmp_path / "o"
    run(monkeypatch, "ruler_stages.py", str(out), prompts, "--only", "sft", "--sft", "data.limit=5")
    shutil.rmtree(out / "sft-42")
    run(monkeypatch, "ruler_stages.py", str(out), prompts, "--only", "sft", "--sft", "data.limit=6")
    finish(out / "sft-42")
    moved = out.rename(tmp_path / "moved")
    run(monkeypatch, "ruler_stages.py", str(moved), prompts, "--only", "sft", "--sft", "data.limit=6")
    assert [call[1] for call in calls] == ["ruler", "ruler"]


def test_a_folder_without_kept_options_is_taken_as_it_is(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, calls: list[list[str]], prompts: str
) -> None:
    for name in ("sft-42", "vanilla-42"):
        (tmp_path / "o" / name).mkdir(parents=True)
        (tmp_path / "o" / name / "config.resolved.yaml").write_text("")
    finish(tmp_path / "o" / "sft-42")
    run(monkeypatch, "ruler_stages.py", str(tmp_path / "o"), prompts, "--only", "sft", "vanilla", "--sft", "a=1")
    assert calls == [["train", "--resume", str(tmp_path / "o" / "vanilla-42")]]


def test_c3ot_data_of_other_options_are_refused(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, calls: list[list[str]], capsys: pytest.CaptureFixture[str]
) -> None:
    given = [str(tmp_path / "o"), str(tmp_path / "base"), "rows.jsonl", "--only", "data"]
    run(monkeypatch, "c3ot_stages.py", *given)
    (tmp_path / "o" / "data-none").mkdir()
    (tmp_path / "o" / "data-none" / "stats.json").write_text("{}")
    run(monkeypatch, "c3ot_stages.py", *given)
    with pytest.raises(SystemExit):
        run(monkeypatch, "c3ot_stages.py", *given, "--compressor", "model")
    assert "(--compressor: equations -> model)" in capsys.readouterr().err
    assert len(calls) == 1


def test_grpo_sees_no_prompt_of_the_evaluation(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, calls: list[list[str]], prompts: str
) -> None:
    held_out = write(tmp_path / "e.jsonl", [{"prompt": "DESCRIBE a lighthouse in a storm for young readers at sea"}])
    given = [str(tmp_path / "o"), prompts, "--only", "rl"]
    run(monkeypatch, "ruler_stages.py", *given, "--eval", held_out)
    (source,) = [word for word in calls[0] if word.startswith("prompts.source=")][-1:]
    rows = [json.loads(line) for line in Path(source.partition("=")[2]).read_text().splitlines()]
    assert [row["prompt"] for row in rows] == ["Tell me of rivers.", "Tell me of wool."]
    with pytest.raises(SystemExit):  # begun without what another evaluation holds
        run(monkeypatch, "ruler_stages.py", *given)
