"""Sample until a text is in the band or the budget is spent, and keep the closest."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from lengthctl.decode.control import Context, Draw, Steps, Task, needs_a_length, outcome_of
from lengthctl.length import Target
from lengthctl.records import Completion
from lengthctl.registry import register
from lengthctl.rollout.backend import Ability
from lengthctl.scoring import HIT_SLACK, HIT_TOLERANCE, hit_band

__all__ = ["Retry"]


@register("control", "retry")
@dataclass(frozen=True)
class Retry:
    """Draw `batch` completions at once, again and again up to `budget`; the first round that hits the band ends it.

    Kept: the text nearest to the target, one that the limit cut only where there is no other. With `batch` = `budget`
    it is best of n.
    """

    budget: int = 8
    """Completions in all."""
    batch: int = 4
    """Completions of one round."""
    tolerance: float = HIT_TOLERANCE
    """Relative half-width of the band of an exact target."""
    slack: int = HIT_SLACK
    """Its least half-width, in the target's unit."""
    needs: ClassVar[frozenset[Ability]] = frozenset()

    def __post_init__(self) -> None:
        if not 1 <= self.batch <= self.budget:
            raise ValueError(f"1 <= batch <= budget is needed, found {self.batch} and {self.budget}")

    def refuses(self, target: Target | None) -> str | None:
        """A text without a length."""
        return needs_a_length(target)

    def room(self, task: Task, limit: int) -> int:
        """The text."""
        return limit

    def steps(self, task: Task, context: Context) -> Steps:
        """See the class."""
        target = task.target
        assert target is not None
        band = hit_band(target, self.tolerance, self.slack)
        best: tuple[tuple[bool, float], Completion] | None = None
        left = self.budget
        while left > 0:
            count = min(self.batch, left)
            left -= count
            for completion in (yield [Draw(task.messages, context.sampling)] * count):
                rank = (completion.is_truncated, context.misses_by(completion.text, target))
                if best is None or rank < best[0]:
                    best = rank, completion
            assert best is not None
            if not best[1].is_truncated and context.count(best[1].text, target) in band:
                break
        assert best is not None
        return outcome_of(best[1])
