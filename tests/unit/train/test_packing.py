"""Packed rows against separate ones: the same logprobs, entropies and gradients."""

from __future__ import annotations

from typing import Any

import pytest

torch = pytest.importorskip("torch")

from lengthctl.train.logprobs import token_logprobs  # noqa: E402
from lengthctl.train.packed_head import add_packed_head, packed_logprobs, packing_obstacle  # noqa: E402
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
def test_packed_rows_equal_separate_rows(attention: str, packs: list[list[int]]) -> None:
    model, batch = tiny_model(attention), make_batch()
    weights = torch.randn(int(batch["completion_mask"].sum()))
    gradients = []
    values = []
    for packed in (True, False):
        model.zero_grad()
        if packed:
            logps, _ = packed_logprobs(model, pack_rows(batch, packs, torch.float32))
        else:
            logps = separate_logprobs(model, batch)
        (logps * weights).sum().backward()
        values.append(logps.detach())
        gradients.append(torch.cat([p.grad.flatten() for p in model.parameters()]))
    assert torch.allclose(*values, atol=1e-5)
    assert torch.allclose(*gradients, atol=1e-5)


def test_layout_of_a_pack() -> None:
    batch = {
        "prompt_ids": torch.tensor([[0, 7, 8], [0, 7, 8]]),
        "prompt_mask": torch.tensor([[0, 1, 1], [0, 1, 1]]),
        "completion_ids": torch.tensor([[1, 2, 0], [3, 4, 5]]),
        "completion_mask": torch.tensor([[1, 1, 0], [1, 1, 1]]),
    }
    packed = pack_rows(batch, [[0, 1]], torch.float32)
    assert packed.input_ids.tolist() == [[7, 8, 1, 2, 3, 4, 5]]
    assert packed.position_ids.tolist() == [[0, 1, 2, 3, 2, 3, 4]]
    assert packed.sources.tolist() == [1, 2, 1, 4, 5]
    assert packed.targets.tolist() == [1, 2, 3, 4, 5]
    seen = packed.attention_mask[0, 0] == 0
    assert seen[5].tolist() == [True, True, False, False, True, True, False]


def test_a_model_that_looks_past_the_mask_is_found_out() -> None:
    assert packing_obstacle(tiny_model(), 0.7) is None
    model = tiny_model()
    inner = model.model.forward

    def running_mean(*args: Any, **kwargs: Any) -> Any:
        """As a recurrent layer: every position depends on all before it, whatever the mask says."""
        out = inner(*args, **kwargs)
        out.last_hidden_state = out.last_hidden_state.cumsum(dim=1)
        return out

    model.model.forward = running_mean
    obstacle = packing_obstacle(model, 0.7)
    assert obstacle is not None
    assert "differ" in obstacle


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
