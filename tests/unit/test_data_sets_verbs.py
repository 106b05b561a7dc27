"""`lengthctl data constrain`, `curate` and `mix`: from files to folders, with their faults told."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from command_line import lengthctl

from lengthctl.errors import ConfigError, DataError
from lengthctl.length import Target

TOPICS = ("rain", "snow", "wind", "fog", "hail", "frost")


def prose(topic: str, words: int) -> str:
    body = [f"{topic}{i}" for i in range(words)]
    return " ".join(word + ("." if i % 10 == 9 or i == words - 1 else "") for i, word in enumerate(body))


def write(path: Path, rows: list[dict[str, Any]]) -> str:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return str(path)


def rows_of(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "train.jsonl").read_text(encoding="utf-8").splitlines()]


def texts(path: Path, words: int = 120, demand: str = "") -> str:
    """A text a topic."""
    rows = [
        {"id": t, "prompt": f"Explain the {t} that falls on the {t} hills{demand}.", "completion": prose(t, words)}
        for t in TOPICS
    ]
    return write(path, rows)


def test_constrain_asks_for_what_is_there(tmp_path: Path) -> None:
    source = texts(tmp_path / "in.jsonl")
    command = ["data", "constrain", source, "--out", str(tmp_path / "o"), "--unit", "characters", "--json"]
    out = lengthctl(*command, "min_length=50", "kinds={about: 1}")
    assert out.exit_code == 0, out.exception
    stats = json.loads(out.stdout)
    assert stats["used"] == len(TOPICS)
    for row in rows_of(tmp_path / "o"):
        target = Target.parse(row["target"])
        assert (target.relation, target.unit) == ("about", "characters")
        assert len(row["completion"][0]["content"]) in target.band


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--unit", "wrds"], "did you mean words"),
        (["--unit", "tokens"], "--model  is needed"),
        (["min_lenght=3"], "did you mean min_length"),
        (["seed=-1"], "seed is at least 0"),
        (["model.name=x"], "sets a recipe"),
    ],
)
def test_faults_of_constrain(tmp_path: Path, options: list[str], told: str) -> None:
    source = texts(tmp_path / "in.jsonl")
    out = lengthctl("data", "constrain", source, "--out", str(tmp_path / "o"), *options)
    assert isinstance(out.exception, ConfigError)
    assert told in str(out.exception)
    assert not (tmp_path / "o").exists()


def test_curate_keeps_those_that_have_the_length_they_state(tmp_path: Path) -> None:
    good = texts(tmp_path / "good.jsonl", 120, " in 120 words")
    short = texts(tmp_path / "short.jsonl", 60, " in 900 words")
    out = lengthctl("data", "curate", good, short, "--out", str(tmp_path / "o"), "--json", "--size", "4")
    assert out.exit_code == 0, out.exception
    rows = rows_of(tmp_path / "o")
    assert len(rows) == 4
    assert {row["source"] for row in rows} == {good}
    stats = json.loads(out.stdout)
    dropped = {Path(s["name"]).stem: s["dropped"] for s in stats["sources"]}
    assert dropped["short"] == {"length_missed": len(TOPICS)}
    assert dropped["good"] == {"over_quota": 2}


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--lengths", "som"], "lengths"),
        (["min_s_l=3"], "min_s_l and min_quality lie in"),
        (["--judge", "quickstart"], "who grades the texts"),
    ],
)
def test_faults_of_curate(tmp_path: Path, options: list[str], told: str) -> None:
    source = texts(tmp_path / "in.jsonl")
    out = lengthctl("data", "curate", source, "--out", str(tmp_path / "o"), *options)
    assert isinstance(out.exception, ConfigError)
    assert told in str(out.exception)


def test_mix_takes_general_rows_by_the_ratio(tmp_path: Path) -> None:
    long = texts(tmp_path / "long.jsonl")
    general = write(
        tmp_path / "general.jsonl",
        [{"instruction": f"Add {i} and {i}.", "output": f"It is {2 * i}."} for i in range(50)],
    )
    command = ["data", "mix", long, "--out", str(tmp_path / "o")]
    out = lengthctl(*command, "--general", general, "--ratio", "2", "--seed", "1")
    assert out.exit_code == 0, out.exception
    assert [row["part"] for row in rows_of(tmp_path / "o")].count("general") == 2 * len(TOPICS)
    assert "Long texts mixed with general ones" in out.stdout
    assert out.stdout.rstrip().endswith("train.jsonl")
    held_out = write(
        tmp_path / "eval.jsonl", [{"prompt": f"Explain the {TOPICS[0]} that falls on the {TOPICS[0]} hills."}]
    )
    alone = lengthctl("data", "mix", long, "--out", str(tmp_path / "p"), "--ratio", "0", "--against", held_out)
    assert alone.exit_code == 0, alone.exception
    assert TOPICS[0] not in {row["id"] for row in rows_of(tmp_path / "p")}


@pytest.mark.parametrize(
    ("arguments", "told"),
    [(["L"], "--general  is missing"), (["L", "L", "--ratio", "0"], "is named twice")],
)
def test_faults_of_mix(tmp_path: Path, arguments: list[str], told: str) -> None:
    long = texts(tmp_path / "long.jsonl")
    out = lengthctl("data", "mix", *(long if a == "L" else a for a in arguments), "--out", str(tmp_path / "o"))
    assert isinstance(out.exception, ConfigError)
    assert told in str(out.exception)


def test_sources_that_are_none_are_told(tmp_path: Path) -> None:
    for verb in ("constrain", "curate"):
        missing = lengthctl("data", verb, "--out", str(tmp_path / "o"), "a=1")
        assert "SOURCE  is missing" in str(missing.exception)
        gone = lengthctl("data", verb, str(tmp_path / "gone.jsonl"), "--out", str(tmp_path / "o"))
        assert isinstance(gone.exception, DataError)
