"""Greedy continuations by the model that is being trained, in its own process: a look at it, not a rollout."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

__all__ = ["continue_greedily"]


def continue_greedily(
    model: Any, prompts: Sequence[Sequence[int]], stop_ids: Sequence[int], tokens: int
) -> list[list[int]]:
    """The likeliest next tokens of each prompt, up to a stop token, which is left out.

    Args:
        model: a causal language model; its mode is kept.
        prompts: token ids.
        stop_ids: what ends a text; the first pads.
        tokens: at most so many.
    """
    import torch

    ids, mask = _padded(prompts, stop_ids[0], next(model.parameters()).device)
    was_training = model.training
    model.eval()
    try:
        with torch.no_grad():
            written = model.generate(
                input_ids=ids,
                attention_mask=mask,
                max_new_tokens=tokens,
                do_sample=False,
                eos_token_id=list(stop_ids),
                pad_token_id=stop_ids[0],
            )
    finally:
        model.train(was_training)
    return [_until(row, set(stop_ids)) for row in written[:, ids.size(1) :].tolist()]


def _padded(prompts: Sequence[Sequence[int]], pad: int, device: Any) -> tuple[torch.Tensor, torch.Tensor]:
    """On the left: (B, T) ids and mask."""
    import torch

    width = max(map(len, prompts))
    ids = torch.tensor([[pad] * (width - len(row)) + list(row) for row in prompts], device=device)
    mask = torch.tensor([[0] * (width - len(row)) + [1] * len(row) for row in prompts], device=device)
    return ids, mask


def _until(row: list[int], stops: set[int]) -> list[int]:
    end = next((place for place, token in enumerate(row) if token in stops), len(row))
    return row[:end]
