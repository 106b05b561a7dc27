"""A model's own texts as instruction data."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from lengthctl.data_gen.filters import DropReason, unfinished
from lengthctl.data_gen.hindsight import read_samples
from lengthctl.errors import DataError
from lengthctl.length import Target
from lengthctl.records import FinishReason, RecordWriter


def record(number: int, text: str | None, finish: str = "eos", **more: Any) -> dict[str, Any]:
    asked = [{"role": "user", "content": "What is love? Answer in about 50 words."}]
    return {
        "id": f"p#{number}",
        "messages": asked,
        "target": Target(50).to_row(),
        "text": text,
        "finish": finish,
        **more,
    }


def test_samples_lose_the_demand_and_keep_their_finish(tmp_path: Path) -> None:
    path = tmp_path / "samples.jsonl"
    with RecordWriter(path) as writer:
        writer.write(record(0, "It is warm."))
        writer.write(record(1, "It is", "limit"))
        writer.write(record(2, None, "error"))
        writer.write(record(3, ""))
        writer.write({"prompt": "What is love?", "text": "Care.", "finish": "eos"})
    source = read_samples(path, name="model", licence="apache-2.0")
    rows = list(source)
    assert [row.messages[0]["content"] for row in rows] == ["What is love?"] * 3
    assert [row.finish for row in rows] == [FinishReason.EOS, FinishReason.LIMIT, FinishReason.EOS]
    assert [unfinished(row.completion, row.finish) for row in rows] == [None, DropReason.UNFINISHED, None]
    assert source.dropped == {DropReason.NO_COMPLETION: 2}
    assert (rows[0].id, rows[0].source, rows[0].licence) == ("p#0", "model", "apache-2.0")
    assert rows[2].id == rows[2].digest


@pytest.mark.parametrize(
    ("row", "told"),
    [
        ({"messages": [], "text": "a"}, ":1: a sample has messages or prompt, text, and finish"),
        ({"prompt": "p", "text": "a", "finish": "done"}, ":1: 'done' is not a valid"),
        ({"prompt": "p", "text": "a", "finish": "eos", "target": {"value": 0}}, ":1: a target needs"),
        ({"prompt": "p", "text": "a", "finish": "eos", "target": {"size": 0}}, ":1: "),
    ],
)
def test_faults_name_their_place(tmp_path: Path, row: dict[str, Any], told: str) -> None:
    path = tmp_path / "samples.jsonl"
    path.write_text(json.dumps(row) + "\n")
    with pytest.raises(DataError, match=told):
        list(read_samples(path))


def test_a_prompt_of_another_wording_is_left(tmp_path: Path) -> None:
    path = tmp_path / "samples.jsonl"
    request = "Fifty words on love, please"
    path.write_text(json.dumps({"prompt": request, "text": "Love.", "finish": "eos", "target": 50}) + "\n")
    (found,) = read_samples(path)
    assert found.messages == ({"role": "user", "content": request},)
