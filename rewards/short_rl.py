"""ShortRlReward: see the class."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any, ClassVar

from lengthctl.registry import register
from lengthctl.rewards.completions import Completions
from lengthctl.rewards.graded import Graded, Scope, graded, is_evaluation, score_groups
from lengthctl.rewards.groups import group_places

__all__ = ["ShortRlReward"]

_EPSILON = 1e-5


@register("reward", "short_rl")
@dataclass
class ShortRlReward:
    """[right] + [right] l: l = 0.5 up to `tolerance` above the shortest right one, else 0.5 - (n - min) / (max - min).

    min and max over the right completions of the group (+ 1e-5 in the divisor). l is off (0) for the whole call where
    its share right is more than `slack` below the best of all calls so far, which is the memory of this reward: length
    never costs more accuracy than that. Length in tokens; result in [0, 1.5]; None for a row without answer. With
    several trainer processes each has its own best.
    Source: Short-RL, arXiv 2505.12284, and its code, whose best accuracy is a global that a resumed run loses.
    """

    lowest: ClassVar[float] = 0.0
    highest: ClassVar[float] = 1.5
    scope: ClassVar[Scope] = "batch"
    columns: ClassVar[tuple[str, ...]] = ("answer",)

    tolerance: int = 100
    """Tokens above the shortest right completion that cost nothing; at least 0. The code has 100 for mathematics, 200
    for logic."""
    slack: float = 0.05
    """Accuracy below the best one, in [0, 1], from which on lengths cost nothing."""

    def __post_init__(self) -> None:
        if self.tolerance < 0 or not 0 <= self.slack <= 1:
            raise ValueError(f"tolerance >= 0 and slack in [0, 1], found {self.tolerance} and {self.slack}")
        self._best = 0.0

    def __call__(self, completions: Completions, **columns: Any) -> list[float | None]:
        """One value a completion."""
        rows = graded(completions, columns)
        known = [row.is_correct for row in rows if row is not None]
        if not known:
            return [None] * len(rows)
        accuracy = fmean(known)
        if not is_evaluation(columns):
            self._best = max(self._best, accuracy)
        is_on = accuracy >= self._best - self.slack
        score = self._score_group if is_on else _plain
        return score_groups(rows, group_places(len(rows), columns), score)

    def state_dict(self) -> dict[str, Any]:
        """The best share right of a call so far."""
        return {"best_accuracy": self._best}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """As `state_dict` gave it."""
        self._best = float(state["best_accuracy"])

    def _score_group(self, group: Sequence[Graded]) -> list[float]:
        right = [row.tokens for row in group if row.is_correct]
        if not right:
            return _plain(group)
        shortest, spread = min(right), max(right) - min(right) + _EPSILON
        scores = []
        for row in group:
            over = row.tokens - shortest
            term = 0.5 if over <= self.tolerance else 0.5 - over / spread
            scores.append(1 + term if row.is_correct else 0.0)
        return scores


def _plain(group: Sequence[Graded]) -> list[float]:
    return [float(row.is_correct) for row in group]
