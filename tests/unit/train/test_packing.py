"""Packed rows against separate ones: the same logprobs, entropies and gradients, by either kernel of attention."""

from __future__ import annotations

from typing import Any

import pytest

torch = pytest.importorskip("torch")

from lengthctl.train import packed_attention  # noqa: E402
from lengthctl.train.logprobs import token_logprobs  # noqa: E402
from lengthctl.train.packed_attention import PACKED_ATTENTION, Segment  # noqa: E402
from lengthctl.train.packed_head import (  # noqa: E402
    add_packed_head,
    batch_logprobs,
    packed_logprobs,
    packing_obstacle,
)
from lengthctl.train.packing import pack_rows  # noqa: E402


def tiny_model(attention: str = "eager", **changes: Any) -> Any:
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(0)
    size = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4}
    config = LlamaConfig(vocab_size=97, num_key_value_heads=2, attn_implementation=attention, **size, **changes)
    model = LlamaForCausalLM(config)
    add_packed_head(model, 0.7)
    return model


def make_batch() -> dict[str, Any]:
    """Two prompts of 5 and 3 tokens, five completions of 1 to 6."""
    torch.manual_seed(1)
    prompts, lengths, width = [5, 5, 3, 3, 3], [4, 1, 6, 2, 5], (5, 6)
    first, second = torch.randint(1, 97, (2, 5))
    prompt_ids = torch.stack([first, first, second, second, second])
    prompt_mask = (torch.arange(width[0]) >= width[0] - torch.tensor(prompts)[:, None]).long()
    return {
        "prompt_ids": prompt_ids * prompt_mask,
        "prompt_mask": prompt_mask,
        "completion_ids": torch.randint(1, 97, (5, width[1])),
        "completion_mask": (torch.arange(width[1]) < torch.tensor(lengths)[:, None]).long(),
    }


def separate_logprobs(model: Any, batch: dict[str, Any]) -> Any:
    parts = []
    for row in range(5):
        prompt, completion = (batch[f"{p}_ids"][row][batch[f"{p}_mask"][row].bool()] for p in ("prompt", "completion"))
        logits = model(input_ids=torch.cat([prompt, completion])[None]).logits[0, len(prompt) - 1 : -1] / 0.7
        parts.append(torch.log_softmax(logits, -1).gather(1, completion[:, None]).squeeze(1))
    return torch.cat(parts)


@pytest.mark.parametrize("attention", ["eager", "sdpa"])
@pytest.mark.parametrize("packs", [[[0, 1], [2, 3, 4]], [[4, 2], [0], [3], [1]]])
@pytest.mark.parametrize("longest_plain", [1024, 8])
def test_packed_rows_equal_separate_rows(
    attention: str, packs: list[list[int]], longest_plain: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(packed_attention, "_PLAIN_TOKENS", longest_plain)  # 8: torch's fused kernel computes it
    model, batch = tiny_model(attention), make_batch()
    weights = torch.randn(int(batch["completion_mask"].sum()))
    gradients = []
    values = []
    for packed in (False, True):
        model.zero_grad()
        if packed:
            assert packing_obstacle(model, 0.7) is None
            logps, _ = packed_logprobs(model, pack_rows(batch, packs))
        else:
            logps = separate_logprobs(model, batch)
        (logps * weights).sum().backward()
        values.append(logps.detach())
        gradients.append(torch.cat([p.grad.flatten() for p in model.parameters()]))
    assert torch.allclose(*values, atol=1e-5)
    assert torch.allclose(*gradients, atol=1e-5)


def test_gradients_hold_when_layers_are_computed_again() -> None:
    gradients = []
    for again in (False, True):
        model = tiny_model()
        assert packing_obstacle(model, 0.7) is None
        model.train()
        if again:
            model.gradient_checkpointing_enable({"use_reentrant": False})
        logps, _ = packed_logprobs(model, pack_rows(make_batch(), [[0, 1], [2, 3, 4]]))
        logps.sum().backward()
        gradients.append(torch.cat([p.grad.flatten() for p in model.parameters()]))
    assert torch.allclose(*gradients, atol=1e-6)


def test_a_batch_keeps_its_shape_and_its_order() -> None:
    model, batch = tiny_model(), make_batch()
    assert packing_obstacle(model, 0.7) is None
    logps_BT, entropies_BT = batch_logprobs(model, batch, [[3, 2], [4], [1, 0]])
    mask = batch["completion_mask"].bool()
    assert torch.allclose(logps_BT[mask], separate_logprobs(model, batch), atol=1e-5)
    assert not logps_BT[~mask].any()
    assert not entropies_BT[~mask].any()


def test_a_forward_without_segments_is_the_models_own() -> None:
    model = tiny_model()
    batch = torch.randint(0, 97, (2, 7))
    before = model(batch).logits
    assert packing_obstacle(model, 0.7) is None
    assert model.config._attn_implementation == PACKED_ATTENTION
    assert torch.allclose(model(batch).logits, before, atol=1e-5)
    assert PACKED_ATTENTION not in str(model.config.to_json_string())


def test_layout_of_a_flat_row() -> None:
    batch = {
        "prompt_ids": torch.tensor([[0, 7, 8], [0, 7, 8], [4, 5, 6]]),
        "prompt_mask": torch.tensor([[0, 1, 1], [0, 1, 1], [1, 1, 1]]),
        "completion_ids": torch.tensor([[1, 2, 0], [3, 4, 5], [9, 0, 0]]),
        "completion_mask": torch.tensor([[1, 1, 0], [1, 1, 1], [1, 0, 0]]),
    }
    packed = pack_rows(batch, [[0, 1], [2]])
    assert packed.input_ids.tolist() == [[7, 8, 1, 2, 3, 4, 5, 4, 5, 6, 9]]
    assert packed.position_ids.tolist() == [[0, 1, 2, 3, 2, 3, 4, 0, 1, 2, 3]]
    assert packed.sources.tolist() == [1, 2, 1, 4, 5, 9]
    assert packed.targets.tolist() == [1, 2, 3, 4, 5, 9]
    assert packed.segments == (
        Segment(0, 2),
        Segment(2, 4, 0, 2),
        Segment(4, 7, 0, 2),
        Segment(7, 10),
        Segment(10, 11, 7, 10),
    )


def test_a_model_that_looks_past_its_segment_is_found_out() -> None:
    model = tiny_model()
    inner = model.model.forward

    def running_mean(*args: Any, **kwargs: Any) -> Any:
        """As a recurrent layer: every position depends on all before it, whatever attention sees."""
        out = inner(*args, **kwargs)
        out.last_hidden_state = out.last_hidden_state.cumsum(dim=1)
        return out

    model.model.forward = running_mean
    obstacle = packing_obstacle(model, 0.7)
    assert obstacle is not None
    assert "differ" in obstacle
    assert model.config._attn_implementation == "eager"


def test_a_model_that_takes_no_segments_is_found_out() -> None:
    model = tiny_model()
    inner = model.model.forward

    def strict(input_ids: Any, position_ids: Any = None, attention_mask: Any = None, use_cache: Any = None) -> Any:
        return inner(input_ids=input_ids, position_ids=position_ids, attention_mask=attention_mask)

    model.model.forward = strict
    model.forward = lambda *a, **k: type(model).forward(model, *a, **k)  # as it was before the packed head
    add_packed_head(model, 0.7)
    obstacle = packing_obstacle(model, 0.7)
    assert obstacle is not None
    assert "refuses" in obstacle


def other_model(family: str, **changes: Any) -> Any:
    """A few thousand weights of another architecture, by the name of its transformers classes."""
    import transformers

    torch.manual_seed(0)
    size = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4}
    if family == "GPT2":
        size = {"n_embd": 32, "n_layer": 2, "n_head": 4}
    elif family != "GPTNeoX":
        size |= {"num_key_value_heads": 2, "head_dim": 8}
    ids = {"bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 0}
    config = getattr(transformers, f"{family}Config")(vocab_size=97, **size, **ids, **changes)
    name = f"{family}LMHeadModel" if family == "GPT2" else f"{family}ForCausalLM"
    model = getattr(transformers, name)._from_config(config, attn_implementation="eager")
    add_packed_head(model, 0.7)
    return model


@pytest.mark.parametrize(
    ("family", "changes"),
    [
        ("Qwen2", {}),
        ("Qwen3", {}),
        ("Mistral", {"sliding_window": None}),
        ("Phi3", {}),
        ("GPTNeoX", {}),
        ("GPT2", {"attn_pdrop": 0.0, "resid_pdrop": 0.0, "embd_pdrop": 0.0}),
    ],
)
def test_other_architectures_pack(family: str, changes: dict[str, Any]) -> None:
    model, batch = other_model(family, **changes).eval(), make_batch()
    wanted = separate_logprobs(model, batch)
    assert packing_obstacle(model, 0.7) is None
    assert torch.allclose(packed_logprobs(model, pack_rows(batch, [[0, 1], [2, 3, 4]]))[0], wanted, atol=1e-5)


@pytest.mark.parametrize(
    ("family", "changes", "why"),
    [
        ("Qwen2", {"use_sliding_window": True, "sliding_window": 64, "max_window_layers": 1}, "window"),
        ("Mistral", {"sliding_window": 64}, "window"),
        ("Gemma2", {}, "window"),
        ("Gemma2", {"layer_types": ["full_attention"] * 2}, "softcap"),
        ("Llama", {"rope_parameters": {"rope_type": "dynamic", "factor": 2.0, "rope_theta": 10000.0}}, "rope"),
        ("Llama", {"attention_dropout": 0.1}, "dropout"),
        ("GPT2", {}, "dropout"),
    ],
)
def test_what_a_flat_row_would_change_is_an_obstacle(family: str, changes: dict[str, Any], why: str) -> None:
    model = other_model(family, **changes)
    assert why in (packing_obstacle(model, 0.7) or "")
    assert model.config._attn_implementation == "eager"


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_token_logprobs_equal_log_softmax(dtype: Any) -> None:
    torch.manual_seed(0)
    logits = torch.randn(70, 300).to(dtype).requires_grad_()
    before = logits.detach().clone()
    targets, weights = torch.randint(0, 300, (70,)), torch.randn(70)
    logps, entropies = token_logprobs(logits, targets, 0.7)
    (logps * weights).sum().backward()
    reference = before.float().requires_grad_()
    scores = torch.log_softmax(reference / 0.7, -1)
    (scores.gather(1, targets[:, None]).squeeze(1) * weights).sum().backward()
    assert torch.equal(logits, before)
    assert torch.allclose(logps, scores.gather(1, targets[:, None]).squeeze(1), atol=1e-5)
    assert torch.allclose(entropies, -(scores.exp() * scores).sum(-1), atol=1e-4)
    assert torch.allclose(logits.grad.float(), reference.grad, atol=1e-5 if dtype != torch.bfloat16 else 1e-2)


def test_words_of_no_probability_add_no_entropy() -> None:
    logits = torch.tensor([[0.0, 0.0, float("-inf")]])
    logps, entropies = token_logprobs(logits, torch.tensor([1]))
    assert logps.tolist() == pytest.approx([-0.6931472])
    assert entropies.tolist() == pytest.approx([0.6931472])
