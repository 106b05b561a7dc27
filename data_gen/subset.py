"""A small set of good rows: duplicates away, then even over languages and lengths, the best first.

Source: that few but good rows are enough is of Minimum Tuning, arXiv 2410.10210. Ours: the classes, the even quotas,
the order. The same rows, in whatever order they come, give the same choice.
"""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from lengthctl.data_gen.filters import DropReason
from lengthctl.prompts import stable_hash

if TYPE_CHECKING:
    import numpy as np

__all__ = ["Passed", "even_quotas"]


def even_quotas(counts: Mapping[str, int], size: int) -> dict[str, int]:
    """How many rows each class gives to a set of `size`: equally many, and what one lacks is shared by the others.

    Where the rest of the division cannot be shared, the first classes by name get it. The sum is `size`, or all rows
    where there are fewer.

    Raises:
        ValueError: a size or a count below 0.
    """
    if size < 0 or min(counts.values(), default=0) < 0:
        raise ValueError(f"sizes and counts are from 0, found {size} and {dict(counts)}")
    quotas: dict[str, int] = {}
    left = size
    for place, name in enumerate(sorted(counts, key=lambda name: (counts[name], name))):
        quotas[name] = min(counts[name], left // (len(counts) - place))
        left -= quotas[name]
    # each class took the floor of its share, so at most a few rows are left for those that have more
    for name in sorted(counts):
        more = min(left, int(quotas[name] < counts[name]))
        quotas[name] += more
        left -= more
    return quotas


class Passed:
    """Rows that passed the filters, about 60 bytes each."""

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._ranks, self._ties, self._at = array("Q"), array("Q"), array("Q")
        self._words, self._qualities = array("Q"), array("d")
        self._cells, self._sources = array("L"), array("L")
        self.cells: list[str] = []
        """Names of the classes."""
        self._numbers: dict[str, int] = {}

    def add(self, content: str, name: str, *, cell: str, source: int, at: int, words: int, quality: float) -> None:
        """One row.

        Args:
            content: digest of what it holds; rows of the same content are told apart by `name`.
            name: source and id.
            cell: its class.
            source: number of its source.
            at: where it is to be found again.
            words: length of its text.
            quality: in [0, 1]; the best are chosen.
        """
        if cell not in self._numbers:
            self._numbers[cell] = len(self.cells)
            self.cells.append(cell)
        self._ranks.append(stable_hash(f"{self._seed}|{content}"))
        self._ties.append(stable_hash(f"{self._seed}|{content}|{name}"))
        self._cells.append(self._numbers[cell])
        self._sources.append(source)
        self._at.append(at)
        self._words.append(words)
        self._qualities.append(quality)

    def __len__(self) -> int:
        return len(self._ranks)

    def source(self, i: int) -> int:
        """Its source."""
        return self._sources[i]

    def at(self, i: int) -> int:
        """Where it is to be found."""
        return self._at[i]

    def cell(self, i: int) -> str:
        """Its class."""
        return self.cells[self._cells[i]]

    def quality(self, i: int) -> float:
        """As it was given."""
        return self._qualities[i]

    def longest_first(self) -> Iterator[int]:
        """All of them: of two texts for one request, the longer is the one to keep (Self-Lengthen's final set)."""
        return self._ordered(self._words)

    def distinct(self, refuse: Callable[[int], DropReason | None]) -> Iterator[tuple[int, DropReason | None]]:
        """Every row, the longest first, with the reason why it is left out; None is kept.

        Args:
            refuse: why a row is not wanted beside those that are kept; it is asked once about each, in this order.
        """
        return ((i, refuse(i)) for i in self.longest_first())

    def best(self, kept: Sequence[int], size: int | None) -> list[int]:
        """Of these rows at most `size`, even over the classes; in each the best, equals by their hash. In the order of
        their hashes."""
        counts = Counter(self._cells[i] for i in kept)
        quotas = even_quotas({self.cells[cell]: n for cell, n in counts.items()}, len(kept) if size is None else size)
        wanted, chosen = set(kept), []
        for i in self._ordered(self._qualities):
            name = self.cells[self._cells[i]]
            if i in wanted and quotas[name] > 0:
                quotas[name] -= 1
                chosen.append(i)
        return sorted(chosen, key=lambda i: (self._ranks[i], self._ties[i]))

    def _ordered(self, highest: Iterable[float]) -> Iterator[int]:
        import numpy as np

        values: np.ndarray[Any, Any] = np.asarray(highest, dtype=np.float64)
        return map(int, np.lexsort([np.asarray(self._ties), np.asarray(self._ranks), -values]))
