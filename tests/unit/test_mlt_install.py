"""Meta length tokens in tiny random models, tied and untied: which rows change, and which never do."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from byte_model import PADDED, byte_model, byte_tokenizer

from lengthctl.errors import ModelError
from lengthctl.mlt import RULER_TABLE, MltRecord, MltTable, split_output, template_hash
from lengthctl.mlt_install import check, install, lora_indices
from lengthctl.mlt_template import with_mlt
from lengthctl.models import CHATML
from lengthctl.rollout.weights import checkpoint_state

ROOM_FOR_NINE = 9


def weights(model: Any) -> list[torch.Tensor]:
    layers = (model.get_input_embeddings(), model.get_output_embeddings())
    return [layer.weight.detach().clone() for layer in layers]


def is_tied(model: Any) -> bool:
    embedding, head = model.get_input_embeddings(), model.get_output_embeddings()
    return bool(embedding.weight.data_ptr() == head.weight.data_ptr())


def changed_rows(before: torch.Tensor, after: torch.Tensor) -> list[int]:
    return [i for i in range(len(before)) if not torch.equal(before[i], after[i])]


both = pytest.mark.parametrize("tied", [True, False], ids=["tied", "untied"])


@both
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=["fp32", "bf16"])
@pytest.mark.parametrize("init", ["phrase", "mean"])
def test_only_new_rows_change_and_no_two_are_alike(tied: bool, dtype: torch.dtype, init: Any) -> None:
    model, tokenizer = byte_model(tied=tied, dtype=dtype), byte_tokenizer()
    before = weights(model)
    ids = install(model, tokenizer, RULER_TABLE, init=init)
    assert ids == tuple(range(259, 268))
    for old, new in zip(before, weights(model), strict=True):
        assert new.shape == old.shape == (PADDED, 16)
        assert new.dtype == dtype
        assert changed_rows(old, new) == list(ids)
        assert len(torch.unique(new[list(ids)].float(), dim=0)) == len(ids)
    assert is_tied(model) == tied
    assert model.config.vocab_size == PADDED


@both
def test_the_matrix_grows_by_what_is_missing(tied: bool, tmp_path: Path) -> None:
    model, tokenizer = byte_model(tied=tied, rows=259 + ROOM_FOR_NINE - 1), byte_tokenizer()
    before = weights(model)
    ids = install(model, tokenizer, RULER_TABLE)
    for old, new in zip(before, weights(model), strict=True):
        assert torch.equal(old[:259], new[:259])
        assert len(new) == 259 + ROOM_FOR_NINE == model.config.vocab_size
    assert is_tied(model) == tied
    model.save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    from transformers import AutoModelForCausalLM, AutoTokenizer

    again = AutoModelForCausalLM.from_pretrained(tmp_path)
    assert is_tied(again) == tied
    assert all(map(torch.equal, weights(model), weights(again)))
    check(AutoTokenizer.from_pretrained(tmp_path), MltRecord(RULER_TABLE, ids, ""))


@both
def test_a_row_begins_at_the_mean_of_its_phrase(tied: bool) -> None:
    model, tokenizer = byte_model(tied=tied), byte_tokenizer()
    before = weights(model)
    ids = install(model, tokenizer, RULER_TABLE)
    for old, new in zip(before, weights(model), strict=True):
        for i, phrase in ((ids[5], " about 300 words"), (ids[8], " about more than 800 words")):
            torch.testing.assert_close(new[i], old[tokenizer.encode(phrase)].mean(dim=0))


def test_phrases_of_the_same_digits_begin_apart() -> None:
    table = MltTable.parse({"tokens": [12, 21]})
    model = byte_model(tied=True)
    ids = install(model, byte_tokenizer(), table)
    first, second = weights(model)[0][list(ids)]
    assert 0.001 < torch.dist(first, second) / first.norm() < 0.05


def test_a_second_installation_keeps_trained_rows() -> None:
    model, tokenizer = byte_model(tied=True), byte_tokenizer()
    ids = install(model, tokenizer, RULER_TABLE)
    with torch.no_grad():
        model.get_input_embeddings().weight[ids[0]] = 7.0
    before = weights(model)
    more = MltTable((*RULER_TABLE.tokens[:-1], *MltTable.parse({"tokens": [">800"]}).tokens))
    assert install(model, tokenizer, more) == ids
    assert all(map(torch.equal, before, weights(model)))


def test_tokens_of_the_model_stay_special_and_mlts_leave_no_trace() -> None:
    model, tokenizer = byte_model(tied=True), byte_tokenizer()
    ids = install(model, tokenizer, RULER_TABLE)
    assert {"<|im_start|>", "<|im_end|>", "[MLT:10]", "[MLT:>800]"} <= set(tokenizer.all_special_tokens)
    written = tokenizer.encode("[MLT:30]Hello there<|im_end|>")
    found = split_output(written, dict(zip(ids, RULER_TABLE.tokens, strict=True)))
    assert found.token is RULER_TABLE.named("30")
    assert tokenizer.decode(written, skip_special_tokens=True) == "Hello there"
    tokenizer.chat_template = with_mlt(CHATML, RULER_TABLE)
    user = [{"role": "user", "content": "Hi"}]
    prompt = tokenizer.apply_chat_template(user, add_generation_prompt=True, return_dict=False)
    asked = tokenizer.apply_chat_template(user, add_generation_prompt=True, return_dict=False, target_words=120)
    assert asked == [*prompt, ids[4]]


@both
def test_lora_trains_the_rows_of_the_tokens_and_no_other(tied: bool, tmp_path: Path) -> None:
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    model, tokenizer = byte_model(tied=tied), byte_tokenizer()
    ids = install(model, tokenizer, RULER_TABLE)
    indices = lora_indices(model, ids)
    assert set(indices) == ({"model.embed_tokens"} if tied else {"model.embed_tokens", "lm_head"})
    before = weights(model)
    config = LoraConfig(r=2, target_modules="all-linear", trainable_token_indices=indices, task_type="CAUSAL_LM")
    adapted = get_peft_model(model, config)
    rows = [p for name, p in adapted.named_parameters() if p.requires_grad and "lora" not in name]
    assert sum(p.numel() for p in rows) == len(ids) * 16 * (1 if tied else 2)
    optimizer = torch.optim.SGD([p for p in adapted.parameters() if p.requires_grad], lr=1.0)
    batch = torch.tensor([[*ids, *tokenizer.encode("a few words")]])
    adapted(input_ids=batch, labels=batch).loss.backward()
    optimizer.step()
    logits = adapted(input_ids=batch).logits
    exported = checkpoint_state(adapted, torch.float32)
    merged = adapted.merge_and_unload()
    expected = {name: tensor for name, tensor in merged.state_dict().items() if not (tied and name == "lm_head.weight")}
    assert exported.keys() == expected.keys()
    for name, tensor in expected.items():
        torch.testing.assert_close(exported[name], tensor)
    for old, new in zip(before, weights(merged), strict=True):
        assert changed_rows(old, new) == list(ids)
    assert is_tied(merged) == tied
    merged.save_pretrained(tmp_path)
    again = AutoModelForCausalLM.from_pretrained(tmp_path)
    assert is_tied(again) == tied
    torch.testing.assert_close(again(input_ids=batch).logits, logits, atol=1e-4, rtol=1e-3)


def test_lora_before_installation_is_refused() -> None:
    with pytest.raises(ModelError, match="no row for token 320"):
        lora_indices(byte_model(tied=False), [320])


@pytest.mark.parametrize(
    ("settings", "message"),
    [({"chat_template": None}, "no chat template"), ({"eos_token": None}, "no eos token")],
)
def test_a_tokenizer_of_no_use_is_refused_before_anything_changes(settings: dict[str, Any], message: str) -> None:
    model, tokenizer = byte_model(tied=True, rows=259), byte_tokenizer(**settings)
    with pytest.raises(ModelError, match=message):
        install(model, tokenizer, RULER_TABLE)
    assert len(tokenizer) == 259 == len(weights(model)[0])


def test_a_tokenizer_that_reads_other_ids_is_refused() -> None:
    tokenizer = byte_tokenizer()
    ids = install(byte_model(tied=True), tokenizer, RULER_TABLE)
    digest = template_hash(CHATML)
    check(tokenizer, MltRecord(RULER_TABLE, ids, digest))
    with pytest.raises(ModelError, match=r"\[MLT:10\] is token 259 of this tokenizer, and 267 in mlt\.json"):
        check(tokenizer, MltRecord(RULER_TABLE, ids[::-1], digest))
    with pytest.raises(ModelError, match=r"splits \[MLT:10\] into 8 tokens"):
        check(byte_tokenizer(), MltRecord(RULER_TABLE, ids, digest))
