"""Quotas: at most so many rows of each class, chosen by a hash, so that neither the order of the rows nor an
interruption changes the choice.
"""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Callable, Iterator
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from lengthctl.data_gen.filters import DropReason
from lengthctl.prompts import stable_hash

if TYPE_CHECKING:
    import numpy as np

__all__ = ["BYTES_PER_CANDIDATE", "Candidates", "Fill", "fill_quotas"]

BYTES_PER_CANDIDATE = 28
"""Kept of each row; half as much again while they are put in order."""


class Fill(StrEnum):
    """Which source fills a class."""

    MIXED = "mixed"
    """All together: every row of a class is as likely as another. Ours."""
    ORDERED = "ordered"
    """The sources one after the other, each shuffled: the second gives what the first lacks. Ruler's code."""


class Candidates:
    """Rows that may be chosen, a few numbers each.

    A row's place in the order is a hash of the seed and its content; rows of the same content are told apart by `name`.
    """

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._ranks, self._ties, self._at = array("Q"), array("Q"), array("Q")
        self._labels, self._sources = array("H"), array("H")

    def add(self, content: str, name: str, *, label: int, source: int, at: int) -> None:
        """One row.

        Args:
            content: digest of what it holds.
            name: what else tells it from others, such as its source and id.
            label, source: numbers of its class and its source, below 65,536.
            at: where it is to be found again.
        """
        self._ranks.append(stable_hash(f"{self._seed}|{content}"))
        self._ties.append(stable_hash(f"{self._seed}|{content}|{name}"))
        self._labels.append(label)
        self._sources.append(source)
        self._at.append(at)

    def __len__(self) -> int:
        return len(self._ranks)

    def label(self, i: int) -> int:
        """Its class."""
        return self._labels[i]

    def source(self, i: int) -> int:
        """Its source."""
        return self._sources[i]

    def at(self, i: int) -> int:
        """Where it is to be found."""
        return self._at[i]

    def in_order(self, fill: Fill) -> Iterator[int]:
        """All of them, the first to be chosen first."""
        import numpy as np

        keys: list[np.ndarray[Any, Any]] = [np.asarray(self._ties), np.asarray(self._ranks)]
        if fill is Fill.ORDERED:
            keys.append(np.asarray(self._sources))
        return map(int, np.lexsort(keys))

    def shuffled(self, chosen: list[int]) -> list[int]:
        """These in the order of their hashes, whatever their source."""
        return sorted(chosen, key=lambda i: (self._ranks[i], self._ties[i]))


def fill_quotas(
    candidates: Candidates, cap: int | None, fill: Fill, refuse: Callable[[int], DropReason | None]
) -> Iterator[tuple[int, DropReason | None]]:
    """Every candidate in its order, with the reason why it is not taken; None is taken.

    Args:
        candidates: see there.
        cap: at most so many of each class, at least 1; None for no limit.
        fill: how sources share a class.
        refuse: why a candidate is not wanted although its class has room, such as a duplicate of one that is taken; it
            is asked in order, and only about those.

    Raises:
        ValueError: a cap below 1.
    """
    if cap is not None and cap < 1:
        raise ValueError(f"the cap of a class is at least 1, found {cap}")
    taken = Counter[int]()
    for i in candidates.in_order(fill):
        label = candidates.label(i)
        reason = DropReason.OVER_QUOTA if cap is not None and taken[label] >= cap else refuse(i)
        taken[label] += reason is None
        yield i, reason
