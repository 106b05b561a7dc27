"""Rows of a supervised run: tokens in front, what is dropped and counted, what is refused, a resume with other data."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from lengthctl.config import Config, DataConfig, ModelConfig
from lengthctl.config.sections import TrainConfig
from lengthctl.errors import DataError, ModelError, RunFolderError
from lengthctl.mlt import RULER_TABLE, MltRecord
from lengthctl.models import BUNDLED, LoadedTokenizer, load_tokenizer
from lengthctl.pipelines.supervised_inputs import TrainData, load_pairs, load_train_data
from lengthctl.pipelines.supervised_trainers import check_data
from lengthctl.rundir import RunFolder
from lengthctl.train.supervised_rows import CompletionCollator

IDS = {token.name: 900 + i for i, token in enumerate(RULER_TABLE.tokens)}


@pytest.fixture(scope="module")
def tokenizer() -> LoadedTokenizer:
    from lengthctl.config import ModelConfig

    return load_tokenizer(ModelConfig(name=BUNDLED, chat_template="chatml"))


def words(count: int) -> str:
    return " ".join(["word"] * count) + "."


def load(
    folder: Path, tokenizer: LoadedTokenizer, rows: Sequence[dict[str, Any]], limit: int | None = None, **data: Any
) -> TrainData:
    source = folder / "data.jsonl"
    source.write_text("".join(json.dumps(row) + "\n" for row in rows))
    config = Config(data=DataConfig(source=str(source), **data))  # type: ignore[call-arg]
    return load_train_data(config, RunFolder(folder, None), tokenizer, IDS if data.get("mlt") else {}, limit)


def test_each_text_gets_its_token_and_what_has_none_is_counted(tmp_path: Path, tokenizer: LoadedTokenizer) -> None:
    rows = [
        {"prompt": "a", "completion": words(10)},
        {"prompt": "b", "completion": "[MLT:30]" + words(10)},
        {"prompt": "c", "completion": words(20)},
        {"prompt": "What is [MLT:30]?", "completion": words(10)},
    ]
    found = load(tmp_path, tokenizer, rows, mlt="ruler")
    assert [row["completion_ids"][0] for row in found.rows] == [IDS["10"], IDS["30"]]
    assert found.counts["mlt 10"] == found.counts["mlt 30"] == 1
    assert found.counts["dropped: no token holds its length"] == 1
    assert found.counts["dropped: the prompt holds a meta length token"] == 1
    assert found.counts["tokens"] == sum(len(r["prompt_ids"]) + len(r["completion_ids"]) for r in found.rows)


@pytest.mark.parametrize("mlt", [None, "ruler"])
def test_a_token_that_the_model_does_not_have_is_refused(
    tmp_path: Path, tokenizer: LoadedTokenizer, mlt: str | None
) -> None:
    name = "[MLT:30]" if mlt is None else "[MLT:200]"
    with pytest.raises(DataError, match=r"\[MLT:\d+\] is no token of this model"):
        load(tmp_path, tokenizer, [{"prompt": "b", "completion": name + words(10)}], mlt=mlt)
    if mlt is None:
        record = MltRecord(RULER_TABLE, tuple(IDS.values()), "0")
        tuned = replace(tokenizer, mlt=record)
        assert load(tmp_path, tuned, [{"prompt": "b", "completion": name + words(10)}]).counts["rows"] == 1


def test_rows_that_are_too_long_are_dropped_never_cut(tmp_path: Path, tokenizer: LoadedTokenizer) -> None:
    found = load(tmp_path, tokenizer, [{"prompt": "a", "completion": words(n)} for n in (5, 50)], limit=30)
    assert found.counts["rows"] == 1
    assert found.counts["dropped: more than 30 tokens"] == 1
    with pytest.raises(DataError, match=r"no row is left to learn from .dropped: more than 3 tokens 2"):
        load(tmp_path, tokenizer, [{"prompt": "a", "completion": words(n)} for n in (5, 50)], limit=3)


def test_raw_text_is_learned_whole_or_in_pieces_of_equal_length(tmp_path: Path, tokenizer: LoadedTokenizer) -> None:
    rows = [{"text": words(60)}, {"text": words(20)}]
    (tmp_path / "a").mkdir()
    whole = load(tmp_path / "a", tokenizer, rows, limit=40, form="text")
    assert [len(r["prompt_ids"]) + len(r["completion_ids"]) for r in whole.rows] == [40, 22, 22]
    (tmp_path / "b").mkdir()
    pieces = load(tmp_path / "b", tokenizer, rows, limit=40, form="text", pieces=True, shortest_piece=3)
    assert [1 + len(r["completion_ids"]) for r in pieces.rows] == [33, 17, 9, 17]
    assert pieces.counts["dropped tokens: no piece holds them"] == 3 + 5
    with pytest.raises(DataError, match="no `text`"):
        load(tmp_path, tokenizer, [{"prompt": "a"}], form="text")


def test_a_resumed_run_finds_its_data(tmp_path: Path, tokenizer: LoadedTokenizer) -> None:
    rows = [{"prompt": "a", "completion": words(10)}]
    load(tmp_path, tokenizer, rows)
    load(tmp_path, tokenizer, rows)
    with pytest.raises(RunFolderError, match="began with other data"):
        load(tmp_path, tokenizer, [{"prompt": "b", "completion": words(10)}])


def test_pairs_are_read_and_their_tokens_known(tmp_path: Path, tokenizer: LoadedTokenizer) -> None:
    def pair(lead: str) -> dict[str, Any]:
        prompt = [{"role": "user", "content": "a"}]
        sides = {name: [{"role": "assistant", "content": lead + name}] for name in ("chosen", "rejected")}
        return {"prompt": prompt, **sides}

    source = tmp_path / "pairs.jsonl"
    config = Config(data=DataConfig(source=str(source)))  # type: ignore[call-arg]
    source.write_text(json.dumps(pair("")) + "\n")
    assert load_pairs(config, RunFolder(tmp_path, None), tokenizer).counts == {"pairs": 1}
    source.write_text(json.dumps(pair("[MLT:30]")) + "\n")
    with pytest.raises(DataError, match="is no token of this model"):
        load_pairs(config, RunFolder(tmp_path, None), tokenizer)
    source.write_text(json.dumps({"prompt": "a", "chosen": "b", "rejected": "c"}) + "\n")
    with pytest.raises(DataError, match="no messages in prompt, chosen, rejected"):
        load_pairs(config, RunFolder(tmp_path, None), tokenizer)


def test_the_loss_is_heavier_where_a_text_could_end(tmp_path: Path, tokenizer: LoadedTokenizer) -> None:
    rows = [{"prompt": "a", "completion": "One two. Three."}, {"prompt": "b", "completion": "Four."}]
    source = tmp_path / "data.jsonl"
    source.write_text("".join(json.dumps(row) + "\n" for row in rows))
    base = Config(data=DataConfig(source=str(source)))  # type: ignore[call-arg]
    config = base.model_copy(update={"train": base.train.model_copy(update={"end_weight": 5.0})})
    found = load_train_data(config, RunFolder(tmp_path, None), tokenizer, {}, None).rows
    weights = CompletionCollator(end_weight=5.0)(list(found))["loss_weights"]
    for row, row_weights in zip(found, weights.tolist(), strict=True):
        expected = [5.0 if i in row["end_places"] else 1.0 for i in range(len(row["completion_ids"]))]
        assert row_weights[: len(expected)] == expected
        assert not any(row_weights[len(expected) :])
    assert [len(row["end_places"]) for row in found] == [2, 1]


def test_a_template_that_cannot_lead_with_a_token_is_refused_with_the_data(tmp_path: Path) -> None:
    (tmp_path / "data.jsonl").write_text(json.dumps({"prompt": "a", "completion": words(10)}) + "\n")
    trl = pytest.importorskip("trl", reason="the template is one of its own")
    reasoning = Path(trl.__file__).parent / "chat_templates" / "qwen3.jinja"

    def check(template: str) -> TrainData:
        config = Config(
            model=ModelConfig(name=BUNDLED, chat_template=template),  # type: ignore[call-arg]
            data=DataConfig(source=str(tmp_path / "data.jsonl"), mlt="ruler"),  # type: ignore[call-arg]
            train=TrainConfig(method="sft"),  # type: ignore[call-arg]
        )
        return check_data(config, RunFolder(tmp_path, None))

    assert check("chatml").counts["rows"] == 1
    with pytest.raises(ModelError, match="without reasoning"):
        check(str(reasoning))
