"""What a judge is asked about, and in which form."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from lengthctl.judging_pairs import Pair

__all__ = ["Form", "Item", "JudgeItem", "PairItem"]


class Form(Protocol):
    """What is asked about an item and how the answer is read: a `judging.Rubric`, or `judging_pairs.PAIR_FORM`."""

    @property
    def names(self) -> tuple[str, ...]:
        """Of the scores in a verdict."""
        ...

    @property
    def digest(self) -> str:
        """Changes with all that is asked, but for the item."""
        ...

    def message(self, parts: Sequence[str]) -> str:
        """The one message to the judge about an item's parts."""
        ...

    def read(self, verdict: str, message: str) -> Mapping[str, float]:
        """Scores by name; ValueError where the verdict does not hold them."""
        ...


class Item(Protocol):
    """What is judged; `id` names it in the result and in scripts."""

    @property
    def id(self) -> str: ...

    @property
    def parts(self) -> tuple[str, ...]: ...


@dataclass(frozen=True)
class JudgeItem:
    """A text to grade and the request that it answers."""

    id: str
    request: str
    text: str

    @property
    def parts(self) -> tuple[str, ...]:
        """As a rubric's message takes them."""
        return self.request, self.text


@dataclass(frozen=True)
class PairItem:
    """Two answers to compare, in the order in which they are shown."""

    id: str
    pair: Pair

    @property
    def parts(self) -> tuple[str, ...]:
        """As the pair form's message takes them."""
        return self.pair.parts
