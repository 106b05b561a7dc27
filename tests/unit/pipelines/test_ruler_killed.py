"""Texts, data and pairs by their commands, with a scripted model: killed at every write and gone on with, the files are
those of an undisturbed run, and no text is asked for twice."""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from lengthctl.cli import app
from lengthctl.records import RecordWriter

TOPICS = ("Rain", "Snow", "Wind", "Fog", "Hail", "Frost", "Thunder", "Sun")
SCRIPT = ["rollout.backend=scripted", "rollout.script=script.jsonl"]
STAGES = {
    "texts": ["gen", "--in", "prompts.jsonl", "--words", "80", "--control", "plain", "--out", "texts.jsonl", *SCRIPT],
    "data": ["data", "ruler", "texts.jsonl", "--hindsight", "--openings", "--controls", "--out", "data"],
    "pairs": ["data", "pairs", "texts.jsonl", "--openings", "--mlt", "ruler", "--out", "pairs"],
}
WRITES = {"texts": 9, "data": 12, "pairs": 6}
"""Of an undisturbed stage, at least: each is a moment to be killed at."""


def text(topic: str, words: int) -> str:
    """A sentence every ten words."""
    return " ".join(f"{topic}{i}" + ("." if i % 10 == 9 else "") for i in range(words))


def begin(folder: Path) -> None:
    folder.mkdir()
    asked = [{"id": topic, "prompt": f"Tell me about {topic}."} for topic in TOPICS]
    said = [{"id": f"{topic}#0", "texts": [text(topic, 80 + 10 * n)]} for n, topic in enumerate(TOPICS)]
    for name, rows in (("prompts", asked), ("script", said)):
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))


def run(folder: Path, stage: str, last: int) -> None:
    """A stage that is killed before its write number `last`, where it comes so far; 0: never."""
    os.chdir(folder)
    writes = 0

    def count() -> None:
        nonlocal writes
        writes += 1
        (folder / f"{stage}.writes").write_text(str(writes)) if last == 0 else None
        if writes == last:
            os.kill(os.getpid(), signal.SIGKILL)

    def heard(event: str, args: tuple[Any, ...]) -> None:
        opened = event == "open" and isinstance(args[1], str) and set(args[1]) & set("wax")
        if event == "os.rename" or (opened and not str(args[0]).endswith((".writes", os.devnull))):
            count()

    write = RecordWriter.write

    def counted(self: RecordWriter, record: Mapping[str, Any]) -> None:
        count()
        write(self, record)

    sys.addaudithook(heard)
    RecordWriter.write = counted  # type: ignore[method-assign]
    found = CliRunner().invoke(app, STAGES[stage])
    os._exit(0 if found.exit_code == 0 else 1)


def start(folder: Path, stage: str, last: int = 0) -> int | None:
    """In a process of its own; how it ended."""
    process = multiprocessing.get_context("fork").Process(target=run, args=(folder, stage, last))
    process.start()
    process.join(30)
    return process.exitcode


def files(folder: Path) -> dict[str, bytes]:
    """But for what tells of this test."""
    found = {str(path.relative_to(folder)): path for path in folder.rglob("*") if path.is_file()}
    return {name: path.read_bytes() for name, path in found.items() if path.suffix != ".writes"}


def test_killed_at_every_write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    undisturbed, killed = tmp_path / "undisturbed", tmp_path / "killed"
    for folder in (undisturbed, killed, tmp_path / "here"):
        begin(folder)
    monkeypatch.chdir(tmp_path / "here")
    for stage in STAGES:
        assert CliRunner().invoke(app, STAGES[stage]).exit_code == 0  # each process has then what it imports
        assert start(undisturbed, stage) == 0
        writes = int((undisturbed / f"{stage}.writes").read_text())
        assert writes >= WRITES[stage]
        kept: list[str] = []
        kills = 0
        for last in range(1, writes + 2):
            code = start(killed, stage, last)
            assert code in (0, -signal.SIGKILL)
            kills += code != 0
            if stage == "texts":
                path = killed / "texts.jsonl"
                lines = path.read_text().splitlines() if path.is_file() else []
                assert lines[: len(kept)] == kept
                kept = lines
            if code == 0:
                break
        assert (code, kills > 3) == (0, True)
    assert files(killed) == files(undisturbed) == files(tmp_path / "here")
    assert len((killed / "texts.jsonl").read_text().splitlines()) == len(TOPICS)
    assert {"data/train.jsonl", "data/vanilla.jsonl", "pairs/train.jsonl"} <= set(files(killed))
