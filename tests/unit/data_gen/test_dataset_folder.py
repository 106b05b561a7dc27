"""The folder of a data command: what goes in comes out of `datasets`, counted, whatever the rows hold."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from ruamel.yaml import YAML

from lengthctl.data_gen.dataset_folder import DatasetAbout, Drops, write_dataset
from lengthctl.data_gen.filters import DropReason
from lengthctl.decode.flow import Setback
from lengthctl.errors import DataError, RunFolderError
from lengthctl.length import Relation, Target

ABOUT = DatasetAbout("Long texts", "One row a text.", seed=5, command="lengthctl data x", model="m", settings={"n": 3})


def row(number: int, **more: Any) -> dict[str, Any]:
    return {
        "prompt": [{"role": "user", "content": f"Write about {number}."}],
        "completion": [{"role": "assistant", "content": "word " * number}],
        "id": f"{number:06}",
        "target": None,
        "words": number,
        "source": "a",
        **more,
    }


def jsonl(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "train.jsonl").read_text(encoding="utf-8").split("\n")[:-1]]


def parquet(folder: Path) -> list[dict[str, Any]]:
    import pyarrow.parquet as pq

    found: list[dict[str, Any]] = pq.read_table(folder / "train.parquet").to_pylist()
    return found


def test_the_card_tells_where_rows_come_from_and_what_was_left_out(tmp_path: Path) -> None:
    drops, measured = Drops(), {}
    target = Target(500, Relation.ABOUT, tolerance=0.1)

    def rows() -> Iterator[dict[str, Any]]:
        yield row(30, licence="mit", language="en", target=target.to_row())
        drops.add("a", DropReason.REPETITIVE)
        yield row(700, source="b", licence="cc0-1.0", language="zh")
        drops.add("c", DropReason.EMPTY, 2)
        measured["calls"] = 7

    stats = write_dataset(tmp_path, rows(), ABOUT, drops=drops, measured=measured)
    card = (tmp_path / "README.md").read_text(encoding="utf-8")
    front = YAML(typ="safe", pure=True).load(card.split("---\n")[1])
    assert front["configs"] == [{"config_name": "default", "data_files": "train.parquet", "default": True}]
    assert sorted(front["license"]) == ["cc0-1.0", "mit"]
    assert front["language"] == ["en", "zh"]
    assert {(s["name"], s["rows"], s["used"]) for s in stats["sources"]} == {("a", 2, 1), ("b", 1, 1), ("c", 2, 0)}
    assert {between: n for between, n in stats["lengths"].items() if n} == {"21-30": 1, "501-700": 1}
    assert {label["name"]: label["used"] for label in stats["labels"]} == {
        "asked: about, in words": 1,
        "asked: no length": 1,
    }
    assert stats["settings"]["model"] == "m"
    assert stats["measured"] == {"calls": 7}
    assert json.loads((tmp_path / "stats.json").read_text(encoding="utf-8")) == json.loads(json.dumps(stats))
    assert "`lengthctl data x`" in card
    assert "- calls: `7`" in card
    assert f'- date: `"{stats["settings"]["date"]}"`' in card
    assert f"repetitive: {DropReason.REPETITIVE.meaning}" in card


def test_what_stands_in_the_folder_loads_with_datasets(tmp_path: Path) -> None:
    import datasets

    asked = Target(20, Relation.RANGE, high=40).to_row()
    write_dataset(tmp_path / "o", [row(3), row(30, target=asked, plan=["a", "b"])], ABOUT)
    for kind, file in (("json", "train.jsonl"), ("parquet", "train.parquet")):
        data = datasets.load_dataset(
            kind, data_files=str(tmp_path / "o" / file), split="train", cache_dir=str(tmp_path / kind)
        )
        by_id = {one["id"]: one for one in data}
        assert by_id["000003"]["target"] is None
        assert by_id["000030"]["target"]["high"] == 40
        assert by_id["000030"]["plan"] == ["a", "b"]
        assert by_id["000030"]["prompt"] == row(30)["prompt"]


def test_rows_that_alone_fill_a_column_come_first_and_the_others_keep_their_order(tmp_path: Path) -> None:
    asked = Target(20, Relation.ABOUT, tolerance=0.1).to_row()
    rows = [row(n, target=asked if n == 700 else None) for n in range(1, 1001)]
    write_dataset(tmp_path, rows, ABOUT)
    order = [one["words"] for one in jsonl(tmp_path)]
    assert order == [1, 700, *(n for n in range(2, 1001) if n != 700)]
    assert [one["words"] for one in parquet(tmp_path)] == order


values = st.one_of(st.none(), st.integers(-(2**40), 2**40), st.floats(-1e9, 1e9))
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
extra = st.fixed_dictionaries(
    {"plan": st.none() | st.lists(st.fixed_dictionaries({"point": texts, "words": values}), max_size=3)},
    optional={"note": st.none() | texts, "score": values},
)


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(st.integers(0, 9000), extra), min_size=1, max_size=8))
def test_both_files_hold_the_rows_that_went_in(tmp_path_factory: Any, given_rows: Any) -> None:
    out = tmp_path_factory.mktemp("o")
    rows = [{**row(n), "id": str(i), **more} for i, (n, more) in enumerate(given_rows)]
    stats = write_dataset(out, rows, ABOUT)
    by_id = {one["id"]: one for one in rows}
    assert {one["id"]: one for one in jsonl(out)} == by_id
    for found in parquet(out):
        expected = by_id[found["id"]]
        assert {k: v for k, v in found.items() if v is not None} == {k: v for k, v in expected.items() if v is not None}
    assert stats["used"] == sum(stats["lengths"].values()) == len(rows)


def test_the_same_rows_give_the_same_bytes(tmp_path: Path) -> None:
    for name in ("a", "b"):
        write_dataset(tmp_path / name, (row(n) for n in range(1, 600)), ABOUT)
    for file in ("train.jsonl", "train.parquet"):
        assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes()


def test_a_fault_on_the_way_leaves_what_was_there(tmp_path: Path) -> None:
    write_dataset(tmp_path, [row(3)], ABOUT)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}

    def rows() -> Iterator[dict[str, Any]]:
        yield row(4)
        raise RuntimeError("gone")

    with pytest.raises(RuntimeError, match="gone"):
        write_dataset(tmp_path, rows(), ABOUT)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_other_files_of_the_folder_stay(tmp_path: Path) -> None:
    (tmp_path / "steps.jsonl").write_text("kept\n")
    write_dataset(tmp_path, [row(3)], ABOUT)
    assert (tmp_path / "steps.jsonl").read_text() == "kept\n"
    assert sorted(p.name for p in tmp_path.iterdir()) == [
        "README.md",
        "stats.json",
        "steps.jsonl",
        "train.jsonl",
        "train.parquet",
    ]


def test_no_row_and_a_folder_of_another_kind_are_told(tmp_path: Path) -> None:
    drops = Drops()
    drops.add("a", DropReason.EMPTY, 3)
    with pytest.raises(DataError, match=r"no row is left \(empty 3\)"):
        write_dataset(tmp_path, [], ABOUT, drops=drops)
    assert not any(tmp_path.iterdir())
    (tmp_path / "stats.json").write_text('{"pairs": 3}')
    with pytest.raises(RunFolderError, match="another kind"):
        write_dataset(tmp_path, [row(1)], ABOUT)
    (tmp_path / "stats.json").write_text("torn")
    with pytest.raises(RunFolderError, match="another kind"):
        write_dataset(tmp_path, [row(1)], ABOUT)


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"prompt": "text"}, "prompt is a list of messages"),
        ({"completion": []}, "completion is a list of messages"),
        ({"prompt": [{"role": "user"}]}, "prompt is a list of messages"),
        ({"words": 3.5}, "words is a length, found 3.5"),
        ({"words": True}, "words is a length"),
        ({"words": -1}, "words is a length"),
        ({"id": 3}, "names its id and source"),
    ],
)
def test_rows_that_are_none_are_refused(tmp_path: Path, wrong: dict[str, Any], told: str) -> None:
    with pytest.raises(ValueError, match=told):
        write_dataset(tmp_path, [{**row(3), **wrong}], ABOUT)


def test_an_id_counts_once_a_source(tmp_path: Path) -> None:
    write_dataset(tmp_path / "o", [row(3), row(3, source="b")], ABOUT)
    with pytest.raises(ValueError, match="two rows of a have the id '000003'"):
        write_dataset(tmp_path / "p", [row(3), row(3)], ABOUT)


@pytest.mark.parametrize(
    ("rows", "told"),
    [
        ([row(3, note="text"), row(4, note=5)], "values of two kinds"),
        ([row(3, note=2**70)], "values of two kinds"),
        ([row(3, note={})], "Leave that column out"),
        ([row(3, note="\ud800")], "half a surrogate pair"),
    ],
)
def test_columns_that_no_table_can_hold_are_told(tmp_path: Path, rows: list[Any], told: str) -> None:
    with pytest.raises(DataError, match=told):
        write_dataset(tmp_path, rows, ABOUT)
    assert not (tmp_path / "train.jsonl").exists()


def test_every_setback_of_a_document_is_a_reason() -> None:
    drops = Drops()
    for setback in Setback:
        drops.add("a", setback)
    assert set(drops.counts["a"]) == {DropReason(str(setback)) for setback in Setback}
    assert all(reason.meaning for reason in drops.counts["a"])


def test_a_reason_that_the_card_does_not_know_is_refused() -> None:
    with pytest.raises(ValueError, match="bad_luck"):
        Drops().add("a", "bad_luck")
