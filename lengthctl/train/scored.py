"""Completions of a step with what they earned, in whole groups: parts of them, and several draws put together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import torch

from lengthctl.train.batching import row_lengths, take_rows

__all__ = ["Scored", "by_group", "join_batches", "join_scored"]

T = TypeVar("T")


@dataclass(frozen=True)
class Scored:
    """Groups of equal size one behind the other."""

    batch: dict[str, Any]
    """TRL's tensors, B rows."""
    rewards: list[float | None]
    """(B), None where a completion does not count."""
    correct: list[bool | None] | None
    """(B), None where an answer cannot be checked; None as a whole where nothing asks for it."""
    places: list[int]
    """(B), the number of each among all completions that this process drew in this step."""

    @property
    def lengths(self) -> list[int]:
        """(B), tokens that the loss counts, the stop token among them."""
        return row_lengths(self.batch["completion_mask"])

    def take(self, rows: Sequence[int]) -> Scored | None:
        """These rows; None without any, as tensors without rows have no width."""
        if not rows:
            return None
        correct = None if self.correct is None else [self.correct[row] for row in rows]
        rewards, places = [self.rewards[row] for row in rows], [self.places[row] for row in rows]
        return Scored(take_rows(self.batch, rows), rewards, correct, places)


def by_group(values: Sequence[T], size: int) -> list[list[T]]:
    """Cut into groups of `size`.

    Raises:
        ValueError: the last one would be smaller.
    """
    if size < 1 or len(values) % size:
        raise ValueError(f"{len(values)} values do not form groups of {size}")
    return [list(values[start : start + size]) for start in range(0, len(values), size)]


def join_scored(pieces: Sequence[Scored], pad_id: int) -> Scored | None:
    """All rows, in the order of the pieces; None without any."""
    if len(pieces) < 2:
        return pieces[0] if pieces else None
    known = [piece.correct for piece in pieces if piece.correct is not None]
    return Scored(
        batch=join_batches([piece.batch for piece in pieces], pad_id),
        rewards=[reward for piece in pieces for reward in piece.rewards],
        correct=[right for column in known for right in column] if len(known) == len(pieces) else None,
        places=[place for piece in pieces for place in piece.places],
    )


def join_batches(batches: Sequence[Mapping[str, Any]], pad_id: int) -> dict[str, Any]:
    """The rows of TRL batches one behind the other, padded anew to the widest: prompts on the left, all else on the
    right; scalars are those of the first.

    Args:
        batches: as TRL 1.16 makes them (prompts (B, P), completions (B, T)), with the same keys; at least one.
        pad_id: pads token ids; everything else is padded with zeros.

    Raises:
        ValueError: the keys differ.
    """
    first, *others = batches
    if any(other.keys() != first.keys() for other in others):
        raise ValueError("batches with different tensors do not join")
    joined: dict[str, Any] = {}
    for name, value in first.items():
        if not isinstance(value, torch.Tensor) or value.dim() == 0:
            joined[name] = value
            continue
        parts = [batch[name] for batch in batches]
        if value.dim() == 2:  # a ratio of whole sequences is (B, 1) in every batch, and stays so
            width = max(part.size(1) for part in parts)
            fill = pad_id if name in ("prompt_ids", "completion_ids") else 0
            parts = [_pad(part, width, fill, left=name.startswith("prompt_")) for part in parts]
        joined[name] = torch.cat(parts)
    return joined


def _pad(part: torch.Tensor, width: int, fill: float, *, left: bool) -> torch.Tensor:
    missing = width - part.size(1)
    return torch.nn.functional.pad(part, (missing, 0) if left else (0, missing), value=fill)
