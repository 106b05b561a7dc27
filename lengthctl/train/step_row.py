"""One completion that a step drew, with all that is known of it once the step is planned."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from lengthctl.records import Completion, FinishReason

__all__ = ["PARTS", "StepRow", "by_drawn_group"]

PARTS = "reward_parts/"
"""What the columns of reward parts begin with, as their means do in the log."""


@dataclass(frozen=True)
class StepRow:
    """A completion, what it was asked, earned and moves."""

    completion: Completion
    """What came."""
    reward: float | None
    """None: it does not count."""
    group: int
    """Number of its group in this step, over all trainer processes."""
    prompt_id: Any = None
    """The data set's name of the prompt."""
    prompt: Any = None
    """Messages or text."""
    target: Mapping[str, Any] | None = None
    """`Target.to_row`."""
    level: str | None = None
    """The length level that the prompt asks for, where the data set has some."""
    is_correct: bool | None = None
    """Its answer is right; None where it cannot be checked."""
    columns: Mapping[str, Any] = field(default_factory=dict)
    """What rewards tell of it (TRL's `log_extra`), by column."""
    advantage: float | None = None
    """Mean over its tokens; None: it is not trained."""
    is_resampled: bool = False
    """Drawn in place of a group that taught nothing: it would shift the measures of the step's own draw."""

    @property
    def is_failed(self) -> bool:
        """No text came."""
        return self.completion.finish is FinishReason.ERROR

    @property
    def parts(self) -> dict[str, float | None]:
        """Values of the reward's parts by name, before weights and gates; None where one does not apply."""
        told = {name.removeprefix(PARTS): value for name, value in self.columns.items() if name.startswith(PARTS)}
        return {name: float(value) if isinstance(value, int | float) else None for name, value in told.items()}


def by_drawn_group(rows: Sequence[StepRow]) -> list[list[StepRow]]:
    """The rows of each group, groups and rows in the order in which they come."""
    groups: dict[int, list[StepRow]] = {}
    for row in rows:
        groups.setdefault(row.group, []).append(row)
    return list(groups.values())
