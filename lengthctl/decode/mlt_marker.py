"""Meta length tokens as plain text, for models whose vocabulary can't be extended."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

from lengthctl.config import read_table
from lengthctl.decode.control import Context, Draw, Steps, Task, needs_a_length, outcome_of
from lengthctl.length import Target
from lengthctl.mlt import mark_request
from lengthctl.mlt_table import MltTable
from lengthctl.registry import register
from lengthctl.rollout.backend import Ability

__all__ = ["MetaLengthMarker"]

_MARKER_TOKENS = 16


@register("control", "mlt_marker")
@dataclass(frozen=True)
class MetaLengthMarker:
    """End the request with the target's token as plain text, e.g. `[MLT:50]`, and name no length in words.

    For models tuned on the `marked` rows of `lengthctl data ruler --markers`, on any endpoint. Ours, after Ruler, arXiv
    2409.18943.
    """

    table: str = "ruler"
    """`ruler`, `paper`, `fm`, or a .json file: the one that the rows were made with."""
    needs: ClassVar[frozenset[Ability]] = frozenset()

    def __post_init__(self) -> None:
        _ = self.tokens

    @cached_property
    def tokens(self) -> MltTable:
        """The table, read once."""
        return read_table(self.table)

    def refuses(self, target: Target | None) -> str | None:
        """No target, or one that the table has no token for."""
        if target is None:
            return needs_a_length(target)
        try:
            self.tokens.token_for_target(target)
        except ValueError as error:
            return f"has no token ({error})"
        return None

    def room(self, task: Task, limit: int) -> int:
        """The text and the marker."""
        return limit + _MARKER_TOKENS

    def steps(self, task: Task, context: Context) -> Steps:
        """See the class."""
        assert task.target is not None
        token = self.tokens.token_for_target(task.target)
        (completion,) = yield [Draw(mark_request(task.request or task.messages, token), context.sampling)]
        return outcome_of(completion)
