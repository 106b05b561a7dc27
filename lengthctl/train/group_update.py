"""From scored completions to what an update trains: groups that teach nothing leave and others come in their place,
every token gets its advantage, and the members that are worth a forward are chosen."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import torch

from lengthctl.config.advantage import AdvantageConfig
from lengthctl.train.advantages import gfpo_advantages, gfpo_members, relative_advantages
from lengthctl.train.batching import take_rows
from lengthctl.train.estimators import survivor_advantages
from lengthctl.train.ranks import gather_lists, rank, world_size
from lengthctl.train.resampling import Row, over_ranks, refill
from lengthctl.train.scored import Scored, by_group, join_scored
from lengthctl.train.selection import select_extremes

__all__ = ["GroupUpdate", "Update"]

_ROW_MEANS = ("grpo", "sapo", "dr_grpo", "luspo")
"""Losses of TRL 1.16 that are a mean over the rows of a process."""


@dataclass(frozen=True)
class Update:
    """What is trained in a step."""

    batch: dict[str, Any]
    """TRL's tensors; the scalar `loss_weight`, where it is there, is a factor of this process's loss."""
    rows: int | None = None
    """Rows that a loss averages over, where some of them were left out of the batch; None: those of the batch."""
    advantages: dict[int, float] = field(default_factory=dict)
    """By `Scored.places`, the mean over a completion's tokens; what is not trained is not there."""
    is_empty: bool = False
    """No process has a group to learn from; the batch is one row that weighs nothing."""
    metrics: dict[str, float] = field(default_factory=dict)
    """For the log."""


@dataclass(frozen=True)
class GroupUpdate:
    """The choices of a recipe, applied to each step.

    Several trainer processes go through every call together, each with whole groups of its own; what is a matter of
    the step (statistics, divisors, prompts drawn anew) is the same in all of them.
    """

    rule: AdvantageConfig
    """Baseline, scale, filter and dynamic sampling."""
    group_size: int
    """Completions a prompt."""
    loss_type: str
    """TRL's; decides what a divisor counts."""
    pad_id: int
    """Pads token ids."""
    survivor_decay: float | None = None
    """Of `survivor_advantages`; None for another estimator."""
    extremes: tuple[int, int] | None = None
    """Best and worst members of a group that are trained; None trains all."""

    def __call__(
        self, scored: Scored, spare: Callable[[], Iterator[Row]], score: Callable[[list[Row]], Scored]
    ) -> Update:
        """Filter, resample, estimate, choose; see `refill` for the arguments."""
        clock = _Clock()
        pieces, metrics = refill(scored, self.rule, self.group_size, spare, clock.waiting(score))
        kept = join_scored(pieces, self.pad_id)
        advantages = self._advantages(kept)
        total = over_ranks(0 if kept is None else len(kept.rewards))
        told: dict[int, float] = {}
        if kept is None or advantages is None:
            batch, divisor = _nothing(scored), _Divisor(None, 0)
        else:
            chosen, divisor = self._choose(kept)
            means = _means(advantages, kept.batch["completion_mask"])
            told = {kept.places[row]: means[row] for row in chosen}
            batch = {**kept.batch, "advantages": advantages}
            batch = take_rows(batch, chosen) if len(chosen) < len(kept.rewards) else batch
            if self.loss_type in _ROW_MEANS and (weight := len(kept.rewards) * world_size() / total) != 1:
                batch["loss_weight"] = torch.tensor(weight)  # processes hold other numbers of rows
        if self.rule.filter != "none" or self.rule.keep is not None or self.extremes is not None:
            items = over_ranks(divisor.tokens)
            batch["num_items_in_batch"] = torch.tensor(items, device=batch["completion_mask"].device)
        if self.rule.keep is not None or self.extremes is not None:
            metrics["selection/kept_fraction"] = len(told) / len(scored.rewards)
        if self.rule.resample_rounds:
            metrics["resample/seconds"] = clock.waited
        metrics["speed/estimator_seconds"] = clock.seconds()
        return Update(batch, divisor.rows, told, total == 0, metrics)

    def _advantages(self, kept: Scored | None) -> torch.Tensor | None:
        """(B,), or (B, T) over survivors; None without rows."""
        groups = [] if kept is None else by_group(kept.rewards, self.group_size)
        values = self._relative(groups) if self.rule.replaces and self.rule.keep is None else []
        if kept is None:
            return None
        if self.survivor_decay is not None:
            return self._of_survivors(kept, self.survivor_decay)
        if not self.rule.replaces:
            own: torch.Tensor = kept.batch["advantages"]
            return own
        if (keep := self.rule.keep) is not None:
            counted = by_group(_unmasked(kept), self.group_size)
            members = zip(counted, by_group(kept.lengths, self.group_size), strict=True)
            values = [gfpo_advantages(r, n, keep=keep, by=self.rule.keep_by) for r, n in members]
        return torch.tensor([value for group in values for value in group], device=kept.batch["completion_mask"].device)

    def _relative(self, groups: list[list[float | None]]) -> list[list[float]]:
        """Of this process's groups, compared with those of all."""
        shares = gather_lists(groups)
        values = relative_advantages(
            [group for share in shares for group in share],
            baseline=self.rule.baseline or "group_mean",
            scale=self.rule.scale or "none",
            std_floor=self.rule.std_floor,
        )
        before = sum(len(share) for share in shares[: rank()])
        return values[before : before + len(groups)]

    def _of_survivors(self, kept: Scored, decay: float) -> torch.Tensor:
        """(B, T), zero where the completion mask is."""
        mask = kept.batch["completion_mask"]
        advantages_BT = torch.zeros(mask.shape, device=mask.device)
        row = 0
        groups = zip(by_group(kept.rewards, self.group_size), by_group(kept.lengths, self.group_size), strict=True)
        for rewards, lengths in groups:
            for own in survivor_advantages(rewards, lengths, decay=decay):
                advantages_BT[row, : len(own)] = torch.tensor(own)
                row += 1
        return advantages_BT

    def _choose(self, kept: Scored) -> tuple[list[int], _Divisor]:
        """Rows that are trained, and what a loss divides by."""
        lengths, size = kept.lengths, self.group_size
        if (keep := self.rule.keep) is not None:
            groups = zip(by_group(_unmasked(kept), size), by_group(lengths, size), strict=True)
            members = [gfpo_members(r, n, keep=keep, by=self.rule.keep_by) for r, n in groups]
            chosen = [group * size + member for group, own in enumerate(members) for member in own]
            # Eq. 2 of GFPO divides by the tokens of all members, though the others move nothing
            return chosen or [0], _Divisor(len(lengths), sum(lengths))
        if self.extremes is not None:
            chosen = select_extremes(_unmasked(kept), size, *self.extremes)
            return chosen, _Divisor(len(lengths) // size * sum(self.extremes), sum(lengths[row] for row in chosen))
        return list(range(len(lengths))), _Divisor(None, sum(lengths))


@dataclass(frozen=True)
class _Divisor:
    """What a loss of this process averages over: rows (None: those of the batch), or tokens."""

    rows: int | None
    tokens: int


def _unmasked(kept: Scored) -> list[float | None]:
    """Rewards, none for a completion that TRL masks whole (`mask_truncated_completions`): nothing of it is trained."""
    return [reward if length else None for reward, length in zip(kept.rewards, kept.lengths, strict=True)]


def _nothing(scored: Scored) -> dict[str, Any]:
    """One row that weighs nothing, for a process that has nothing to learn from: the others wait for its backward."""
    lengths = scored.lengths
    shortest = min(range(len(lengths)), key=lambda row: lengths[row] or math.inf)
    batch = take_rows(scored.batch, [shortest])
    silent = torch.zeros(1, device=batch["completion_mask"].device)
    return {**batch, "advantages": silent, "loss_weight": torch.zeros(())}


def _means(advantages: torch.Tensor, mask_BT: torch.Tensor) -> list[float]:
    """Of each completion: its own, or the mean over its tokens."""
    if advantages.dim() == 2:
        advantages = advantages.sum(dim=1) / mask_BT.sum(dim=1).clamp(min=1)
    return [float(value) for value in advantages.tolist()]


class _Clock:
    """Seconds since it was made, and among them those that engines and rewards took."""

    def __init__(self) -> None:
        self._started = time.perf_counter()
        self.waited = 0.0

    def waiting(self, score: Callable[[list[Row]], Scored]) -> Callable[[list[Row]], Scored]:
        """The same call, counted as waiting."""

        def timed(rows: list[Row]) -> Scored:
            asked = time.perf_counter()
            try:
                return score(rows)
            finally:
                self.waited += time.perf_counter() - asked

        return timed

    def seconds(self) -> float:
        """Without the waiting."""
        return time.perf_counter() - self._started - self.waited
