"""Parts of hub datasets, from folders laid out as those: subsets, splits, columns; what is not there is told."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from dataset_folder import write_dataset_folder
from typer.testing import CliRunner, Result

from lengthctl.cli import app
from lengthctl.config import Config, DataConfig, PromptsConfig, load_config
from lengthctl.data_gen.instruction_data import Reading, read_instructions, read_rows
from lengthctl.errors import ConfigError, DataError
from lengthctl.problem_sources import load_problems
from lengthctl.prompt_sources import load_seed_prompts
from lengthctl.row_columns import Columns

RECIPE = Path(__file__).parents[2] / "configs" / "ruler_dpo.yaml"


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path / "cache")
    monkeypatch.setattr("datasets.config.HF_MODULES_CACHE", str(tmp_path / "modules"))


@pytest.fixture
def folder(tmp_path: Path) -> str:
    return write_dataset_folder(tmp_path / "set")


@pytest.mark.parametrize(("subset", "split"), [("easy", "train"), ("easy", "test"), ("hard", "train")])
def test_a_part_is_read(folder: str, subset: str, split: str) -> None:
    part = f"{subset}/{split}"
    assert [row["part"] for _, row in read_rows(folder, Reading(subset, split))] == [part]
    assert [p.columns["part"] for p in load_problems("gsm8k", folder, subset=subset, split=split)] == [part]
    prompts = PromptsConfig(source="x", eval_source=folder, subset=subset, split=split, column="question")  # type: ignore[call-arg]
    assert [seed.columns["part"] for seed in load_seed_prompts(prompts, "eval")] == [part]


@pytest.mark.parametrize(
    ("reading", "message"),
    [
        (Reading("medium"), r"set has no subset 'medium': Name one that it has: easy, hard"),
        (Reading(), r"set has several subsets: Name one of them: easy, hard"),
        (Reading("easy", "dev"), r"set \(easy\) has no split 'dev': Name one that it has: train, test"),
        (Reading("hard", "test[:1]"), r"set \(hard\) has no split 'test': Name one that it has: train"),
    ],
)
def test_a_part_that_is_not_there(folder: str, reading: Reading, message: str) -> None:
    for read in (read_rows, read_instructions):
        with pytest.raises(DataError) as caught:
            list(read(folder, reading))
        told = f"{caught.value.args[0]}: {caught.value.remedy}"
        assert re.search(message, told), told


def test_a_folder_that_is_none(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="cannot be read"):
        list(read_rows(str(tmp_path / "nothing")))


def test_columns_by_their_names(folder: str) -> None:
    (row,) = read_instructions(folder, Reading("easy", "test", Columns("question", "part")))
    assert (row.messages[0]["content"], row.completion) == ("Why 0? easy/test", "easy/test")
    with pytest.raises(DataError, match="no column 'questions'; did you mean question") as caught:
        list(read_instructions(folder, Reading("easy", columns=Columns("questions", "part"))))
    assert caught.value.remedy == "It has question, answer, part"


def test_a_conversation_under_another_name(tmp_path: Path) -> None:
    turns = [{"from": "human", "value": "Ask"}, {"from": "gpt", "value": "Say"}]
    folder = write_dataset_folder(tmp_path / "set", {"dialogue": turns, "prompt": "other"})
    (row,) = read_instructions(folder, Reading("hard", columns=Columns(messages="dialogue")))
    assert (row.messages[0]["content"], row.completion) == ("Ask", "Say")


@pytest.mark.parametrize(
    "given", [{}, {"prompt": "a"}, {"messages": "a", "prompt": "b"}, {"messages": "a", "system": "b"}, {"promt": "a"}]
)
def test_columns_that_are_none(given: dict[str, str]) -> None:
    with pytest.raises(ValueError, match=r"columns name messages, or|no 'promt'; did you mean prompt"):
        Columns.parse(given)


def test_the_config_names_them(folder: str) -> None:
    columns = {"prompt": "question", "completion": "answer"}
    data = DataConfig(source=folder, subset="easy", split="test", columns=columns)  # type: ignore[call-arg]
    assert data.named_columns == Columns("question", "answer")
    assert Config(data=data).model_dump(mode="json")["data"]["columns"] == columns  # type: ignore[call-arg]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"subset": "easy"}, "subset has no effect: a.jsonl is no hub dataset"),
        ({"split": "test"}, "split has no effect"),
        ({"columns": {"prompt": "a", "completion": "b"}, "form": "text"}, "columns have no effect with form = text"),
        ({"columns": {"prompt": "a"}}, "columns name messages, or prompt and completion"),
    ],
)
def test_what_has_no_effect_in_a_config(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        DataConfig(source="a.jsonl", **changes)


def test_columns_of_pairs_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"data.columns +has no effect with train.method = dpo"):
        load_config(RECIPE, ["data.columns={prompt: a, completion: b}"])


def run(*words: str) -> Result:
    return CliRunner().invoke(app, ["data", "ruler", *words])


def test_data_ruler_reads_a_part(tmp_path: Path) -> None:
    text = "Rain is water that falls from the clouds to the ground."
    folder = write_dataset_folder(tmp_path / "set", {"q": "Tell me about rain.", "said": text})
    part = ["--subset", "easy", "--split", "test", "--columns", "prompt=q,completion=said"]
    out = run(folder, *part, "--table", "fm", "--out", str(tmp_path / "out"), "--json")
    assert out.exit_code == 0, out.output
    (row,) = map(json.loads, (tmp_path / "out" / "train.jsonl").read_text().splitlines())
    assert row["completion"][0]["content"] == f"[MLT:10]{text}"
    wrong = run(folder, "--subset", "soft", "--out", str(tmp_path / "no")).exception
    assert isinstance(wrong, DataError)
    assert "has no subset 'soft'" in str(wrong)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--subset", "easy"], "has no effect: no source is a hub dataset"),
        (["--columns", "prompt=a"], "columns name messages"),
        (["--columns", "prompt=a,completion=b", "--hindsight"], "has no effect with --hindsight"),
    ],
)
def test_options_without_effect(tmp_path: Path, options: list[str], message: str) -> None:
    wrong = run("a.jsonl", *options, "--out", str(tmp_path / "out")).exception
    assert isinstance(wrong, ConfigError)
    assert f"{options[0]}  " in str(wrong)
    assert message in str(wrong)
