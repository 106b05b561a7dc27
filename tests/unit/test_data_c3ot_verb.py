"""`lengthctl data c3ot` from the command line: equations without a model, an endpoint, dry runs, bad input."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from command_line import lengthctl
from flaky_server import Answer, FlakyServer, completion

from lengthctl.config import load_config
from lengthctl.errors import ConfigError, DataError

LONG = "Let me see. I see that 12 + 5 = 17, and then I also see that 17 * 2 = 34, and that is all there is."


def source(path: Path, completion: str = f"{LONG}\n#### 34") -> str:
    rows = [{"id": name, "prompt": f"{name}?", "completion": completion} for name in ("a", "b", "c")]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return str(path)


def test_equations_ask_no_model(tmp_path: Path) -> None:
    rows = source(tmp_path / "in.jsonl")
    out = lengthctl("data", "c3ot", rows, "--compressor", "equations", "--out", str(tmp_path / "o"), "--json")
    assert out.exit_code == 0, out.exception
    stats = json.loads(out.stdout)
    assert stats["measured"]["rows_by_condition"] == {"long": 3, "short": 3}
    assert stats["measured"]["length_unit"] == "characters"
    assert not (tmp_path / "o" / "steps.jsonl").exists()
    again = lengthctl("data", "c3ot", rows, "--compressor", "equations", "--out", str(tmp_path / "o"))
    assert again.exit_code == 0, again.exception
    assert "train.jsonl" in again.stdout


def test_an_endpoint_shortens(tmp_path: Path) -> None:
    rows = source(tmp_path / "in.jsonl")
    with FlakyServer([Answer(body=completion("12+5=17, 17*2=34\n#### 34"))]) as server:
        command = ["data", "c3ot", rows, "--out", str(tmp_path / "o"), "--json", "--compressor", "endpoint"]
        command += ["--endpoint", server.url, "--model", "m", "attempts=1", "most_share=0.5"]
        out = lengthctl(*command)
        assert out.exit_code == 0, out.exception
        assert len(server.bodies) == 3
        assert lengthctl(*command).exit_code == 0
        assert len(server.bodies) == 3
    stats = json.loads(out.stdout)
    assert stats["measured"]["rows_by_condition"] == {"long": 3, "short": 3}
    assert stats["settings"]["most_share"] == 0.5


def test_dry_runs_ask_nobody(tmp_path: Path) -> None:
    rows = source(tmp_path / "in.jsonl")
    command = ["data", "c3ot", rows, "--out", str(tmp_path / "o"), "--dry-run"]
    told = lengthctl(*command, "--compressor", "endpoint", "--endpoint", "http://127.0.0.1:9/v1", "--model", "m")
    assert told.exit_code == 0, told.exception
    assert "3 documents, 3 calls" in told.stdout
    assert "17 * 2 = 34" in told.stdout
    counted = json.loads(lengthctl(*command, "--compressor", "equations", "--json").stdout)
    assert (counted["calls"], counted["text"]) == (0, "3 rows with reasoning; no model is asked")
    assert not (tmp_path / "o").exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--compressor", "equation"], "did you mean equations"),
        (["--compressor", "endpoint"], "--endpoint"),
        (["--compressor", "model", "--endpoint", "http://127.0.0.1:9/v1"], "has no effect with --compressor model"),
        (["--compressor", "equations", "--model", "m"], "which asks no model"),
        (["--compressor", "equations", "--ablation", "levels"], "levels needs a model"),
        (["--compressor", "equations", "judge=true"], "needs a model"),
        (["--compressor", "equations", "--ablation", "short"], "did you mean short_only"),
        (["--compressor", "equations", "atempts=2"], "did you mean attempts"),
        (["--compressor", "equations", "most_share=2"], "most_share"),
    ],
)
def test_options_that_do_not_go_together(tmp_path: Path, options: list[str], message: str) -> None:
    out = lengthctl("data", "c3ot", source(tmp_path / "in.jsonl"), "--out", str(tmp_path / "o"), *options)
    assert isinstance(out.exception, ConfigError)
    assert message in str(out.exception)
    assert not (tmp_path / "o").exists()


@pytest.mark.parametrize("named", ["train.jsonl", "../data", "."])
def test_a_source_is_not_overwritten_by_its_result(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, named: str) -> None:
    (tmp_path / "data").mkdir()
    source(tmp_path / "data" / "train.jsonl")
    kept = (tmp_path / "data" / "train.jsonl").read_bytes()
    monkeypatch.chdir(tmp_path / "data")
    out = lengthctl("data", "c3ot", named, "--compressor", "equations", "--out", ".")
    assert isinstance(out.exception, ConfigError)
    assert f"the result would take the place of {named}" in str(out.exception)
    assert (tmp_path / "data" / "train.jsonl").read_bytes() == kept


@pytest.mark.parametrize(
    ("completion", "reason"),
    [
        ("#### 34", "no_reasoning 3"),
        ("<think>17 * 2 = 34 #### 34", "open_reasoning 3"),
        ("It is thirty-four.", "unreadable_answer 3"),
    ],
)
def test_data_without_reasoning_are_refused_in_a_sentence(tmp_path: Path, completion: str, reason: str) -> None:
    rows = source(tmp_path / "in.jsonl", completion)
    out = lengthctl("data", "c3ot", rows, "--compressor", "equations", "--out", str(tmp_path / "o"))
    assert isinstance(out.exception, DataError)
    assert reason in str(out.exception)
    assert not (tmp_path / "o").exists()


def test_the_recipe_starts_from_the_long_base_and_reads_the_data() -> None:
    config = load_config(Path(__file__).parents[2] / "configs" / "c3ot.yaml")
    assert config.model.name == "runs/arithmetic-base/base-long/model"
    assert config.data is not None
    assert config.data.source == "runs/c3ot-data/train.jsonl"
    assert config.train.method == "sft"
