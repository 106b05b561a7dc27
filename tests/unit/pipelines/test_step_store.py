"""The store of finished calls: nothing written is lost, nothing torn or foreign is read, nothing foreign is changed."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from small_disk import SmallDisk

from lengthctl.decode.flow import Answer
from lengthctl.errors import RunFolderError
from lengthctl.pipelines.journal import digest
from lengthctl.pipelines.step_store import StepStore
from lengthctl.records import FinishReason

TEXTS = ["", "One.", "两千字的文章。\n第二段", 'quoted "text" \\ \x00 \u2028 end', "x" * 10_000]


def answer(text: str) -> Answer:
    return Answer(text, FinishReason.LIMIT, tokens=7, prompt_tokens=3)


def fill(path: Path, texts: list[str]) -> list[str]:
    keys = [digest(i) for i in range(len(texts))]
    with StepStore(path) as store:
        for key, text in zip(keys, texts, strict=True):
            store.add(key, "doc 1", "write/0", answer(text))
    return keys


def test_answers_come_back_as_they_were(tmp_path: Path) -> None:
    path = tmp_path / "run" / "steps.jsonl"
    keys = fill(path, TEXTS)
    with StepStore(path) as store:
        assert [store.get(key) for key in keys] == [answer(text) for text in TEXTS]
        assert store.get(digest("other")) is None
        assert (keys[0] in store, digest("other") in store, len(store)) == (True, False, len(TEXTS))


def test_an_answer_is_on_disk_before_add_returns(tmp_path: Path) -> None:
    path = tmp_path / "steps.jsonl"
    with StepStore(path) as store:
        store.add(digest(1), "d", "c", answer("kept"))
        copy = tmp_path / "copy.jsonl"
        copy.write_bytes(path.read_bytes())
        store.add(digest(1), "d", "c", answer("again"))
        assert store.get(digest(1)) == answer("kept")
        assert path.read_bytes() == copy.read_bytes()
    with StepStore(copy) as found:
        assert found.get(digest(1)) == answer("kept")


def test_what_failed_is_not_kept(tmp_path: Path) -> None:
    with StepStore(tmp_path / "steps.jsonl") as store:
        store.add(digest(1), "d", "c", Answer("", FinishReason.ERROR, error="refused"))
        assert digest(1) not in store


@settings(max_examples=60)
@given(st.data())
def test_a_file_cut_at_any_byte_keeps_its_whole_records(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    path = tmp_path_factory.mktemp("cut") / "steps.jsonl"
    texts = [text[:40] for text in TEXTS]
    keys = fill(path, texts)
    whole = path.read_bytes()
    cut = data.draw(st.integers(0, len(whole)))
    path.write_bytes(whole[:cut])
    count = whole[:cut].count(b"\n")
    with StepStore(path) as store:
        assert len(store) == count
        assert [store.get(key) for key in keys[:count]] == [answer(text) for text in texts[:count]]
        for key, text in zip(keys, texts, strict=True):
            store.add(key, "doc 1", "write/0", answer(text))
    assert path.read_bytes() == whole


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b'{"schema": 1, "id": "a", "text": "mine"}\n', "no record of a step"),
        (b"my diary", "no record of a step"),
        (b"\x80\x81\n", "no record of a step"),
        (b"\n", "no record of a step"),
        (b'{"schema": 1, "steps": 9, "key": "0123456789abcdef", "document": "d"}\n', "version 1.9 of the step store"),
        (b'{"schema": 7, "steps": 1, "key": "0123456789abcdef", "document": "d"}\n', "this program reads 1.1"),
    ],
)
def test_another_kind_or_version_is_refused_and_left_alone(tmp_path: Path, content: bytes, told: str) -> None:
    path = tmp_path / "steps.jsonl"
    path.write_bytes(content)
    with pytest.raises(RunFolderError, match=told) as caught:
        StepStore(path)
    assert "Name another folder" in str(caught.value)
    assert path.read_bytes() == content


def test_a_damaged_record_is_named(tmp_path: Path) -> None:
    path = tmp_path / "steps.jsonl"
    (key,) = fill(path, ["text"])
    path.write_bytes(path.read_bytes().replace(b'"finish": "limit"', b'"finish": "lemon"'))
    with StepStore(path) as store, pytest.raises(RunFolderError, match="byte 0 is damaged"):
        store.get(key)


def test_two_commands_do_not_share_a_file(tmp_path: Path) -> None:
    path = tmp_path / "steps.jsonl"
    with StepStore(path), pytest.raises(RunFolderError, match="in use by another command"):
        StepStore(path)
    StepStore(path).close()


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(RunFolderError, match="cannot be opened"):
        StepStore(tmp_path / "file" / "steps.jsonl")


def test_many_answers_are_found_without_their_texts_in_memory(tmp_path: Path) -> None:
    import tracemalloc

    path = tmp_path / "steps.jsonl"
    keys = fill(path, ["word " * 200] * 5000)
    tracemalloc.start()
    with StepStore(path) as store:
        held, _ = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert len(store) == 5000
        assert held < 400 * 5000 < path.stat().st_size
        assert store.get(keys[4321]) == answer("word " * 200)


def test_a_full_disk_loses_only_what_did_not_fit(tmp_path: Path) -> None:
    disk = SmallDisk(tmp_path / "disk", "32k")
    try:
        path = disk.path / "steps.jsonl"
        store = StepStore(path)

        def fill_up() -> None:
            for number in range(100):
                store.add(digest(number), "d", "c", answer("y" * 1000))

        with pytest.raises(OSError, match="No space left"):
            fill_up()
        kept = len(store)
        assert 10 < kept < 33
        disk.grow("1m")
        store.add(digest(kept), "d", "c", answer("after"))
        store.close()
        with StepStore(path) as again:
            assert len(again) == kept + 1
            assert again.get(digest(kept)) == answer("after")
    finally:
        disk.close()
