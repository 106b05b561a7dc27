"""Ruler's training data: tokens, quotas, controls, and the same bytes after any interruption."""

from __future__ import annotations

import itertools
import json
import os
import random
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lengthctl.data_gen.balance import Fill
from lengthctl.data_gen.dataset_card import DatasetFacts
from lengthctl.data_gen.decontamination import Contamination
from lengthctl.data_gen.filters import DropReason
from lengthctl.data_gen.hindsight import read_samples
from lengthctl.data_gen.instruction_data import Instructions, read_instructions
from lengthctl.data_gen.ruler import RulerSettings, build_ruler_data
from lengthctl.data_gen.ruler_rows import REQUEST_FORMS
from lengthctl.errors import DataError, RunFolderError
from lengthctl.length import Unit, count_length
from lengthctl.mlt import RULER_TABLE, split_text
from lengthctl.mlt_table import MltTable

DATA = os.environ.get("LENGTHCTL_DATA")
SETS = ("train.jsonl", "vanilla.jsonl", "worded.jsonl", "marked.jsonl")
FILES = (*SETS, "stats.json", "README.md", "decisions.jsonl")
SETTINGS = RulerSettings(seed=3, cap=4, controls=("vanilla", "worded", "marked"), request_forms=REQUEST_FORMS)


def text(n: int, seed: int) -> str:
    """A sentence of `n` words."""
    rng = random.Random(seed)
    return " ".join(f"w{rng.randrange(10**6)}" for _ in range(n)) + "."


def rows(n: int, seed: int = 0) -> list[dict[str, Any]]:
    """Rows of many lengths, every fifth of which has a fault."""
    rng = random.Random(seed)
    faults = [
        {"completion": ""},
        {"completion": "The end of the"},
        {"completion": "no no no no no. " * 9},
        {"prompt": "Say it in 10 words."},
        {"prompt": "Held out!"},
    ]
    made: list[dict[str, Any]] = []
    for i in range(n):
        length = rng.choice([10, 30, 50, 80, 10, 30, 20, 900])
        row = {"id": f"r{i}", "prompt": f"Ask {seed}.{i}", "completion": text(length, 1000 * seed + i)}
        if i % 5 == 4:
            row |= faults[i // 5 % len(faults)]
        made.append(row)
    return made


def source(path: Path, content: list[dict[str, Any]], name: str = "a", licence: str | None = "mit") -> Instructions:
    path.write_text("".join(json.dumps(row) + "\n" for row in content))
    return read_instructions(path, name=name, licence=licence)


def build(
    sources: list[Instructions], out: Path, chosen: RulerSettings = SETTINGS, table: MltTable = RULER_TABLE, **more: Any
) -> DatasetFacts:
    return build_ruler_data(sources, table, chosen, out, contamination=Contamination(["held out"]), **more)


def read(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Folder of two sources, and of the data made of them without interruption."""
    folder = tmp_path_factory.mktemp("ruler")
    build(two_sources(folder), folder / "out")
    return folder, folder / "out"


def two_sources(folder: Path) -> list[Instructions]:
    return [source(folder / "a.jsonl", rows(40, 1)), source(folder / "b.jsonl", rows(25, 2), "b", None)]


def test_rows(whole: tuple[Path, Path]) -> None:
    found = read(whole[1] / "train.jsonl")
    assert len(found) > 12
    for row in found:
        content = row["completion"][0]["content"]
        said = split_text(content, RULER_TABLE)
        assert said.token is not None
        assert content.startswith(said.token.text)
        assert row["mlt"] == said.token.text
        assert row["length"] == count_length(said.text) in said.token.data
        assert (row["unit"], row["source"] in "ab") == ("words", True)
        assert row["licence"] == ("mit" if row["source"] == "a" else None)
        assert row["prompt"][-1]["role"] == "user"
    assert max(Counter(row["mlt"] for row in found).values()) == 4


def test_controls_have_the_same_rows(whole: tuple[Path, Path]) -> None:
    mlt, vanilla, worded, marked = (read(whole[1] / name) for name in SETS)
    for row, plain, asked, text in zip(mlt, vanilla, worded, marked, strict=True):
        assert text["completion"] == plain["completion"]
        assert text["prompt"][-1]["content"] == f"{row['prompt'][-1]['content']} {row['mlt']}"
        assert row["id"] == plain["id"] == asked["id"]
        assert row["prompt"] == plain["prompt"]
        assert row["completion"][0]["content"] == row["mlt"] + plain["completion"][0]["content"]
        assert plain["completion"] == asked["completion"]
        number = row["mlt"].strip("[]MLT:")
        demand = "at least 801 words" if number == ">800" else f"about {number} words"
        assert demand in asked["prompt"][-1]["content"]
        assert row["prompt"][-1]["content"] in asked["prompt"][-1]["content"]


def test_card_and_counts_add_up(whole: tuple[Path, Path]) -> None:
    stats = json.loads((whole[1] / "stats.json").read_text())
    used = Counter(row["source"] for row in read(whole[1] / "train.jsonl"))
    assert [(s["name"], s["rows"], s["used"]) for s in stats["sources"]] == [("a", 40, used["a"]), ("b", 25, used["b"])]
    for counted in stats["sources"]:
        assert counted["used"] + sum(counted["dropped"].values()) == counted["rows"]
    reasons = {reason for counted in stats["sources"] for reason in counted["dropped"]}
    assert {"no_completion", "unfinished", "repetitive", "outside_bands", "over_quota", "contaminated"} <= reasons
    assert stats["sources"][0]["licences"] == ["mit"]
    card = (whole[1] / "README.md").read_text()
    assert "| b | not stated | 25 |" in card
    assert "over_quota: its class was full" in card


def test_a_row_that_passed_is_used_or_says_why_not(tmp_path: Path) -> None:
    same = text(50, 1)
    content = [
        {"id": "1", "prompt": "Ask", "completion": same},
        {"id": "2", "prompt": "ask!", "completion": same.upper()},
        {"id": "3", "prompt": "Ask otherwise", "completion": same.replace(".", " indeed.")},
    ]
    facts = build([source(tmp_path / "a.jsonl", content)], tmp_path / "out")
    assert facts.used == 1
    dropped = facts.sources[0].dropped
    assert dropped.get(DropReason.EXACT_DUPLICATE, 0) + dropped[DropReason.NEAR_DUPLICATE] == 2
    every = build([source(tmp_path / "a.jsonl", content)], tmp_path / "all", replace(SETTINGS, near_duplicates=None))
    assert every.used == 3


def test_rows_in_any_order_give_the_same_data(tmp_path: Path, whole: tuple[Path, Path]) -> None:
    shuffled = [rows(40, 1), rows(25, 2)]
    for content in shuffled:
        random.Random(7).shuffle(content)
    sources = [source(tmp_path / "a.jsonl", shuffled[0]), source(tmp_path / "b.jsonl", shuffled[1], "b", None)]
    build(sources, tmp_path / "out")
    for name in FILES[:5]:
        assert (tmp_path / "out" / name).read_bytes() == (whole[1] / name).read_bytes()


@settings(max_examples=15)
@given(st.data())
def test_cut_anywhere_it_gives_the_same_bytes(
    tmp_path_factory: pytest.TempPathFactory, whole: tuple[Path, Path], data: st.DataObject
) -> None:
    folder, done = whole
    out = tmp_path_factory.mktemp("cut")
    journal = (done / "decisions.jsonl").read_bytes()
    (out / "decisions.jsonl").write_bytes(journal[: data.draw(st.integers(0, len(journal)))])
    (out / ".rows.part").write_text("left by the killed one")
    build(two_sources(folder), out)
    for name in FILES:
        assert (out / name).read_bytes() == (done / name).read_bytes(), name
    assert {path.name for path in out.iterdir()} == set(FILES)


def test_interrupted_while_it_measures(tmp_path: Path, whole: tuple[Path, Path]) -> None:
    def stop(done: int) -> None:
        if done == 30:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        build(two_sources(whole[0]), tmp_path / "out", on_row=stop)
    assert not (tmp_path / "out" / "train.jsonl").exists()
    told: list[int] = []
    build(two_sources(whole[0]), tmp_path / "out", on_row=told.append)
    assert told[-1] == len(read(tmp_path / "out" / "decisions.jsonl")) - 1
    assert (tmp_path / "out" / "train.jsonl").read_bytes() == (whole[1] / "train.jsonl").read_bytes()


def test_the_cap_may_change_without_a_new_measurement_and_filters_may_not(
    whole: tuple[Path, Path], tmp_path: Path
) -> None:
    out = tmp_path / "out"
    build(two_sources(whole[0]), out)
    before = (out / "decisions.jsonl").read_bytes()
    fewer = build(two_sources(whole[0]), out, replace(SETTINGS, cap=1, fill=Fill.ORDERED, controls=()))
    assert (out / "decisions.jsonl").read_bytes() == before
    assert all(label.used <= 1 for label in fewer.labels)
    with pytest.raises(RunFolderError, match="other settings"):
        build(two_sources(whole[0]), out, replace(SETTINGS, max_repetition=0.1))


def test_ordered_takes_from_the_first_source_first(tmp_path: Path) -> None:
    many = [{"prompt": f"p{i}", "completion": text(10, i)} for i in range(12)]
    sources = [source(tmp_path / "a.jsonl", many[:3]), source(tmp_path / "b.jsonl", many[3:], "b")]
    facts = build(sources, tmp_path / "out", replace(SETTINGS, fill=Fill.ORDERED))
    assert [s.used for s in facts.sources] == [3, 1]


def test_demands_are_stripped_or_kept(tmp_path: Path) -> None:
    content = [
        {"prompt": "Say it in 10 words.", "completion": text(10, 1)},
        {"prompt": "Write 10 words.", "completion": text(10, 2)},
    ]
    plain = RulerSettings(length_demands="strip")
    facts = build([source(tmp_path / "a.jsonl", content)], tmp_path / "strip", plain)
    assert facts.sources[0].dropped == {DropReason.LENGTH_DEMAND: 1}
    (row,) = read(tmp_path / "strip" / "train.jsonl")
    assert row["prompt"][0]["content"] == "Say it."
    kept = build([source(tmp_path / "a.jsonl", content)], tmp_path / "keep", replace(plain, length_demands="keep"))
    assert kept.used == 2
    with pytest.raises(DataError, match=r"no row is left to learn from \(length_demand 2\)"):
        build([source(tmp_path / "a.jsonl", content)], tmp_path / "drop", RulerSettings())


def test_the_models_own_texts(tmp_path: Path) -> None:
    path = tmp_path / "samples.jsonl"
    asked = [{"role": "user", "content": "Tell me. Answer in about 80 words."}]
    records = [
        {"id": "1", "messages": asked, "target": {"value": 80}, "text": f"[MLT:80]{text(30, 1)}", "finish": "eos"},
        {"id": "2", "messages": asked, "target": {"value": 80}, "text": text(30, 2), "finish": "limit"},
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in records))
    facts = build([read_samples(path)], tmp_path / "out", RulerSettings())
    (row,) = read(tmp_path / "out" / "train.jsonl")
    assert row["completion"][0]["content"] == "[MLT:30]" + text(30, 1)
    assert row["prompt"] == [{"role": "user", "content": "Tell me."}]
    assert facts.sources[0].dropped == {DropReason.UNFINISHED: 1}


class Characters:
    """A tokenizer of characters."""

    def encode(self, text: str, *, add_special_tokens: bool) -> list[int]:
        return [ord(c) for c in text]


def test_tokens_as_unit_and_as_a_limit(tmp_path: Path) -> None:
    table = MltTable.parse({"unit": "tokens", "tokens": [20, 60]})
    content = [
        {"prompt": "p", "completion": "Nineteen of letters."},
        {"prompt": "p" * 99, "completion": "Twenty of the lot..."},
    ]
    chosen = RulerSettings(max_tokens=60)
    facts = build([source(tmp_path / "a.jsonl", content)], tmp_path / "out", chosen, table, tokenizer=Characters())
    assert facts.sources[0].dropped == {DropReason.TOO_LONG: 1}
    (row,) = read(tmp_path / "out" / "train.jsonl")
    assert (row["mlt"], row["length"], row["unit"]) == ("[MLT:20]", 20, str(Unit.TOKENS))
    with pytest.raises(ValueError, match="needs a tokenizer"):
        build([source(tmp_path / "a.jsonl", content)], tmp_path / "x", chosen)


def test_two_sources_of_one_name(tmp_path: Path) -> None:
    one = source(tmp_path / "a.jsonl", rows(5))
    with pytest.raises(ValueError, match="same name"):
        build([one, one], tmp_path / "out")


@pytest.mark.parametrize(
    "fault",
    [
        {"seed": -1},
        {"cap": 0},
        {"max_repetition": 2.0},
        {"max_compression": 1.0},
        {"max_tokens": 0},
        {"near_duplicates": 0.0},
        {"request_forms": ("please",)},
        {"controls": ("plain",)},
        {"length_demands": "mend"},
        {"fill": "any"},
    ],
)
def test_settings_out_of_range(fault: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"found|valid"):
        RulerSettings(**fault)


def test_data_loads_with_datasets(whole: tuple[Path, Path], tmp_path: Path) -> None:
    import datasets

    n = len(read(whole[1] / "train.jsonl"))
    cache = str(tmp_path)
    one = datasets.load_dataset("json", data_files=str(whole[1] / "train.jsonl"), split="train", cache_dir=cache)
    assert one.num_rows == n
    assert one[0]["prompt"][0]["role"] == "user"
    by_card = datasets.load_dataset(str(whole[1]), "worded", split="train", cache_dir=cache)
    assert by_card.num_rows == n
    again = read_instructions(whole[1] / "train.jsonl")
    assert [row.completion for row in again] == [row["completion"][0]["content"] for row in one]


@pytest.mark.skipif(DATA is None, reason="LENGTHCTL_DATA does not name the folder of development data")
def test_real_data(tmp_path: Path) -> None:
    file = tmp_path / "dolly.jsonl"
    with (Path(str(DATA)) / "dolly_sample" / "dolly.jsonl").open(encoding="utf-8") as lines:
        file.write_text("".join(itertools.islice(lines, 500)), encoding="utf-8")
    dolly = read_instructions(file, name="dolly", licence="cc-by-sa-3.0")
    copy = read_instructions(file, name="copy")
    facts = build([dolly, copy], tmp_path / "out", RulerSettings(cap=None), RULER_TABLE.labelling_all())
    assert [counted.rows for counted in facts.sources] == [500, 500]
    assert 0.95 < facts.used / 500 < 1
    dropped = sum((Counter(counted.dropped) for counted in facts.sources), Counter[DropReason]())
    assert dropped[DropReason.EXACT_DUPLICATE] == facts.used
    assert not {DropReason.OUTSIDE_BANDS, DropReason.NEAR_DUPLICATE} & set(dropped)
    assert facts.sources[0].licences == ("cc-by-sa-3.0",)
