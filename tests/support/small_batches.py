"""Scored batches of a few tokens, for tests of what is done with them before any model is asked."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from lengthctl.train.scored import Scored


def small_batch(lengths: Sequence[int], prompts: Sequence[int]) -> dict[str, Any]:
    """A batch as TRL makes it: completions of `lengths` tokens, each row's token ids all `10 + row`, its prompt as many
    tokens `prompts[row]`."""
    prompt_mask = _left_mask(prompts)
    completion_mask = _right_mask(lengths)
    rows = torch.arange(len(lengths))[:, None] + 10
    ids = torch.tensor(prompts)[:, None]
    return {
        "prompt_ids": ids * prompt_mask,
        "prompt_mask": prompt_mask,
        "completion_ids": rows * completion_mask,
        "completion_mask": completion_mask,
        "sampling_per_token_logps": -1.0 * completion_mask,
        "advantages": torch.full((len(lengths),), 7.0),  # TRL's
        "num_items_in_batch": completion_mask.sum(),
    }


def small_scored(
    rewards: Sequence[float | None],
    lengths: Sequence[int] | None = None,
    *,
    prompts: Sequence[int] | None = None,
    correct: list[bool | None] | None = None,
    first: int = 0,
) -> Scored:
    """Rewards over such a batch; completions of 1, 2, 3, ... tokens and prompts of one token by default."""
    count = len(rewards)
    batch = small_batch(lengths or range(1, count + 1), prompts or [1] * count)
    return Scored(batch, list(rewards), correct, list(range(first, first + count)))


def _left_mask(lengths: Sequence[int]) -> torch.Tensor:
    return (torch.arange(max(lengths)) >= max(lengths) - torch.tensor(lengths)[:, None]).long()


def _right_mask(lengths: Sequence[int]) -> torch.Tensor:
    return (torch.arange(max(lengths)) < torch.tensor(list(lengths))[:, None]).long()
