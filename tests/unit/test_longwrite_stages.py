"""The first stage of the script for long texts: three parts without a prompt in common, lengths by a hash."""

from __future__ import annotations

import json
import runpy
import sys
from pathlib import Path
from typing import Any

import pytest

SCRIPTS = Path(__file__).parents[2] / "scripts"


def run(monkeypatch: pytest.MonkeyPatch, *args: str) -> None:
    monkeypatch.setattr(sys, "argv", ["longwrite_stages.py", *args])
    monkeypatch.syspath_prepend(str(SCRIPTS))
    runpy.run_path(str(SCRIPTS / "longwrite_stages.py"), run_name="__main__")


def rows_of(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_prompts_are_split_and_those_for_data_get_a_length(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = tmp_path / "prompts.jsonl"
    rows = [{"id": f"p{i}", "part": "x", "category": "essay", "instruction": f"Tell of {i}."} for i in range(200)]
    source.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    run(monkeypatch, str(tmp_path / "o"), str(source), "--only", "prompts", "--words", "30", "50")
    parts = {name: rows_of(tmp_path / "o" / f"prompts-{name}.jsonl") for name in ("data", "development", "test")}
    assert sorted(row["id"] for found in parts.values() for row in found) == sorted(row["id"] for row in rows)
    assert {row["target"] for row in parts["data"]} == {30, 50}
    assert not any("target" in row for row in parts["development"] + parts["test"])
    run(monkeypatch, str(tmp_path / "p"), str(source), "--only", "prompts", "--words", "30", "50", "--limit", "7")
    assert rows_of(tmp_path / "p" / "prompts-data.jsonl") == parts["data"][:7]
