"""Tell the model its count and ask for a new version."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from lengthctl.decode.control import Context, Draw, Steps, Task, needs_a_length, outcome_of
from lengthctl.length import Target
from lengthctl.prompts import describe_target, name_unit
from lengthctl.records import Completion
from lengthctl.registry import register
from lengthctl.rollout.backend import Ability
from lengthctl.scoring import HIT_SLACK, HIT_TOLERANCE, hit_band

__all__ = ["Revise"]

_TURN_TOKENS = 64


@register("control", "revise")
@dataclass(frozen=True)
class Revise:
    """After each text outside the band, the conversation goes on with its count and the request for another version.

    Kept: the text nearest to the target. Each round shows the model its last version only. Source: draft and revise is
    the usual baseline of length control (arXiv 2508.13805 compares with it); the words are ours.
    """

    rounds: int = 3
    """Versions in all."""
    tolerance: float = HIT_TOLERANCE
    """Relative half-width of the band of an exact target."""
    slack: int = HIT_SLACK
    """Its least half-width, in the target's unit."""
    needs: ClassVar[frozenset[Ability]] = frozenset()

    def __post_init__(self) -> None:
        if self.rounds < 1:
            raise ValueError(f"rounds is at least 1, found {self.rounds}")

    def refuses(self, target: Target | None) -> str | None:
        """A text without a length."""
        return needs_a_length(target)

    def room(self, task: Task, limit: int) -> int:
        """The last version, what is said of it, and the next."""
        return 2 * limit + _TURN_TOKENS

    def steps(self, task: Task, context: Context) -> Steps:
        """See the class."""
        target = task.target
        assert target is not None
        band = hit_band(target, self.tolerance, self.slack)
        messages = task.messages
        best: tuple[tuple[bool, float], Completion] | None = None
        for _ in range(self.rounds):
            (completion,) = yield [Draw(messages, context.sampling)]
            length = context.count(completion.text, target)
            rank = (completion.is_truncated, abs(length - target.reference(length)))
            if best is None or rank < best[0]:
                best = rank, completion
            if length in band and not completion.is_truncated:
                break
            change = "Shorten" if length > target.reference(length) else "Lengthen"
            ask = f"That was {length} {name_unit(target.unit, length)}. {change} it to {describe_target(target)}."
            messages = (
                *task.messages,
                {"role": "assistant", "content": completion.text},
                {"role": "user", "content": ask},
            )
        assert best is not None
        return outcome_of(best[1])
