"""Which rows of a batch are computed together: packs that share a prompt, or padded rows of near-equal length.

TRL pads a whole generation batch to its longest prompt and completion; on short targets that wastes a quarter to a
half of the forward pass.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

__all__ = [
    "MicroBatch",
    "loss_share",
    "pack_micro_batches",
    "pad_micro_batches",
    "plan_update",
    "prompt_keys",
    "row_lengths",
    "take_rows",
]

# Tensors of shape (B, T_completion), as TRL 1.16 names them; prompts are padded on the left, completions on the right.
_COMPLETION_SHAPED = (
    "completion_ids",
    "completion_mask",
    "old_per_token_logps",
    "sampling_per_token_logps",
    "ref_per_token_logps",
    "importance_sampling_ratio",
    "tool_mask",
    "loss_weights",
    "advantages",
)


_BATCH_COST, _BATCH_COST_ON_GPU = 48.0, 2048.0
"""Tokens that one more backward is worth: on a CPU it adds every gradient to those before (a gigabyte of traffic for
135M weights), on a GPU it starts hundreds of kernels. Estimates."""


@dataclass(frozen=True)
class MicroBatch:
    """Rows of one forward and backward."""

    packs: tuple[tuple[int, ...], ...]
    """Rows that share one copy of their prompt; where prompts are not shared, each row stands by itself."""
    needed: int
    """Tokens of prompts and completions."""
    computed: int
    """The same, padding included."""

    @property
    def rows(self) -> list[int]:
        """All of them, in the order in which they are computed."""
        return [row for pack in self.packs for row in pack]

    @property
    def places(self) -> list[list[int]]:
        """The packs again, each row by its place in `rows`."""
        place = iter(range(len(self.rows)))
        return [[next(place) for _ in pack] for pack in self.packs]


def plan_update(batch: Mapping[str, Any], token_budget: int | None, *, packed: bool) -> list[MicroBatch]:
    """Micro-batches of a TRL batch: packed, or where that cannot be padded rows under the longest prompt, as TRL pads
    them."""
    prompts, completions = row_lengths(batch["prompt_mask"]), row_lengths(batch["completion_mask"])
    if packed:
        return pack_micro_batches(prompt_keys(batch), prompts, completions, token_budget)
    lengths = [max(prompts) + length for length in completions]
    on_cpu = batch["completion_mask"].device.type == "cpu"
    return pad_micro_batches(lengths, token_budget, batch_cost=_BATCH_COST if on_cpu else _BATCH_COST_ON_GPU)


def pack_micro_batches(
    prompts: Sequence[Hashable],
    prompt_lengths: Sequence[int],
    completion_lengths: Sequence[int],
    token_budget: int | None,
) -> list[MicroBatch]:
    """Micro-batches without padding, in which rows with equal prompts share one copy of it.

    Groups are laid out one behind the other; the row that would exceed `token_budget` begins the next micro-batch, with
    a copy of its prompt. Without a budget all rows form one.

    Args:
        prompts: what the rows were asked, anything hashable; equal ones share.
        prompt_lengths, completion_lengths: tokens a row.
        token_budget: tokens of a micro-batch; a single row may exceed it.
    """
    groups: dict[Hashable, list[int]] = {}
    for row, prompt in enumerate(prompts):
        groups.setdefault(prompt, []).append(row)
    batches: list[MicroBatch] = []
    packs: list[tuple[int, ...]] = []
    filled = 0
    for group in groups.values():
        pack: tuple[int, ...] = ()
        for row in group:
            needed = completion_lengths[row] + (0 if pack else prompt_lengths[row])
            if filled and token_budget is not None and filled + needed > token_budget:
                batches.append(MicroBatch((*packs, pack) if pack else tuple(packs), filled, filled))
                packs, pack, filled, needed = [], (), 0, completion_lengths[row] + prompt_lengths[row]
            pack, filled = (*pack, row), filled + needed
        packs.append(pack)
    return [*batches, MicroBatch(tuple(packs), filled, filled)] if packs else batches


def pad_micro_batches(lengths: Sequence[int], token_budget: int | None, *, batch_cost: float = 0.0) -> list[MicroBatch]:
    """Micro-batches of padded rows, longest first, so that rows of near-equal length stand together.

    A micro-batch costs its row count times its longest row, padding included, and `batch_cost` more; it stays within
    `token_budget` tokens unless a single row exceeds it. The cheapest division of the rows in order of length, by
    dynamic programming. Without a budget all rows form one micro-batch.

    Args:
        lengths: tokens a row.
        token_budget: padded tokens of a micro-batch.
        batch_cost: what one more forward and backward costs by itself, in tokens.
    """
    ordered = sorted(range(len(lengths)), key=lambda row: (-lengths[row], row))

    def batch(rows: Sequence[int]) -> MicroBatch:
        needed = [lengths[row] for row in rows]
        return MicroBatch(tuple((row,) for row in rows), sum(needed), len(rows) * needed[0])

    if token_budget is None:
        return [batch(ordered)] if ordered else []
    cheapest, ends = [0.0] * (len(ordered) + 1), [0] * len(ordered)
    for first in reversed(range(len(ordered))):
        longest = lengths[ordered[first]]
        most = max(1, token_budget // longest) if longest else len(ordered)
        choices = range(first + 1, min(len(ordered), first + most) + 1)
        ends[first] = min(choices, key=lambda end: (end - first) * longest + cheapest[end])
        cheapest[first] = batch_cost + (ends[first] - first) * longest + cheapest[ends[first]]
    batches, first = [], 0
    while first < len(ordered):
        batches.append(batch(ordered[first : ends[first]]))
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


def prompt_keys(batch: Mapping[str, Any]) -> list[Hashable]:
    """What tells the prompts of a TRL batch apart: their length and ids, as a token's id may be that of padding."""
    ids = (batch["prompt_ids"] * batch["prompt_mask"]).tolist()
    return list(zip(row_lengths(batch["prompt_mask"]), map(tuple, ids), strict=True))


def row_lengths(mask: torch.Tensor) -> list[int]:
    """Tokens a row, from a (B, T) mask."""
    return [int(n) for n in mask.sum(dim=1).tolist()]
