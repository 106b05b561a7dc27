"""`lengthctl data pairs --kind quality`: LongWriter's pairs from files to files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from command_line import lengthctl

from lengthctl.errors import ConfigError, DataError
from lengthctl.judging import LONGBENCH_WRITE

TOPICS = ("Rain", "Snow", "Wind", "Fog")


def text(topic: str, words: int) -> str:
    body = [f"{topic}{i}" for i in range(words)]
    return " ".join(word + ("." if i % 10 == 9 or i == words - 1 else "") for i, word in enumerate(body))


def written(path: Path, **more: Any) -> Path:
    """Two texts a topic for 50 words: one of 50, one of 20 or of 110."""
    rows = [
        {
            "prompt_id": topic,
            "messages": [{"role": "user", "content": f"Tell of {topic}. Answer in about 50 words."}],
            "text": text(topic, words),
            "target": {"value": 50, "relation": "exact", "unit": "words"},
            "finish": "eos",
            **more,
        }
        for place, topic in enumerate(TOPICS)
        for words in (50, 20 if place % 2 else 110)
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def rows_of(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "train.jsonl").read_text(encoding="utf-8").splitlines()]


def test_the_text_that_keeps_its_length_is_chosen(tmp_path: Path) -> None:
    source = written(tmp_path / "t.jsonl")
    out = lengthctl("data", "pairs", str(source), "--kind", "quality", "--out", str(tmp_path / "p"), "--json")
    assert out.exit_code == 0, out.exception
    rows = rows_of(tmp_path / "p")
    assert {row["prompt_id"] for row in rows} <= set(TOPICS)
    assert len(rows) >= 2
    assert all(row["length_chosen"] == 50 and row["kind"] == "score" for row in rows)
    lean = sum((row["length_chosen"] - row["length_rejected"]) / 50 for row in rows) / len(rows)
    assert abs(lean) <= 0.1 + 1e-9
    assert "of the target on average" in out.stderr


def test_the_grades_of_a_judge_count_and_are_kept(tmp_path: Path) -> None:
    source = written(tmp_path / "t.jsonl")
    bad, good = (json.dumps(dict.fromkeys(LONGBENCH_WRITE.names, grade)) for grade in (1, 5))
    script = tmp_path / "verdicts-script.jsonl"
    script.write_text("".join(json.dumps({"id": str(i), "texts": [bad if i % 2 else good]}) + "\n" for i in range(8)))
    recipe = tmp_path / "judge.yaml"
    recipe.write_text(
        f"rewards: [{{name: log_ratio}}]\njudge: {{backend: scripted, script: {json.dumps(str(script))}}}\n"
    )
    command = ["data", "pairs", str(source), "--kind", "quality", "--out", str(tmp_path / "p"), "--judge", str(recipe)]
    out = lengthctl(*command)
    assert out.exit_code == 0, out.exception
    assert "verdicts: 8 of 8 ok" in out.stderr
    # S_l is 1 for 50 words, 0.6 for 110 and 0.25 for 20; S_q is 1 for the first text of a topic, 0 for the other
    assert {row["margin"] for row in rows_of(tmp_path / "p")} == {(1 + 1) / 2 - 0.6 / 2, (1 + 1) / 2 - 0.25 / 2}
    kept = (tmp_path / "p" / "verdicts.jsonl").read_bytes()
    again = lengthctl(*command)
    assert "8 from disk" in again.stderr
    assert (tmp_path / "p" / "verdicts.jsonl").read_bytes() == kept


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--kind", "qualiti"], "did you mean quality"),
        (["--kind", "hindsight", "--judge", "x"], "has no effect with --kind hindsight"),
        (["--kind", "quality", "--judge", "quickstart"], "who grades the texts"),
    ],
)
def test_wrong_options_are_named(tmp_path: Path, options: list[str], told: str) -> None:
    out = lengthctl("data", "pairs", str(written(tmp_path / "t.jsonl")), "--out", str(tmp_path / "p"), *options)
    assert isinstance(out.exception, ConfigError)
    assert told in str(out.exception)
    assert not (tmp_path / "p" / "train.jsonl").exists()


def test_texts_that_were_cut_make_no_pair(tmp_path: Path) -> None:
    source = written(tmp_path / "t.jsonl", finish="limit")
    out = lengthctl("data", "pairs", str(source), "--kind", "quality", "--out", str(tmp_path / "p"))
    assert isinstance(out.exception, DataError)
    assert "unfinished" in str(out.exception)
