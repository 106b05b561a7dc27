"""What a supervised run trains on: checked without the model, and used with it as it was checked."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from byte_model import save_byte_model

from lengthctl.config import Config, DataConfig, ModelConfig
from lengthctl.config.sections import TrainConfig
from lengthctl.errors import RunFolderError
from lengthctl.pipelines import supervised_trainers
from lengthctl.pipelines.supervised_trainers import check_data, prepare
from lengthctl.rundir import RunFolder

TRAINER = {"max_steps": 1, "bf16": False, "save_steps": 1}


def config(folder: Path, completion: str = "It rains. It is wet.", mlt: str | None = "fm") -> Config:
    file = folder / "data.jsonl"
    file.write_text(json.dumps({"prompt": "Tell me about rain.", "completion": completion}) + "\n")
    data = DataConfig(source=str(file), mlt=mlt)  # type: ignore[call-arg]
    model = ModelConfig(name=str(save_byte_model(folder / "base")))  # type: ignore[call-arg]
    train = TrainConfig(method="sft", end_weight=2.0)  # type: ignore[call-arg]
    return Config(model=model, data=data, train=train, trainer=TRAINER)  # type: ignore[call-arg]


@pytest.mark.parametrize("mlt", ["fm", None])
def test_data_checked_without_the_model_are_those_that_it_would_load(tmp_path: Path, mlt: str | None) -> None:
    given, run = config(tmp_path, mlt=mlt), RunFolder(tmp_path, None)
    checked = check_data(given, run)
    loaded = prepare(given, run, print)  # as a trainer process does that was handed none
    assert loaded.data.rows.to_list() == checked.rows.to_list()
    assert loaded.data.counts == checked.counts
    if mlt is not None:
        assert loaded.tokenizer.mlt is not None
        assert checked.rows[0]["completion_ids"][0] == loaded.tokenizer.mlt.ids[0]


def test_data_that_were_checked_are_not_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given, run = config(tmp_path), RunFolder(tmp_path, None)
    checked = check_data(given, run)
    monkeypatch.setattr(supervised_trainers, "load_train_data", lambda *_: pytest.fail("read twice"))
    prepared = prepare(given, run, print, checked)
    assert prepared.build([], None).train_dataset["completion_ids"] == checked.rows["completion_ids"]


def test_a_resumed_run_finds_its_data_before_anything_is_measured(tmp_path: Path) -> None:
    run = RunFolder(tmp_path, None)
    check_data(config(tmp_path), run)
    with pytest.raises(RunFolderError, match="began with other data"):
        check_data(config(tmp_path, "It snows."), run)
