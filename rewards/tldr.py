"""TldrReward: see the class."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from lengthctl.levels import LEVELS
from lengthctl.registry import register
from lengthctl.rewards.arora_zanette import length_sigmoids
from lengthctl.rewards.completions import Completions
from lengthctl.rewards.graded import Graded, Scope, graded, score_groups
from lengthctl.rewards.groups import group_places
from lengthctl.rewards.lcpo import credit_of_spare

__all__ = ["TldrReward"]


@register("reward", "tldr")
@dataclass(frozen=True)
class TldrReward:
    """[right] - cost, the cost of length by the level that the prompt asks for: the column `level`, one of three.

    Length in tokens; result in [0, 1] (`gate: all`: from -1); None for a row without level or answer. A group has one
    level: mixed, obeying `short` would look worse than ignoring `long`.
    Source: TLDR, arXiv 2505.07961: r - cost(L) under GRPO, cost chosen by the level in the prompt. Its cost is not
    published: forms, weights and gate are ours.
    """

    highest: ClassVar[float] = 1.0
    scope: ClassVar[Scope] = "group"
    columns: ClassVar[tuple[str, ...]] = ("answer", "level")

    form: Literal["linear", "sigmoid_group", "lcpo"] = "linear"
    """Cost as share of the level's weight. `linear`: n / `max_tokens`, at most 1; `sigmoid_group`: as `arora_zanette`,
    among the right ones of the group; `lcpo`: 1 - clip(`alpha` (T - n) + 0.5, 0, 1), T the level's tokens."""
    gate: Literal["correct_only", "all"] = "correct_only"
    """Who pays; with `all`, a group without a right answer learns nothing but to be short."""
    short: float = 0.5
    """Weight of the cost at level short, in [0, 1]."""
    medium: float = 0.25
    """The same at level medium."""
    long: float = 0.0
    """The same at level long."""
    max_tokens: int = 1024
    """Of `linear`: length that costs the whole weight; set it to the run's limit."""
    short_tokens: int = 256
    """Of `lcpo`: T at level short; at least 1."""
    medium_tokens: int = 512
    """The same at level medium."""
    long_tokens: int = 1024
    """The same at level long."""
    alpha: float = 0.0003
    """Of `lcpo`: slope per token; above 0."""

    def __post_init__(self) -> None:
        if not all(0 <= weight <= 1 for weight in (self.short, self.medium, self.long)):
            raise ValueError("short, medium and long are in [0, 1]")
        if min(self.max_tokens, self.short_tokens, self.medium_tokens, self.long_tokens) < 1 or self.alpha <= 0:
            raise ValueError("tokens are at least 1, and alpha is above 0")

    @property
    def lowest(self) -> float:
        """A wrong answer that pays its level's whole cost, or none."""
        return 0.0 if self.gate == "correct_only" else -max(self.short, self.medium, self.long)

    def __call__(self, completions: Completions, **columns: Any) -> list[float | None]:
        """One value a completion.

        Raises:
            ValueError: no column `level`, or another level than the three.
        """
        levels = columns.get("level")
        if levels is None:
            raise ValueError("the column level is missing; give the prompts levels")
        for level in levels:
            if level is not None and level not in LEVELS:
                raise ValueError(f"a level is one of {', '.join(LEVELS)}, found {level!r}")
        rows = graded(completions, columns)
        shares: Sequence[float | None] = [None] * len(rows)
        if self.form == "sigmoid_group":
            shares = score_groups(rows, group_places(len(rows), columns), length_sigmoids)
        values: list[float | None] = []
        for row, level, share in zip(rows, levels, shares, strict=True):
            if row is None or level is None:
                values.append(None)
                continue
            cost = getattr(self, level) * (self._share(row, level) if share is None else share)
            values.append(row.is_correct - cost if row.is_correct or self.gate == "all" else 0.0)
        return values

    def _share(self, row: Graded, level: str) -> float:
        if self.form == "linear":
            return min(1.0, row.tokens / self.max_tokens)
        return 1 - credit_of_spare(getattr(self, f"{level}_tokens") - row.tokens, self.alpha, 0.5)
