"""Micro-batches of near-equal length under a token budget, each trimmed to its own longest.

TRL pads a whole generation batch to its longest prompt and completion; on short targets that wastes a quarter to a
half of the forward pass.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

__all__ = ["plan_micro_batches", "take_rows"]

# Tensors of shape (B, T_completion), as TRL 1.16 names them; prompts are padded on the left, completions on the right.
_COMPLETION_SHAPED = (
    "completion_ids",
    "completion_mask",
    "old_per_token_logps",
    "sampling_per_token_logps",
    "ref_per_token_logps",
    "importance_sampling_ratio",
    "tool_mask",
    "advantages",
)


def plan_micro_batches(
    prompt_lengths: Sequence[int], completion_lengths: Sequence[int], token_budget: int | None
) -> list[list[int]]:
    """Rows of each micro-batch, longest first.

    A micro-batch costs its row count times (longest prompt + longest completion), padding included; it stays within
    `token_budget` tokens unless a single row exceeds it. Without a budget all rows form one micro-batch.
    """
    order = sorted(range(len(prompt_lengths)), key=lambda i: (-completion_lengths[i], -prompt_lengths[i], i))
    if token_budget is None:
        return [order] if order else []
    batches: list[list[int]] = []
    longest_prompt = longest_completion = 0
    for i in order:
        prompt = max(longest_prompt, prompt_lengths[i])
        completion = max(longest_completion, completion_lengths[i])
        if batches and (len(batches[-1]) + 1) * (prompt + completion) <= token_budget:
            batches[-1].append(i)
            longest_prompt, longest_completion = prompt, completion
        else:
            batches.append([i])
            longest_prompt, longest_completion = prompt_lengths[i], completion_lengths[i]
    return batches


def take_rows(batch: Mapping[str, Any], rows: Sequence[int]) -> dict[str, Any]:
    """The given rows of a TRL batch, padding columns that none of them needs cut off; scalars are copied."""
    import torch

    index = torch.tensor(rows, dtype=torch.long, device=batch["completion_mask"].device)
    prompt_width = int(batch["prompt_mask"][index].sum(dim=1).max())
    completion_width = max(1, int(batch["completion_mask"][index].sum(dim=1).max()))
    out: dict[str, Any] = {}
    for name, value in batch.items():
        if not isinstance(value, torch.Tensor) or value.dim() == 0:
            out[name] = value
            continue
        part = value[index]
        if name in ("prompt_ids", "prompt_mask"):
            part = part[:, part.size(1) - prompt_width :]
        elif name in _COMPLETION_SHAPED and part.dim() == 2 and part.size(1) > 1:
            part = part[:, :completion_width]
        out[name] = part
    return out


def row_lengths(mask: torch.Tensor) -> list[int]:
    """Tokens a row, from a (B, T) mask."""
    return [int(n) for n in mask.sum(dim=1).tolist()]
