"""Batches of conversations by length: rows are never cut, padded to near-equal rows or laid out without padding.

What dataset decomposition (arXiv 2405.13226) gives raw text, for rows that stay whole: a batch holds rows of one power
of two in length, and every batch about as many tokens. Ours.

How many batches there are, and of how many rows or tokens, is settled once; an epoch only draws which rows stand
together, and the order of the batches. So the number of steps is known before the first, all epochs have it, and the
batches that a resumed run skips are those that it has seen.
"""

from __future__ import annotations

import random
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from heapq import heapify, heappop, heappush
from itertools import cycle, islice, takewhile
from typing import Literal

from lengthctl.errors import DataError

__all__ = ["BatchMode", "BucketBatches", "bucket_of", "padding_share"]

BatchMode = Literal["buckets", "shuffled", "sorted_chunks", "packed"]

_TINY = 4
"""A last batch that fills less than one part in so many of the budget makes a step of too few tokens."""
_CHUNK_BATCHES = 8
"""Batches among which neighbours in length are mixed: more mix better, and pad more."""
_LOOKS = 4
"""Packs that a row tries at random before it takes the emptiest."""
_TRIALS = 3
"""Draws that have to succeed with a number of packs before it is settled, and twice as many that an epoch tries."""


def bucket_of(length: int) -> int:
    """The smallest k with 2^k at or above the length, in tokens."""
    return (length - 1).bit_length()


def padding_share(batches: Sequence[Sequence[int]], lengths: Sequence[int]) -> float:
    """Share of the computed tokens that is padding when each batch is padded to its longest row; in [0, 1)."""
    computed = sum(len(batch) * max(lengths[row] for row in batch) for batch in batches)
    return 1 - sum(lengths[row] for batch in batches for row in batch) / computed if computed else 0.0


class BucketBatches:
    """Lists of row numbers, one a batch; an epoch holds every row once. A batch sampler for torch's `DataLoader`.

    A row longer than the budget stands alone. Any other batch stays within `token_budget` tokens: its rows times its
    longest row, or in mode `packed` the sum of its rows.

    - `buckets`: rows of one power of two in length (`bucket_of`). A bucket's last batch may be small; one below a
      quarter of the budget goes to the next power of two, where that has room for it in its own last batch.
    - `sorted_chunks`: rows in order of length, cut into chunks of a few batches and mixed within them; fuller batches
      than those of `buckets`.
    - `shuffled`: rows at random, as many to a batch as would fit were all the longest; what a plain trainer does, and
      slow where lengths differ much.
    - `packed`: for rows that are laid out without padding. Every pack begins with one of the longest rows; the others,
      the longest first, join one at random that has room, in as few packs as that works out with. On simulated lengths
      these are at most 2% more than best fit decreasing makes of all rows at once (7% where every row is near a third
      of the budget), which would put the same rows together again each epoch.

    Order and rows follow from the seed and the epoch alone. In epoch 0 the batch of most tokens comes first, so that
    too little memory shows at once.

    With several processes each takes one batch of every step; the batches of a step stand next to each other in length,
    so that none waits long for another. All processes have as many batches: where an epoch's do not come out even, a
    few of them are repeated (fewer than there are processes, drawn anew each epoch); nothing is dropped.

    Args:
        lengths: tokens a row, at least 1.
        token_budget: tokens of a batch of one process.
        seed: of the run.
        mode: see above.
        rank, world: this process's number, and of how many.

    Raises:
        DataError: a row without tokens.
        ValueError: a budget below 1, a rank that is none of the world, or no such mode.
    """

    def __init__(
        self,
        lengths: Sequence[int],
        token_budget: int,
        seed: int,
        *,
        mode: BatchMode = "buckets",
        rank: int = 0,
        world: int = 1,
    ) -> None:
        if token_budget < 1 or not 0 <= rank < world:
            raise ValueError(f"a budget of {token_budget} tokens for process {rank} of {world} makes no batches")
        lengths = [int(length) for length in lengths]
        empty = next((row for row, length in enumerate(lengths) if length < 1), None)
        if empty is not None:
            raise DataError(f"row {empty} has no tokens", "Leave it out")
        self.epoch = 0
        self._lengths = lengths
        self._seed = seed
        self._rank = rank
        self._world = world
        self._is_packed = mode == "packed"
        ordered = sorted(range(len(lengths)), key=lambda row: (lengths[row], row))
        within = ordered[: bisect_right(ordered, token_budget, key=lambda row: lengths[row])]
        self._alone = [[row] for row in ordered[len(within) :]]
        self._source: _Padded | _Packed
        if mode == "packed":
            self._source = _Packed.settle(within, lengths, token_budget)
        else:
            self._source = _Padded.plan(within, lengths, token_budget, mode)
        self._count = self._source.count + len(self._alone)

    def set_epoch(self, epoch: int) -> None:
        """The epoch that is iterated next, from 0; transformers calls it."""
        self.epoch = epoch

    def __len__(self) -> int:
        """Batches of this process in any epoch."""
        return -(-self._count // self._world)

    def __iter__(self) -> Iterator[list[int]]:
        generator = random.Random(f"{self._seed}-{self.epoch}")
        batches = [*self._source.draw(generator), *self._alone]
        if not batches:
            return
        again = islice(cycle(generator.sample(batches, len(batches))), -len(batches) % self._world)
        batches += list(again)
        steps = [batches[start : start + self._world] for start in range(0, len(batches), self._world)]
        generator.shuffle(steps)
        for step in steps:
            generator.shuffle(step)
        if self.epoch == 0:
            heaviest = max(range(len(steps)), key=lambda place: max(map(self._tokens, steps[place])))
            steps[0], steps[heaviest] = steps[heaviest], steps[0]
        for step in steps:
            yield list(step[self._rank])

    def _tokens(self, batch: Sequence[int]) -> int:
        needed = [self._lengths[row] for row in batch]
        return sum(needed) if self._is_packed else len(needed) * max(needed)


@dataclass(frozen=True)
class _Padded:
    """Batches as the numbers of the pools that their rows come from, in order of length."""

    pools: list[list[int]]
    """Rows that may stand in for each other."""
    batches: list[list[int]]

    @classmethod
    def plan(cls, ordered: Sequence[int], lengths: Sequence[int], budget: int, mode: BatchMode) -> _Padded:
        """Of rows in order of length that all fit the budget."""
        pools = _pools(ordered, lengths, budget, mode)
        return cls(pools, _slices(pools, lengths, budget, merge=mode == "buckets"))

    @property
    def count(self) -> int:
        return len(self.batches)

    def draw(self, generator: random.Random) -> list[list[int]]:
        pools = [generator.sample(pool, len(pool)) for pool in self.pools]
        return [[pools[pool].pop() for pool in batch] for batch in self.batches]


def _pools(ordered: Sequence[int], lengths: Sequence[int], budget: int, mode: BatchMode) -> list[list[int]]:
    """Rows divided by what they may be batched with."""
    if mode == "shuffled":
        return [list(ordered)] if ordered else []
    if mode == "buckets":
        pools: dict[int, list[int]] = {}
        for row in ordered:
            pools.setdefault(bucket_of(lengths[row]), []).append(row)
        return list(pools.values())
    if mode == "sorted_chunks":
        chunks = []
        end = len(ordered)
        while end:  # from the longest on, which says how many rows fit
            begin = max(0, end - _CHUNK_BATCHES * (budget // lengths[ordered[end - 1]]))
            chunks.append(list(ordered[begin:end]))
            end = begin
        return chunks[::-1]
    raise ValueError(f"{mode} is no way to batch; use buckets, sorted_chunks, shuffled or packed")


def _slices(pools: Sequence[Sequence[int]], lengths: Sequence[int], budget: int, *, merge: bool) -> list[list[int]]:
    """Batches of as many rows as fit at the longest length of their pool; tiny last ones go on where `merge`."""
    batches: list[list[int]] = []
    carried: list[int] = []
    for number, pool in enumerate(pools):
        longest = lengths[pool[-1]]
        capacity = budget // longest
        whole, rest = divmod(len(pool), capacity)
        batches += [[number] * capacity] * whole
        last = [*carried, *[number] * rest]
        above = pools[number + 1] if number + 1 < len(pools) else None
        room = 0
        if merge and not carried and above and bucket_of(lengths[above[-1]]) == bucket_of(longest) + 1:
            room = -len(above) % (budget // lengths[above[-1]])
        carried = last if rest * longest * _TINY < budget and rest <= room else []
        if last and not carried:
            batches.append(last)
    return batches


@dataclass(frozen=True)
class _Packed:
    """Packs of one number in every draw."""

    rows: Sequence[int]
    lengths: Sequence[int]
    budget: int
    count: int
    spare: list[list[int]]
    """Packs for an epoch whose draws all find no room."""

    @classmethod
    def settle(cls, rows: Sequence[int], lengths: Sequence[int], budget: int) -> _Packed:
        """As few packs as some draws in a row find room in; as many as there are rows always do."""
        count = -(-sum(lengths[row] for row in rows) // budget)
        while True:
            trials = (_random_fit(rows, lengths, budget, count, random.Random(trial)) for trial in range(_TRIALS))
            found = list(takewhile(lambda packs: packs is not None, trials))
            if len(found) == _TRIALS and (spare := found[0]) is not None:
                return cls(rows, lengths, budget, count, spare)
            count = min(len(rows), count + max(1, count // 200))

    def draw(self, generator: random.Random) -> list[list[int]]:
        for _ in range(2 * _TRIALS):
            packs = _random_fit(self.rows, self.lengths, self.budget, self.count, generator)
            if packs is not None:
                return packs
        return [list(pack) for pack in self.spare]


def _random_fit(
    rows: Sequence[int], lengths: Sequence[int], budget: int, count: int, generator: random.Random
) -> list[list[int]] | None:
    """`count` packs, in order of their longest row; None where a row finds no room in any."""
    falling = sorted(generator.sample(rows, len(rows)), key=lambda row: -lengths[row])
    packs = [[row] for row in falling[:count]]
    rooms = [budget - lengths[row] for row in falling[:count]]
    emptiest = [(-room, pack) for pack, room in enumerate(rooms)]  # outdated entries stay until they come up
    heapify(emptiest)
    for row in falling[count:]:
        for _ in range(_LOOKS):
            pack = int(generator.random() * count)
            if rooms[pack] >= lengths[row]:
                break
        else:
            while -emptiest[0][0] != rooms[emptiest[0][1]]:
                heappop(emptiest)
            pack = emptiest[0][1]
            if rooms[pack] < lengths[row]:
                return None
        packs[pack].append(row)
        rooms[pack] -= lengths[row]
        heappush(emptiest, (-rooms[pack], pack))
    return packs
