"""The file of decisions: cut at any byte, it goes on to the same bytes; of others, it is left alone."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lengthctl.data_gen.decisions import Decisions, replaced_file
from lengthctl.errors import RunFolderError

ROWS = [f"row {i} ½" for i in range(6)]


def run(path: Path, rows: list[str], key: str = "k", fail_at: int | None = None) -> list[str]:
    """Rows that were decided about in this run."""
    done: list[str] = []

    def decide(row: str) -> dict[str, str]:
        if len(done) == fail_at:
            raise KeyboardInterrupt
        done.append(row)
        return {"said": row.upper()}

    decisions = Decisions(path, key)
    try:
        decisions.record(rows, str, decide)
    finally:
        decisions.close()
    return done


@settings(max_examples=60)
@given(st.integers(0, 600))
def test_cut_anywhere_it_goes_on_to_the_same_bytes(tmp_path_factory: pytest.TempPathFactory, cut: int) -> None:
    path = tmp_path_factory.mktemp("cut") / "decisions.jsonl"
    run(path, ROWS)
    whole = path.read_bytes()
    path.write_bytes(whole[:cut])
    kept = max(0, whole[:cut].count(b"\n") - 1)
    assert run(path, ROWS) == ROWS[kept:]
    assert path.read_bytes() == whole


def test_lines_and_offsets(tmp_path: Path) -> None:
    path = tmp_path / "d.jsonl"
    assert run(path, ROWS, fail_at=None) == ROWS
    decisions = Decisions(path, "k")
    found = list(decisions.lines())
    assert [line["said"] for _, line in found] == [row.upper() for row in ROWS]
    with decisions.reader() as at:
        assert all(at(offset) == line for offset, line in reversed(found))
    decisions.close()
    decisions.close()


def test_interrupted_and_longer(tmp_path: Path) -> None:
    path = tmp_path / "d.jsonl"
    with pytest.raises(KeyboardInterrupt):
        run(path, ROWS, fail_at=2)
    assert run(path, ROWS[:4]) == ROWS[2:4]
    assert run(path, ROWS) == ROWS[4:]


def test_other_rows_or_settings_are_refused_and_nothing_is_changed(tmp_path: Path) -> None:
    path = tmp_path / "d.jsonl"
    run(path, ROWS)
    before = path.read_bytes()
    with pytest.raises(RunFolderError, match="row 2 of the sources is not what it was"):
        run(path, [ROWS[0], "else", *ROWS[2:]])
    with pytest.raises(RunFolderError, match="knows 6 rows, the sources have 4"):
        run(path, ROWS[:4])
    with pytest.raises(RunFolderError, match="other settings"):
        run(path, ROWS, key="else")
    assert path.read_bytes() == before


@pytest.mark.parametrize("content", ["notes", json.dumps({"prompt": "p"}) + "\n"])
def test_files_of_others_are_left_alone(tmp_path: Path, content: str) -> None:
    path = tmp_path / "d.jsonl"
    path.write_text(content)
    with pytest.raises(RunFolderError):
        run(path, ROWS)
    assert path.read_text() == content


def test_a_replaced_file_is_whole_or_the_old_one(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    with replaced_file(path) as file:
        file.write("one")
    with pytest.raises(UnicodeEncodeError), replaced_file(path) as file:
        file.write("two \ud800")
    assert path.read_text() == "one"
