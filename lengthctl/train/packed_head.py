"""The model's side of packing: a forward that returns logprobs of chosen tokens only, and when it may be used."""

from __future__ import annotations

import functools
import types
from collections.abc import Mapping, Sequence
from typing import Any

import torch

from lengthctl.errors import first_line
from lengthctl.train.logprobs import token_logprobs
from lengthctl.train.packed_attention import PACKED_ATTENTION, Segment, register_packed_attention
from lengthctl.train.packing import PackedRows, pack_rows

__all__ = ["add_packed_head", "batch_logprobs", "packed_logprobs", "packing_obstacle"]

_NO_MASK = torch.zeros(1, 1, 1, 1)
"""transformers 5.17 passes a mask of four dimensions on as it is; without one it would build its own from positions."""

_TOLERANCE = 1e-3
"""Largest difference of a logprob in the check at the start; in fp32 both ways agree to 1e-5 where packing is valid."""


def add_packed_head(model: Any, temperature: float) -> None:
    """Let `model(..., packed_segments=, packed_sources=, packed_targets=)` return `(logprobs, entropies)`, each (N,).

    The forward stays the model's own entry point, so wrappers (PEFT, DDP, autocast) keep their part in it. Without
    those arguments nothing changes. Call it on the base model, after TRL has patched it.
    """
    original = model.forward

    @functools.wraps(original)
    def forward(
        self: Any,
        *args: Any,
        packed_sources: torch.Tensor | None = None,
        packed_targets: torch.Tensor | None = None,
        packed_segments: tuple[Segment, ...] | None = None,
        **kwargs: Any,
    ) -> Any:
        if packed_sources is None or packed_targets is None:
            return original(*args, **kwargs)
        hidden = self.base_model(
            input_ids=kwargs["input_ids"],
            position_ids=kwargs["position_ids"],
            attention_mask=_NO_MASK.to(packed_sources.device),
            use_cache=False,
            packed_segments=packed_segments,
        ).last_hidden_state
        chosen = hidden[0].index_select(0, packed_sources)
        return token_logprobs(self.get_output_embeddings()(chosen), packed_targets, temperature)

    model.forward = types.MethodType(forward, model)


def packed_logprobs(model: Any, packed: PackedRows) -> tuple[torch.Tensor, torch.Tensor]:
    """(N,) logprobs and entropies of the packed completion tokens."""
    logps, entropies = model(
        input_ids=packed.input_ids,
        position_ids=packed.position_ids,
        packed_segments=packed.segments,
        packed_sources=packed.sources,
        packed_targets=packed.targets,
    )
    return logps, entropies


def batch_logprobs(
    model: Any, batch: Mapping[str, Any], packs: Sequence[Sequence[int]]
) -> tuple[torch.Tensor, torch.Tensor]:
    """Logprobs and entropies of a TRL batch, both (B, T), zero where the completion mask is; see `pack_rows`."""
    mask = batch["completion_mask"].bool()
    flat = packed_logprobs(model, pack_rows(batch, packs))
    logps_BT, entropies_BT = (x.new_zeros(mask.shape).masked_scatter(mask, x) for x in flat)
    return logps_BT, entropies_BT


def packing_obstacle(model: Any, temperature: float) -> str | None:
    """Why this model's rows cannot be packed; None when they can: the model then attends by `PACKED_ATTENTION`.

    A tiny batch is computed both ways, so that an architecture that looks beyond its segment (recurrent layers,
    position schemes of its own, attention that takes no other function) or whose head is more than one matrix is found
    out; windows, wider than that batch, are read from the config. Call it before the model is wrapped for training.
    """
    config = model.config.get_text_config()
    attention = getattr(config, "_attn_implementation", None)
    if attention not in ("sdpa", "eager"):
        return f"{attention} attention is not replaced"
    if _has_windows(config):
        return "some layers of the model look back over a window only"
    if (scaling := _length_scaling(config)) is not None:
        return f"its positions follow from the longest row of a batch (rope type {scaling})"
    parameter = next(model.parameters())
    batch = _probe(config.vocab_size, parameter.device)
    was_training = model.training
    model.eval()
    obstacle: str | None
    try:
        with torch.no_grad():
            plain = _plain_logprobs(model, batch, temperature)
            register_packed_attention()
            model.set_attn_implementation(PACKED_ATTENTION)
            rows = pack_rows(batch, [[0, 1], [2]])
            packed, _ = packed_logprobs(model, rows)
            model.train()  # dropout in the attention refuses itself
            packed_logprobs(model, rows)
        gap = float((packed - plain).abs().max())
        obstacle = None if gap <= _TOLERANCE else f"packed and separate rows differ by {gap:.2g} in logprob"
    except (TypeError, ValueError, RuntimeError, AttributeError) as error:  # of the model's code: it takes no segments
        obstacle = f"the model's forward refuses packed rows ({first_line(error)})"
    finally:
        model.train(was_training)
    if obstacle is not None and config._attn_implementation != attention:
        model.set_attn_implementation(attention)
    return obstacle


def _has_windows(config: Any) -> bool:
    layers = getattr(config, "layer_types", None)
    if layers:
        return any(kind != "full_attention" for kind in layers)
    return getattr(config, "sliding_window", None) is not None and getattr(config, "use_sliding_window", True)


def _length_scaling(config: Any) -> str | None:
    """Kinds of rotary positions that a long neighbour in the flat row would change."""
    rope = getattr(config, "rope_parameters", None) or getattr(config, "rope_scaling", None) or {}
    kinds = [part.get("rope_type") for part in (rope, *rope.values()) if isinstance(part, dict)]
    return next((kind for kind in kinds if kind in ("dynamic", "longrope")), None)


def _probe(vocabulary: int, device: torch.device) -> dict[str, torch.Tensor]:
    """Two completions of one prompt and one of another, padded as TRL pads."""
    generator = torch.Generator().manual_seed(0)
    ids = torch.randint(0, vocabulary, (3, 9), generator=generator).to(device)
    ids[1, :4] = ids[0, :4]
    prompt_mask = torch.tensor([[1, 1, 1, 1], [1, 1, 1, 1], [0, 0, 1, 1]], device=device)
    completion_mask = torch.tensor([[1, 1, 1, 0, 0], [1, 1, 1, 1, 1], [1, 1, 1, 1, 0]], device=device)
    return {
        "prompt_ids": ids[:, :4],
        "prompt_mask": prompt_mask,
        "completion_ids": ids[:, 4:],
        "completion_mask": completion_mask,
    }


def _plain_logprobs(model: Any, batch: dict[str, torch.Tensor], temperature: float) -> torch.Tensor:
    """The same tokens one row at a time, through the model's own forward and logits."""
    parts = []
    for row in range(len(batch["completion_ids"])):
        prompt, completion = (batch[f"{p}_ids"][row][batch[f"{p}_mask"][row].bool()] for p in ("prompt", "completion"))
        logits = model(input_ids=torch.cat([prompt, completion])[None]).logits[0, len(prompt) - 1 : -1]
        scores = torch.log_softmax(logits.float() / temperature, dim=-1)
        parts.append(scores.gather(1, completion[:, None]).squeeze(1))
    return torch.cat(parts)
