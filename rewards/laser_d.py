"""LaserDReward: see the class."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from lengthctl.degeneration import repetition
from lengthctl.registry import register
from lengthctl.rewards.completions import Completions, text_of
from lengthctl.rewards.graded import Graded, Scope, graded, is_evaluation
from lengthctl.rewards.groups import group_places
from lengthctl.rewards.laser import step_reward
from lengthctl.rewards.length_monitor import LengthMonitor, difficulty

__all__ = ["LaserDReward"]

_TAIL_CHARACTERS = 2000
_TAIL_REPETITION = 0.5


@register("reward", "laser_d")
@dataclass
class LaserDReward:
    """`laser` with a target for each difficulty, by the share right of the group: at least 2/3, at least 1/3, less.

    Every `every` steps the targets are chosen anew from the completions since the last choice (`LengthMonitor`); until
    the first all are `start_tokens`. Targets and what was seen are the memory of this reward. With `explore`
    (LASER-DE) a wrong answer above its target gets `bonus` back, unless the last 2000 characters repeat themselves
    (half of their word trigrams; ours). Length in tokens; result in [wrong, 1 + bonus]; None for a row without answer.
    Source: LASER-D and -DE, arXiv 2505.15612, Sec. 5 and Table 2. Differs from the paper: it monitors 500 prompts that
    it samples for that, we the training steps; each trainer process has its own.
    """

    scope: ClassVar[Scope] = "batch"
    columns: ClassVar[tuple[str, ...]] = ("answer",)

    explore: bool = False
    """LASER-DE."""
    start_tokens: int = 4096
    """Target of all before the first choice; at least 1."""
    spacing: int = 1024
    """Tokens between the targets to choose from, and the least of them; at least 1."""
    max_tokens: int = 16384
    """The greatest target; at least `spacing`. Set it to the run's limit."""
    every: int = 20
    """Training steps between two choices; at least 1."""
    bonus: float = 0.5
    """At least 0."""
    wrong: float = -0.5
    """Below 1."""

    def __post_init__(self) -> None:
        if self.bonus < 0 or self.wrong >= 1:
            raise ValueError(f"bonus is at least 0 and wrong below 1, found {self.bonus} and {self.wrong}")
        self._monitor = LengthMonitor(self.start_tokens, self.spacing, self.max_tokens, self.every)

    @property
    def lowest(self) -> float:
        """A wrong answer."""
        return self.wrong

    @property
    def highest(self) -> float:
        """Right, within the target."""
        return max(1.0, self.wrong + self.bonus * self.explore, 1 + self.bonus)

    def __call__(self, completions: Completions, **columns: Any) -> list[float | None]:
        """One value a completion."""
        rows = graded(completions, columns)
        values: list[float | None] = [None] * len(rows)
        groups = [[place for place in places if rows[place]] for places in group_places(len(rows), columns)]
        learns = not is_evaluation(columns)
        if learns:
            self._monitor.begin_step(columns)
        for places in groups:
            group = [row for place in places if (row := rows[place]) is not None]
            if group:
                target = self._monitor.targets[difficulty(group)]
                for place, row in zip(places, group, strict=True):
                    values[place] = self._score(row, text_of(completions[place]), target)
                if learns:
                    self._monitor.add(group)
        return values

    def state_dict(self) -> dict[str, Any]:
        """The targets, and the lengths since they were chosen."""
        return self._monitor.state_dict()

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """As `state_dict` gave it."""
        self._monitor.load_state_dict(state)

    def _score(self, row: Graded, text: str, target: int) -> float:
        value = step_reward(row, target, self.bonus, self.wrong)
        if self.explore and not row.is_correct and row.tokens > target:
            tail = text[-_TAIL_CHARACTERS:]
            return value if repetition(tail) >= _TAIL_REPETITION else value + self.bonus
        return value
