"""Texts under requests: which texts are asked about, what becomes of each, and no call paid for twice."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest
from fake_judge import FakeModel, between_marks

from lengthctl.data_gen.back_translation import BackTranslationSettings
from lengthctl.data_gen.decontamination import strict_contamination
from lengthctl.data_gen.filters import DropReason
from lengthctl.errors import DataError, FailureBudgetError
from lengthctl.pipelines.back_translation import build_back_translations, read_long_texts
from lengthctl.pipelines.room import Room
from lengthctl.pipelines.step_store import StepStore
from lengthctl.rollout.backend import Sampling

SETTINGS = BackTranslationSettings()


def prose(words: int, seed: int) -> str:
    rng = random.Random(seed)
    drawn = [f"w{rng.randrange(10**6)}" for _ in range(words)]
    return " ".join(" ".join(drawn[start : start + 10]).capitalize() + "." for start in range(0, words, 10))


def asks_for(message: str) -> str:
    """A request that names the first word of the text."""
    return f"Write an essay about {between_marks('text', message).split()[0]} and its many neighbours."


def room(model: FakeModel, out: Path | None = None, **options: Any) -> Room:
    store = None if out is None else StepStore(out / "steps.jsonl")
    return Room(model, None, ["endpoint", "http://x", "the-model"], Sampling(), store=store, **options)


def source(folder: Path, rows: list[dict[str, Any]]) -> str:
    path = folder / "texts.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return str(path)


def texts(n: int) -> list[dict[str, Any]]:
    return [{"id": f"t{i}", "text": prose(250, i), "licence": "cc0"} for i in range(n)]


def read(out: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (out / "train.jsonl").read_text(encoding="utf-8").splitlines()]


def test_texts_come_under_requests_in_their_order(tmp_path: Path) -> None:
    model = FakeModel(asks_for)
    stats = build_back_translations(source(tmp_path, texts(6)), SETTINGS, room(model), tmp_path / "out")
    found = read(tmp_path / "out")
    assert [row["id"] for row in found] == [f"t{i}" for i in range(6)]
    for i, row in enumerate(found):
        text = prose(250, i)
        assert row["completion"] == [{"role": "assistant", "content": text}]
        assert row["prompt"][0]["content"].startswith(f"Write an essay about {text.split()[0]}")
        assert (row["words"], row["attempts"], row["licence"], row["target"]) == (250, 1, "cc0", None)
    assert stats["measured"]["calls"] == 6
    assert "the-model" in (tmp_path / "out" / "README.md").read_text(encoding="utf-8")


def test_texts_that_are_not_worth_a_call(tmp_path: Path) -> None:
    rows = [
        *texts(1),
        {"id": "short", "text": prose(50, 9)},
        {"id": "cut", "text": prose(250, 10)[:-1] + ", and the"},
        {"id": "loop", "text": "And so on it went. " * 60},
        {"id": "again", "text": prose(250, 0).upper()},
        {"id": "template", "text": "<|im_start|>" + prose(250, 11)},
        {"id": "empty", "text": ""},
    ]
    model = FakeModel(asks_for)
    stats = build_back_translations(source(tmp_path, rows), SETTINGS, room(model), tmp_path / "out")
    assert len(model.asked) == 1
    assert stats["sources"][0]["dropped"] == {
        "outside_bands": 1,
        "unfinished": 1,
        "repetitive": 1,
        "exact_duplicate": 1,
        "leftovers": 1,
        "empty": 1,
    }


def test_what_the_model_gets_wrong_is_counted(tmp_path: Path) -> None:
    bad = {prose(250, 1).split()[0]: "I'm sorry, I can't.", prose(250, 2).split()[0]: "", prose(250, 3).split()[0]: ""}

    def say(message: str) -> str:
        return bad.get(between_marks("text", message).split()[0], asks_for(message))

    path = source(tmp_path, texts(5))
    stats = build_back_translations(path, SETTINGS, room(FakeModel(say), failure_budget=1.0), tmp_path / "out")
    assert stats["sources"][0]["dropped"] == {"refused": 1, "empty": 2}
    assert [row["id"] for row in read(tmp_path / "out")] == ["t0", "t4"]
    with pytest.raises(FailureBudgetError, match="3 of 5"):
        build_back_translations(path, SETTINGS, room(FakeModel(say)), tmp_path / "other")
    assert not list((tmp_path / "other").glob(".texts*"))


def test_requests_of_the_evaluation_are_left_out(tmp_path: Path) -> None:
    held_out = strict_contamination([asks_for(f"\n<text-{'0' * 16}>\n{prose(250, 1)}\n</text-{'0' * 16}>\n")])
    stats = build_back_translations(
        source(tmp_path, [*texts(1), {"text": prose(250, 1)}, {"text": "Hello " + prose(250, 2)}]),
        SETTINGS,
        room(FakeModel(lambda m: asks_for(m) if "Hello" not in m else "Write a poem on the sea, in rhyme and metre.")),
        tmp_path / "out",
        contamination=held_out,
    )
    assert stats["sources"][0]["dropped"] == {"contaminated": 2}  # a template of eight words is enough


def test_a_second_start_asks_nothing_and_gives_the_same_bytes(tmp_path: Path) -> None:
    path, out = source(tmp_path, texts(5)), tmp_path / "out"
    out.mkdir()
    settings = BackTranslationSettings(verify=True)

    def say(message: str) -> str:
        return "yes" if "<request-" in message else asks_for(message)

    build_back_translations(path, settings, room(FakeModel(say), out), out)
    files = {name: (out / name).read_bytes() for name in ("train.jsonl", "train.parquet")}
    assert all(row["is_verified"] for row in read(out))
    model = FakeModel(say)
    stats = build_back_translations(path, settings, room(model, out), out)
    assert model.asked == []
    assert stats["measured"]["calls"] == 10
    assert {name: (out / name).read_bytes() for name in files} == files


def test_a_limit_and_completions_of_conversations(tmp_path: Path) -> None:
    rows = [{"prompt": "Ask", "completion": prose(250, i)} for i in range(4)]
    model = FakeModel(asks_for)
    build_back_translations(source(tmp_path, rows), SETTINGS, room(model), tmp_path / "out", limit=2)
    assert len(read(tmp_path / "out")) == len(model.asked) == 2
    found = list(read_long_texts(source(tmp_path, [*rows[:1], {"prompt": "Ask"}, {"text": " x ", "id": 7}])))
    assert found[1] is DropReason.NO_COMPLETION
    assert not isinstance(found[0], DropReason)
    assert found[0].id == found[0].digest
    assert not isinstance(found[2], DropReason)
    assert (found[2].text, found[2].id) == ("x", "7")


def test_columns_of_no_known_shape(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no known shape"):
        list(read_long_texts(source(tmp_path, [{"body": "x"}])))
    assert len(list(read_long_texts(source(tmp_path, [{"body": "x"}]), column="body"))) == 1
    for typo in ("texts", "bdy"):
        with pytest.raises(DataError, match=rf":1: no column '{typo}'; did you mean"):
            list(read_long_texts(source(tmp_path, [{"text": "x", "body": "x"}]), column=typo))


def test_a_row_without_its_text_ends_nothing(tmp_path: Path) -> None:
    rows = [{"text": None}, {"text": ["x"]}, {"text": None, "prompt": "p", "completion": "c"}, {"text": "t"}]
    found = list(read_long_texts(source(tmp_path, rows)))
    assert found[:2] == [DropReason.NO_COMPLETION, DropReason.NOT_TEXT]
    assert [text.text for text in found[2:] if not isinstance(text, DropReason)] == ["c", "t"]
