"""Rows of new tokens that learn faster than the rest."""

import pytest
import torch

from lengthctl.train.row_rate import hasten_rows


class Tiny(torch.nn.Module):
    """An embedding of six tokens, with a tied or an untied head."""

    def __init__(self, tied: bool) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.embedding = torch.nn.Embedding(6, 4)
        self.head = torch.nn.Linear(4, 6, bias=False)
        if tied:
            self.head.weight = self.embedding.weight

    def get_input_embeddings(self) -> torch.nn.Module:
        return self.embedding

    def get_output_embeddings(self) -> torch.nn.Module:
        return self.head

    def loss(self) -> torch.Tensor:
        hidden = self.embedding(torch.arange(6)).tanh()
        return torch.nn.functional.cross_entropy(self.head(hidden), torch.arange(6).flip(0))


def after_a_step(tied: bool, rate: float | None) -> Tiny:
    model = Tiny(tied)
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.01, weight_decay=0.0)
    if rate is not None:
        hasten_rows(optimizer, model, [4, 5], rate)
    model.loss().backward()
    optimizer.step()
    return model


@pytest.mark.parametrize("tied", [True, False])
def test_rows_named_move_as_many_times_as_far_and_no_other(tied: bool) -> None:
    start, usual, fast = Tiny(tied), after_a_step(tied, None), after_a_step(tied, 20.0)
    for layer in ("embedding", "head"):
        begun, slow, quick = (getattr(model, layer).weight.detach() for model in (start, usual, fast))
        assert torch.equal(slow[:4], quick[:4])
        assert torch.allclose(quick[4:] - begun[4:], 20 * (slow[4:] - begun[4:]), rtol=1e-4)


def test_tied_rows_are_moved_once() -> None:
    assert torch.allclose(
        after_a_step(True, 3.0).embedding.weight[4] - Tiny(True).embedding.weight[4],
        3 * (after_a_step(True, None).embedding.weight[4] - Tiny(True).embedding.weight[4]),
        rtol=1e-4,
    )


def test_rows_beside_an_adapter_are_its_own_parameter() -> None:
    from peft import LoraConfig, get_peft_model
    from transformers import LlamaConfig, LlamaForCausalLM

    from lengthctl.mlt_install import lora_indices

    def after(rate: float | None) -> tuple[dict[str, torch.Tensor], dict[str, torch.Tensor]]:
        torch.manual_seed(0)
        shape = LlamaConfig(
            vocab_size=16,
            hidden_size=8,
            intermediate_size=8,
            num_hidden_layers=1,
            num_attention_heads=2,
            num_key_value_heads=2,
            tie_word_embeddings=True,
        )
        base = LlamaForCausalLM(shape)
        config = LoraConfig(r=2, target_modules=["q_proj"], trainable_token_indices=lora_indices(base, [14, 15]))
        model = get_peft_model(base, config)
        optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=0.01, weight_decay=0.0)
        if rate is not None:
            hasten_rows(optimizer, model, [14, 15], rate)
        start = {name: p.detach().clone() for name, p in model.named_parameters()}
        ids = torch.arange(16)[None]
        model(input_ids=ids, labels=ids).loss.backward()
        optimizer.step()
        return start, {name: p.detach() - start[name] for name, p in model.named_parameters() if p.requires_grad}

    (_, slow), (_, quick) = after(None), after(10.0)
    for name, moved in slow.items():
        factor = 10.0 if "trainable_tokens" in name else 1.0
        assert torch.allclose(quick[name], factor * moved, rtol=1e-3, atol=1e-7), name
    assert any("trainable_tokens" in name and moved.any() for name, moved in slow.items())


def test_frozen_rows_are_refused() -> None:
    model = Tiny(True).requires_grad_(False)
    with pytest.raises(ValueError, match="none of the rows is trained"):
        hasten_rows(torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0), model, [1], 2.0)
