"""`lengthctl data`: rows with meta length tokens and pairs by length, from files to files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from command_line import lengthctl

from lengthctl.errors import ConfigError, DataError

OPENINGS = ("Rain", "Snow", "Wind", "Fog", "Hail", "Frost", "Thunder", "Sunshine")


def text(topic: str, words: int) -> str:
    """A sentence a ten words; the last is shorter."""
    body = [f"{topic}{i}" for i in range(words)]
    return " ".join(word + ("." if i % 10 == 9 or i == words - 1 else "") for i, word in enumerate(body))


def own_texts(path: Path, finish: str = "closed") -> None:
    rows = [
        {
            "id": f"{topic}-{words}#0",
            "prompt_id": f"{topic}-{words}",
            "messages": [{"role": "user", "content": f"Tell of {topic}. Answer in about {words} words."}],
            "text": text(topic, words),
            "target": {"value": words, "relation": "exact", "unit": "words"},
            "finish": finish,
        }
        for topic in OPENINGS
        for words in (10, 30)
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


def rows_of(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_instructions_become_rows_behind_their_token(tmp_path: Path) -> None:
    source = tmp_path / "in.jsonl"
    source.write_text(
        "".join(json.dumps({"instruction": f"Tell of {t}.", "output": text(t, 12)}) + "\n" for t in OPENINGS)
        + json.dumps({"instruction": "Tell of nothing.", "output": text("Nothing", 20)})
        + "\n"
    )
    out = lengthctl("data", "ruler", str(source), "--out", str(tmp_path / "o"), "--controls", "--json")
    assert out.exit_code == 0, out.exception
    rows = rows_of(tmp_path / "o" / "train.jsonl")
    assert len(rows) == 8  # 20 words are in no range
    assert all(row["completion"][0]["content"].startswith("[MLT:10]") for row in rows)
    assert (tmp_path / "o" / "worded.jsonl").is_file()
    again = lengthctl("data", "ruler", str(source), "--out", str(tmp_path / "o"), "--controls")
    assert again.exit_code == 0, again.exception
    assert "outside" in again.stdout
    other = lengthctl("data", "ruler", str(source), "--out", str(tmp_path / "o"), "--seed", "3")
    assert "decisions" in str(other.exception)


@pytest.mark.parametrize(("finish", "used"), [("closed", 16), ("eos", 16), ("limit", 0)])
def test_the_models_own_texts_get_the_length_that_they_have(tmp_path: Path, finish: str, used: int) -> None:
    source = tmp_path / "texts.jsonl"
    own_texts(source, finish)
    out = lengthctl("data", "ruler", str(source), "--hindsight", "--out", str(tmp_path / "o"))
    if not used:
        assert isinstance(out.exception, DataError)
        return
    assert out.exit_code == 0, out.exception
    rows = rows_of(tmp_path / "o" / "train.jsonl")
    assert len(rows) == used
    assert {row["mlt"] for row in rows} == {"[MLT:10]", "[MLT:30]"}
    assert all("words" not in row["prompt"][-1]["content"] for row in rows)


def test_pairs_prefer_each_text_under_its_own_length(tmp_path: Path) -> None:
    source = tmp_path / "texts.jsonl"
    own_texts(source)
    out = lengthctl("data", "pairs", str(source), "--mlt", "ruler", "--out", str(tmp_path / "p"), "--json")
    assert out.exit_code == 0, out.exception
    rows = rows_of(tmp_path / "p" / "train.jsonl")
    assert len(rows) == 2 * len(OPENINGS)
    for row in rows:
        lead = f"[MLT:{row['mlt']}]"
        assert row["chosen"][0]["content"].startswith(lead)
        assert row["rejected"][0]["content"].startswith(lead)


@pytest.mark.parametrize(
    ("options", "told"),
    [(["--kind", "hindsigt"], "did you mean hindsight"), (["--mlt", "rulr"], "did you mean ruler")],
)
def test_wrong_options_are_named(tmp_path: Path, options: list[str], told: str) -> None:
    own_texts(tmp_path / "texts.jsonl")
    out = lengthctl("data", "pairs", str(tmp_path / "texts.jsonl"), "--out", str(tmp_path / "p"), *options)
    assert isinstance(out.exception, ConfigError)
    assert told in str(out.exception)
    assert not (tmp_path / "p").exists()


def test_an_unusable_row_at_the_end_is_counted(tmp_path: Path) -> None:
    source = tmp_path / "in.jsonl"
    rows = [{"prompt": f"Tell of {t}.", "completion": text(t, 12)} for t in OPENINGS]
    source.write_text("".join(json.dumps(row) + "\n" for row in [*rows, {"prompt": "p", "completion": ""}]))
    out = lengthctl("data", "ruler", str(source), "--out", str(tmp_path / "o"), "--json")
    assert out.exit_code == 0, out.exception
    assert json.loads((tmp_path / "o" / "stats.json").read_text())["sources"][0]["rows"] == len(rows) + 1


def test_held_out_prompts_are_in_no_pair(tmp_path: Path) -> None:
    source, held_out = tmp_path / "texts.jsonl", tmp_path / "eval.jsonl"
    own_texts(source)
    held_out.write_text("".join(json.dumps({"prompt": f"Tell of {topic}."}) + "\n" for topic in OPENINGS[2:]))
    command = ["data", "pairs", str(source), "--mlt", "ruler", "--out", str(tmp_path / "p"), "--against", str(held_out)]
    assert lengthctl(*command).exit_code == 0
    asked = {row["prompt"][-1]["content"] for row in rows_of(tmp_path / "p" / "train.jsonl")}
    assert asked == {f"Tell of {topic}." for topic in OPENINGS[:2]}
    stats = json.loads((tmp_path / "p" / "stats.json").read_text())
    assert stats["dropped"]["reading"] == {"contaminated": 2 * len(OPENINGS[2:])}


def test_a_source_named_twice_and_a_folder_of_another_kind_are_refused(tmp_path: Path) -> None:
    own_texts(tmp_path / "t.jsonl")
    twice = lengthctl("data", "ruler", *[str(tmp_path / "t.jsonl")] * 2, "--hindsight", "--out", str(tmp_path / "o"))
    assert "named twice" in str(twice.exception)
    assert (
        lengthctl("data", "ruler", str(tmp_path / "t.jsonl"), "--hindsight", "--out", str(tmp_path / "o")).exit_code
        == 0
    )
    other = lengthctl("data", "problems", "--n", "3", "--out", str(tmp_path / "o"))
    assert "data of another kind" in str(other.exception)
    pairs = ["data", "pairs", str(tmp_path / "t.jsonl"), "--mlt", "ruler", "--out"]
    kept = (tmp_path / "o" / "train.jsonl").read_bytes()
    assert "data of another kind" in str(lengthctl(*pairs, str(tmp_path / "o")).exception)
    assert (tmp_path / "o" / "train.jsonl").read_bytes() == kept
    for _ in range(2):  # its own folder may be written anew
        assert lengthctl(*pairs, str(tmp_path / "p")).exit_code == 0
    back = lengthctl("data", "ruler", str(tmp_path / "t.jsonl"), "--hindsight", "--out", str(tmp_path / "p"))
    assert "data of another kind" in str(back.exception)
    assert lengthctl("data", "problems", "--n", "3", "--out", str(tmp_path / "q")).exit_code == 0
    assert len(rows_of(tmp_path / "q" / "train.jsonl")) == 3


def test_sets_that_are_not_asked_for_any_more_go(tmp_path: Path) -> None:
    own_texts(tmp_path / "t.jsonl")
    command = ["data", "ruler", str(tmp_path / "t.jsonl"), "--hindsight", "--out", str(tmp_path / "o")]
    assert lengthctl(*command, "--controls").exit_code == 0
    assert len(rows_of(tmp_path / "o" / "vanilla.jsonl")) == len(rows_of(tmp_path / "o" / "train.jsonl"))
    assert lengthctl(*command, "--cap", "3").exit_code == 0
    assert not (tmp_path / "o" / "vanilla.jsonl").exists()
    assert len(rows_of(tmp_path / "o" / "train.jsonl")) == 6
