"""The prompt as it is, one completion: what every other control is compared with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from lengthctl.decode.control import Context, Draw, Steps, Task, outcome_of
from lengthctl.length import Target
from lengthctl.registry import register
from lengthctl.rollout.backend import Ability

__all__ = ["Plain"]


@register("control", "plain")
@dataclass(frozen=True)
class Plain:
    """Ask, and take what comes."""

    needs: ClassVar[frozenset[Ability]] = frozenset()

    def refuses(self, target: Target | None) -> str | None:
        """Nothing."""
        return None

    def room(self, task: Task, limit: int) -> int:
        """The text."""
        return limit

    def steps(self, task: Task, context: Context) -> Steps:
        """See the class."""
        (completion,) = yield [Draw(task.messages, context.sampling)]
        return outcome_of(completion)
