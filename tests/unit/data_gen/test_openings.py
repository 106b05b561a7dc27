"""Openings of texts: whole sentences, one a token, the closest to its target."""

from __future__ import annotations

import json
from pathlib import Path

from lengthctl.data_gen.hindsight import read_samples
from lengthctl.data_gen.instruction_data import Instruction, read_instructions
from lengthctl.data_gen.openings import WithOpenings, with_openings
from lengthctl.data_gen.preference_pairs import PairRules, hindsight_pairs
from lengthctl.data_gen.preference_texts import Text
from lengthctl.data_gen.ruler import RulerSettings, build_ruler_data
from lengthctl.length import Target, Unit, count_length
from lengthctl.mlt import RULER_TABLE
from lengthctl.records import FinishReason


def sentences(*lengths: int) -> str:
    """Sentences of so many words each."""
    return " ".join(" ".join(f"W{i}x{j}" for j in range(n)) + "." for i, n in enumerate(lengths))


def sample(tmp_path: Path, text: str, finish: str = "eos") -> list[Instruction]:
    """The rows that one sample becomes."""
    path = tmp_path / "texts.jsonl"
    path.write_text(json.dumps({"schema": 1, "id": "a", "prompt": "Tell me.", "text": text, "finish": finish}) + "\n")
    return list(WithOpenings(read_samples(path), RULER_TABLE))


def lengths_of(rows: list[Instruction]) -> dict[str, int]:
    return {row.id: count_length(row.completion, Unit.WORDS) for row in rows}


def test_each_token_gets_the_opening_closest_to_its_target(tmp_path: Path) -> None:
    # ends behind 7, 9, 14, 27, 33, 52, 60 words; data ranges 6..15, 26..35, 46..55
    rows = sample(tmp_path, sentences(7, 2, 5, 13, 6, 19, 8))
    assert lengths_of(rows) == {"a": 60, "a#10": 9, "a#30": 27, "a#50": 52}
    assert all(row.completion.endswith(".") for row in rows)
    assert {row.finish for row in rows[1:]} == {FinishReason.CLOSED}
    assert all(row.messages == rows[0].messages for row in rows)


def test_a_text_is_no_opening_of_itself_but_of_a_cut_one(tmp_path: Path) -> None:
    assert lengths_of(sample(tmp_path, sentences(10))) == {"a": 10}
    assert lengths_of(sample(tmp_path, sentences(10), "limit")) == {"a": 10, "a#10": 10}


def test_the_open_token_gets_the_first_end_in_its_range(tmp_path: Path) -> None:
    rows = sample(tmp_path, sentences(*[100] * 20), "limit")
    assert lengths_of(rows)["a#>800"] == 900


def test_no_sentence_no_opening(tmp_path: Path) -> None:
    assert lengths_of(sample(tmp_path, "word " * 300, "limit")) == {"a": 300}


def test_reasons_of_the_source_are_kept(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    rows = [{"prompt": "Tell me.", "completion": sentences(8, 25)}, {"prompt": "Tell me.", "completion": ""}]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    source = read_instructions(path)
    opened = WithOpenings(source, RULER_TABLE)
    assert [count_length(row.completion, Unit.WORDS) for row in opened] == [33, 8]
    assert opened.dropped == source.dropped
    assert sum(opened.dropped.values()) == 1


def test_they_reach_the_data_with_the_token_of_their_own_length(tmp_path: Path) -> None:
    path = tmp_path / "texts.jsonl"
    text = sentences(9, 20, 22, 30, 70)
    path.write_text(json.dumps({"schema": 1, "id": "a", "prompt": "Tell me.", "text": text, "finish": "limit"}) + "\n")
    settings = RulerSettings(openings=True, max_repetition=None)
    facts = build_ruler_data([read_samples(path)], RULER_TABLE, settings, tmp_path / "data")
    rows = [json.loads(line) for line in (tmp_path / "data" / "train.jsonl").read_text().splitlines()]
    assert {row["mlt"]: row["length"] for row in rows} == {
        "[MLT:10]": 9,
        "[MLT:30]": 29,
        "[MLT:50]": 51,
        "[MLT:80]": 81,
        "[MLT:150]": 151,
    }
    assert facts.settings["openings"] is True


def test_pairs_of_openings_prefer_each_under_its_own_token() -> None:
    request = ({"role": "user", "content": "Tell me."},)
    cut = Text("a", request, Target.parse(200), sentences(10, 20, 20, 30, 20, 50), 150, is_truncated=True)
    texts = list(with_openings([cut], RULER_TABLE))
    assert [text.length for text in texts] == [150, 10, 30, 50, 80, 150]
    assert [text.fault is None for text in texts] == [False, True, True, True, True, True]
    pairs = hindsight_pairs(texts, PairRules(table=RULER_TABLE, balance=False)).pairs
    assert pairs
    for pair in pairs:
        assert pair.chosen.length in pair.label.band
        assert pair.rejected.length not in pair.label.band
