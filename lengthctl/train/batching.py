"""Which rows of a batch are computed together: packs that share a prompt, micro-batches of near-equal length.

TRL pads a whole generation batch to its longest prompt and completion; on short targets that wastes a quarter to a
half of the forward pass.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

__all__ = ["Pack", "build_packs", "loss_share", "plan_micro_batches", "row_lengths", "take_rows"]

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


@dataclass(frozen=True)
class Pack:
    """Rows of a batch that share one copy of their prompt, and the tokens that they need together."""

    rows: tuple[int, ...]
    tokens: int


def build_packs(
    prompts: Sequence[object],
    prompt_lengths: Sequence[int],
    completion_lengths: Sequence[int],
    *,
    horizon: float,
    max_tokens: int,
) -> list[Pack]:
    """Rows with equal prompts in packs, as far as that pays.

    A pack of n tokens costs n + n^2 / `horizon`: work a token, and attention over all n of them (the mask hides other
    completions, it does not skip them). A row joins a pack where that costs no more than a pack of its own. Ours.

    Args:
        prompts: what the rows were asked, anything hashable; equal ones can share.
        prompt_lengths, completion_lengths: tokens a row.
        horizon: context at which attention costs as much as all the rest of a layer, in tokens.
        max_tokens: a pack grows no further; a single row may exceed it.
    """

    def cost(tokens: int) -> float:
        return tokens + tokens**2 / horizon

    growing: dict[object, Pack] = {}
    closed: list[Pack] = []
    for row, prompt in enumerate(prompts):
        alone = Pack((row,), prompt_lengths[row] + completion_lengths[row])
        pack = growing.get(prompt, alone)
        tokens = pack.tokens + completion_lengths[row]
        if pack is alone:
            growing[prompt] = alone
        elif tokens <= max_tokens and cost(tokens) <= cost(pack.tokens) + cost(alone.tokens):
            growing[prompt] = Pack((*pack.rows, row), tokens)
        else:
            closed.append(pack)
            growing[prompt] = alone
    return sorted([*closed, *growing.values()], key=lambda pack: pack.rows)


def plan_micro_batches(packs: Sequence[Pack], token_budget: int | None, *, batch_cost: float = 0.0) -> list[list[Pack]]:
    """Packs of each micro-batch, longest first, so that packs of near-equal length stand together.

    A micro-batch costs its pack count times its longest pack, padding included, and `batch_cost` more; it stays within
    `token_budget` tokens unless a single pack exceeds it. The cheapest division of the packs in order of length, by
    dynamic programming. Without a budget all packs form one micro-batch.

    Args:
        packs: to be divided.
        token_budget: padded tokens of a micro-batch.
        batch_cost: what one more forward and backward costs by itself, in tokens.
    """
    ordered = sorted(packs, key=lambda pack: (-pack.tokens, pack.rows))
    if token_budget is None:
        return [ordered] if ordered else []
    cheapest, ends = [0.0] * (len(ordered) + 1), [0] * len(ordered)
    for first in reversed(range(len(ordered))):
        longest = ordered[first].tokens
        most = max(1, token_budget // longest) if longest else len(ordered)
        choices = range(first + 1, min(len(ordered), first + most) + 1)
        ends[first] = min(choices, key=lambda end: (end - first) * longest + cheapest[end])
        cheapest[first] = batch_cost + (ends[first] - first) * longest + cheapest[ends[first]]
    batches, first = [], 0
    while first < len(ordered):
        batches.append(ordered[first : ends[first]])
        first = ends[first]
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


def loss_share(loss_type: str, micro: Mapping[str, Any], batch: Mapping[str, Any], rows: int | None = None) -> float:
    """Factor that makes the losses of micro-batches sum to that of their whole batch, by TRL's normaliser.

    `rows` stands in for the batch's own number of rows, where groups that had nothing to teach were left out of it: the
    divisor then stays the same from step to step, and from process to process.
    """
    if loss_type in ("dapo", "cispo", "vespo"):
        return 1.0  # normalised by the tokens of the whole generation batch already
    if loss_type == "bnpo":
        return float(micro["completion_mask"].sum() / batch["completion_mask"].sum().clamp(min=1))
    return len(micro["completion_ids"]) / (rows or len(batch["completion_ids"]))


def row_lengths(mask: torch.Tensor) -> list[int]:
    """Tokens a row, from a (B, T) mask."""
    return [int(n) for n in mask.sum(dim=1).tolist()]
