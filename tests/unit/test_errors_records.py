"""Errors cross process borders; records survive being cut at any byte."""

from __future__ import annotations

import json
import pickle
from pathlib import Path

import pytest

from lengthctl import errors
from lengthctl.errors import ConfigError, DataError, LengthctlError, Problem
from lengthctl.records import RecordWriter, read_records

KINDS = [getattr(errors, n) for n in errors.__all__ if n not in ("Problem", "ConfigError")]


@pytest.mark.parametrize("kind", KINDS)
def test_errors_pickle(kind: type[LengthctlError]) -> None:
    copy = pickle.loads(pickle.dumps(kind("what", "do this")))  # noqa: S301
    assert str(copy) == "what. do this"
    assert copy.exit_code == kind.exit_code


def test_config_error_lists_every_problem() -> None:
    error = ConfigError("a.yaml", [Problem("x.y", "unknown key", 3), Problem("z", "wrong type")])
    copy = pickle.loads(pickle.dumps(error))  # noqa: S301
    assert str(copy) == "a.yaml: 2 problems\n  line 3  x.y  unknown key\n  z  wrong type"


def test_cut_at_any_byte_and_go_on(tmp_path: Path) -> None:
    path = tmp_path / "r.jsonl"
    with RecordWriter(path) as writer:
        for i in range(3):
            writer.write({"i": i, "text": "\u00e9\u2028"})
    whole = path.read_bytes()
    for cut in range(len(whole) + 1):
        path.write_bytes(whole[:cut])
        with RecordWriter(path) as writer:
            kept = [r["i"] for _, r in read_records(path)]
            for i in range(len(kept), 3):
                writer.write({"i": i, "text": "\u00e9\u2028"})
        assert path.read_bytes() == whole


@pytest.mark.parametrize("line", ["[" * 10**5, "9" * 5000, '"\\xff', "\x00"])
def test_what_is_no_json_is_told_with_its_line(tmp_path: Path, line: str) -> None:
    path = tmp_path / "r.jsonl"
    path.write_text(f'{{"i": 1}}\n{{"i": {line}}}\n')
    with pytest.raises(DataError, match=r"r\.jsonl:2: not valid JSON"):
        list(read_records(path))


@pytest.mark.parametrize("block", [1, 2, 7, 1 << 16])
@pytest.mark.parametrize("whole", [b"", b"{}\n", b"\n", b'{"i": 1}\n{"i": 22}\n'])
@pytest.mark.parametrize("torn", [b"", b"{", b'{"text": "long enough"}'])
def test_a_torn_tail_goes_whatever_block_it_stands_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, block: int, whole: bytes, torn: bytes
) -> None:
    monkeypatch.setattr("lengthctl.records._BLOCK", block)
    path = tmp_path / "r.jsonl"
    path.write_bytes(whole + torn)
    RecordWriter(path).close()
    assert path.read_bytes() == whole


def test_torn_line_is_named(tmp_path: Path) -> None:
    path = tmp_path / "r.jsonl"
    path.write_text(json.dumps({"a": 1}) + "\n{oops}\n")
    with pytest.raises(DataError, match=r"r\.jsonl:2"):
        list(read_records(path))
