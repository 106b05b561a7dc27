"""An adapter is merged into the base that it was trained on, wherever that lies, and into no other."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from byte_model import byte_model, byte_tokenizer

from lengthctl.adapter_base import ADAPTER_BASE_FILE, AdapterBase
from lengthctl.config import ModelConfig, load_config
from lengthctl.config.inputs import LoraSection
from lengthctl.errors import ModelError
from lengthctl.mlt import MltTable
from lengthctl.mlt_install import install
from lengthctl.models import LoadedTokenizer, check_base, load_policy
from lengthctl.pipelines.publish import export_model
from lengthctl.rollout import open as opening
from lengthctl.rollout.weights import checkpoint_state
from lengthctl.rundir import RunFolder

TABLE = MltTable.parse({"tokens": [10, 30]})
RECIPE = Path(__file__).parents[2] / "configs" / "quickstart.yaml"


def save_base(folder: Path, *, shard: str | None = None, **settings: Any) -> Path:
    """A base with its tokenizer."""
    model = byte_model(**{"tied": True, **settings})
    model.save_pretrained(folder, **({} if shard is None else {"max_shard_size": shard}))
    byte_tokenizer().save_pretrained(folder)
    return folder


def save_adapter(base: Path, folder: Path, *, table: MltTable | None = None, merged: str | None = None) -> Path:
    """Random low-rank layers on a base, with the file that names it."""
    tokenizer = byte_tokenizer()
    extend: Callable[[Any], Any] | None = None if table is None else lambda model: install(model, tokenizer, table)
    model = load_policy(ModelConfig(name=str(base), lora=LoraSection.model_validate({"r": 2})), extend)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "lora_B" in name:
                parameter.normal_()
    model.save_pretrained(folder)
    AdapterBase.of(str(base), str(base), tokenizer, merged).write(folder)
    return folder


@pytest.fixture
def base(tmp_path: Path) -> Path:
    return save_base(tmp_path / "base")


@pytest.fixture
def adapter(base: Path, tmp_path: Path) -> Path:
    return save_adapter(base, tmp_path / "adapter")


def check(base: Path, adapter: Path) -> list[str]:
    told: list[str] = []
    check_base(ModelConfig(name=str(base), adapter=str(adapter)), told.append)
    return told


def test_its_own_base_passes_and_is_changed_by_it(base: Path, adapter: Path) -> None:
    assert check(base, adapter) == []
    plain = load_policy(ModelConfig(name=str(base))).state_dict()
    merged = load_policy(ModelConfig(name=str(base), adapter=str(adapter))).state_dict()
    assert any(not torch.equal(plain[name], merged[name]) for name in plain)


@pytest.mark.parametrize("settings", [{}, {"dtype": torch.bfloat16}, {"shard": "20KB"}], ids=["copy", "bf16", "shards"])
def test_the_base_passes_from_elsewhere_in_another_form(adapter: Path, tmp_path: Path, settings: Any) -> None:
    again = save_base(tmp_path / "again", **settings)
    assert len(list(again.glob("*.safetensors"))) > (1 if "shard" in settings else 0)
    assert check(again, adapter) == []


def test_a_base_with_more_tokens_passes(adapter: Path, tmp_path: Path) -> None:
    for rows in (259, 320):
        folder, model, tokenizer = tmp_path / str(rows), byte_model(tied=True, rows=320), byte_tokenizer()
        install(model, tokenizer, TABLE)
        model.resize_token_embeddings(rows + 61)
        model.save_pretrained(folder)
        tokenizer.save_pretrained(folder)
        assert check(folder, adapter) == []


@pytest.mark.parametrize("tied", [True, False])
def test_a_sister_of_the_same_shapes_is_refused(tmp_path: Path, tied: bool) -> None:
    base, sister = save_base(tmp_path / "base", tied=tied), save_base(tmp_path / "sister", tied=tied, seed=1)
    adapter = save_adapter(base, tmp_path / "adapter")
    with pytest.raises(
        ModelError, match=r"trained on .*/base, and model\.name = .*/sister has other weights\. Set"
    ) as e:
        check(sister, adapter)
    assert "\n" not in str(e.value)
    with pytest.raises(ModelError, match="has other weights"):
        load_policy(ModelConfig(name=str(sister), adapter=str(adapter)))


def test_a_base_that_was_trained_on_a_little_is_refused(base: Path, adapter: Path, tmp_path: Path) -> None:
    model = byte_model(tied=True)
    with torch.no_grad():
        model.model.layers[1].mlp.up_proj.weight.mul_(1.01)
    model.save_pretrained(tmp_path / "tuned")
    byte_tokenizer().save_pretrained(tmp_path / "tuned")
    with pytest.raises(ModelError, match="has other weights"):
        check(tmp_path / "tuned", adapter)


def test_another_vocabulary_is_refused(base: Path, adapter: Path) -> None:
    file = base / "tokenizer.json"
    document = json.loads(file.read_text())
    words = document["model"]["vocab"]
    words["a"], words["b"] = words["b"], words["a"]
    file.write_text(json.dumps(document))
    with pytest.raises(ModelError, match="has another vocabulary"):
        check(base, adapter)


def test_tokens_that_training_added_are_needed(base: Path, tmp_path: Path) -> None:
    adapter = save_adapter(base, tmp_path / "adapter", table=TABLE)
    with pytest.raises(ModelError, match=r"with 2 tokens added, .* does not know \[MLT:10\]\. Take the model folder"):
        check(base, adapter)
    extended, tokenizer = byte_model(tied=True), byte_tokenizer()
    install(extended, tokenizer, TABLE)
    extended.save_pretrained(tmp_path / "extended")
    tokenizer.save_pretrained(tmp_path / "extended")
    assert check(tmp_path / "extended", adapter) == []
    load_policy(ModelConfig(name=str(tmp_path / "extended"), adapter=str(adapter)))


def test_an_adapter_on_a_merged_one_has_no_base_to_load(base: Path, adapter: Path, tmp_path: Path) -> None:
    second = save_adapter(base, tmp_path / "second", merged=str(adapter))
    with pytest.raises(ModelError, match=r"with .*/adapter merged in, and model\.name = .* is without it"):
        check(base, second)


def test_no_engine_starts_with_a_wrong_base(adapter: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sister = save_base(tmp_path / "sister", seed=1)
    found = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *more: name == "vllm" or found(name, *more))
    monkeypatch.setattr(opening, "connect", lambda **_: pytest.fail("an engine starts"))
    config = load_config(RECIPE, [f"model.name={sister}", f"model.adapter={adapter}"])
    tokenizer = LoadedTokenizer(byte_tokenizer(), (0,))
    with pytest.raises(ModelError, match="has other weights"):
        opening.open_pool(config, tokenizer, context_tokens=8)


def test_a_run_says_what_its_adapter_was_trained_on(
    base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    config = load_config(RECIPE, ["model.name=base", "model.lora={r: 2}", "run.dir=runs"])
    model, run = load_policy(config.model), RunFolder.create(config, "lora")
    trainer = SimpleNamespace(model=model, accelerator=SimpleNamespace(unwrap_model=lambda model: model))
    export_model(config, run, trainer, LoadedTokenizer(byte_tokenizer(), (0,)), checkpoint_state(model, torch.bfloat16))
    run.close()
    assert AdapterBase.read(run.path / "adapter" / ADAPTER_BASE_FILE).name == str(base)
    assert check(base, run.path / "adapter") == []


class TestForeign:
    """Adapters that do not say which weights they were trained on."""

    @pytest.fixture
    def foreign(self, adapter: Path) -> Path:
        (adapter / ADAPTER_BASE_FILE).unlink()
        return adapter

    def test_one_that_names_the_base_passes(self, base: Path, foreign: Path) -> None:
        assert check(base, foreign) == []

    def test_one_that_names_another_of_its_shapes_is_told_of(self, foreign: Path, tmp_path: Path) -> None:
        (told,) = check(save_base(tmp_path / "sister", seed=1), foreign)
        assert "/base and not " in told

    def test_other_shapes(self, foreign: Path, tmp_path: Path) -> None:
        wide = save_base(tmp_path / "wide", hidden_size=32)
        with pytest.raises(
            ModelError, match=r"trained on .*/base, does not fit model\.name = .*/wide: .*lora_.* is needed"
        ):
            check(wide, foreign)

    def test_fewer_layers(self, foreign: Path, tmp_path: Path) -> None:
        shallow = save_base(tmp_path / "shallow", num_hidden_layers=1)
        with pytest.raises(ModelError, match=r"/shallow, which has no .*layers\.1\."):
            check(shallow, foreign)

    def test_more_layers_are_told_of(self, foreign: Path, tmp_path: Path) -> None:
        settings = json.loads((foreign / "adapter_config.json").read_text())
        settings["target_modules"] = sorted({name.rpartition(".")[2] for name in settings["target_modules"]})
        (foreign / "adapter_config.json").write_text(json.dumps(settings))
        told = check(save_base(tmp_path / "deep" / "base", num_hidden_layers=3), foreign)
        assert len(told) == 1
        assert "nothing for 14 places" in told[0]

    def test_other_modules(self, base: Path, foreign: Path) -> None:
        settings = json.loads((foreign / "adapter_config.json").read_text())
        (foreign / "adapter_config.json").write_text(json.dumps(settings | {"target_modules": ["c_attn"]}))
        with pytest.raises(ModelError, match=r"does not fit model\.name"):
            check(base, foreign)


@pytest.mark.parametrize("text", ["{", "[]", '{"schema": 9}', '{"schema": 1, "added": {}}', '{"schema": 1}'])
def test_a_torn_file_is_told(base: Path, adapter: Path, text: str) -> None:
    (adapter / ADAPTER_BASE_FILE).write_text(text)
    with pytest.raises(ModelError, match=ADAPTER_BASE_FILE):
        check(base, adapter)


def test_no_adapter_at_all(base: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="has no adapter_config"):
        check(base, tmp_path)
    check_base(ModelConfig(name="no/such/base"))
