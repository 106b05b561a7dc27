"""No space left: what was written whole stays, and the error says so, whichever library met it."""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from small_disk import SmallDisk

from lengthctl.exits import fail_unforeseen
from lengthctl.records import RecordWriter, read_records


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[SmallDisk]:
    mounted = SmallDisk(tmp_path / "disk", "64k")
    yield mounted
    mounted.close()


def fill(writer: RecordWriter, line: str) -> int:
    """Records written whole until there is no space."""
    for i in range(100):
        try:
            writer.write({"i": i, "text": line})
        except OSError as error:
            assert error.errno == errno.ENOSPC  # noqa: PT017
            return i
    raise AssertionError("the disk was not small")


def test_records_go_on_once_there_is_space(disk: SmallDisk) -> None:
    path, line = disk.path / "r.jsonl", "x" * 1000
    written = fill(RecordWriter(path), line)
    assert 30 < written < 65
    disk.grow("1m")
    with RecordWriter(path) as again:
        kept = [record["i"] for _, record in read_records(path)]
        assert kept == list(range(written))
        again.write({"i": written, "text": line})
    assert [record["i"] for _, record in read_records(path)] == list(range(written + 1))


@pytest.mark.parametrize("way", ["safetensors", "torch", "text"])
def test_every_way_of_writing_names_the_full_disk(
    disk: SmallDisk, way: str, capsys: pytest.CaptureFixture[str]
) -> None:
    import torch
    from safetensors.torch import save_file

    file, many = disk.path / "file", torch.zeros(100_000)
    writers = {
        "safetensors": lambda: save_file({"many": many}, file),
        "torch": lambda: torch.save(many, file),
        "text": lambda: file.write_text(json.dumps(many.tolist())),
    }
    with pytest.raises(Exception, match=r".") as caught:
        writers[way]()
    caught.value.add_note(str(disk.path / "error.txt"))
    with pytest.raises(SystemExit) as left:
        fail_unforeseen(caught.value, debug=False)
    assert left.value.code == 1
    assert "the disk is full" in capsys.readouterr().err


@pytest.mark.parametrize("number", [errno.EDQUOT, errno.EFBIG])
def test_a_limit_of_the_user_is_told_as_such(number: int, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        fail_unforeseen(OSError(number, os.strerror(number)), debug=False)
    assert left.value.code == 1
    told = capsys.readouterr().err
    assert f"{os.strerror(number)}: nothing more may be written" in told
    assert "traceback" not in told
