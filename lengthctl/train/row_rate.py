"""A learning rate of its own for the rows of new tokens, inside the optimizer that trains all.

Adam moves every weight by about the learning rate a step. For rows that begin as near neighbours and are seen in one
row of a batch each, that is far too little to tell them apart; for the rest of the model more would be too much. Ours.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

__all__ = ["hasten_rows"]


def hasten_rows(optimizer: torch.optim.Optimizer, model: torch.nn.Module, ids: Sequence[int], rate: float) -> None:
    """Let each step move the rows of some tokens `rate` times as far, in the embedding and in an untied head.

    With an adapter (peft's trainable tokens), whose few rows are a parameter of their own, that parameter. Nothing is
    kept between steps, so that a resumed run goes on as it would have.

    Raises:
        ValueError: no row of theirs is trained.
    """
    slots = _slots(model, ids)
    if not slots:
        raise ValueError("none of the rows is trained")
    before: list[torch.Tensor] = []

    def keep(*_: Any) -> None:
        before[:] = [_rows(weight, places).clone() for weight, places in slots]

    def stretch(*_: Any) -> None:
        with torch.no_grad():
            for (weight, places), old in zip(slots, before, strict=True):
                moved = (_rows(weight, places) - old) * rate + old
                weight[places if places is not None else slice(None)] = moved

    optimizer.register_step_pre_hook(keep)
    optimizer.register_step_post_hook(stretch)


def _slots(model: torch.nn.Module, ids: Sequence[int]) -> list[tuple[torch.nn.Parameter, list[int] | None]]:
    """Each parameter with the rows meant; None for all of its rows."""
    adapted = [p for name, p in model.named_parameters() if "trainable_tokens_delta" in name and p.requires_grad]
    if adapted:
        return [(parameter, None) for parameter in adapted]
    found: Any = model
    layers = [found.get_input_embeddings(), found.get_output_embeddings()]
    weights = {id(layer.weight): layer.weight for layer in layers if layer is not None}
    return [(weight, list(ids)) for weight in weights.values() if weight.requires_grad]


def _rows(weight: torch.nn.Parameter, places: list[int] | None) -> torch.Tensor:
    return weight.detach() if places is None else weight.detach()[places]
