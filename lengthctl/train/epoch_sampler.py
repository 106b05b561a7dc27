"""TRL's sampler with an order for each epoch, in which every batch holds its share of every target.

TRL 1.16's `RepeatSampler` draws one permutation after the other from a generator, of which nothing is kept: resumed
after its first epoch, a run begins again with the first epoch's prompts. And a batch of 8 prompts drawn at random lacks
one of four targets every third step, so lengths are pulled to whatever the others ask.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterator, Sequence

import torch
from trl.trainer.utils import RepeatSampler

__all__ = ["EpochSampler", "spread_strata"]


def spread_strata(order: Sequence[int], strata: Sequence[Hashable]) -> list[int]:
    """`order` (indices into `strata`) rearranged so that any stretch of it holds each stratum by its share.

    Within a stratum the order stays. The k-th of n members (from 0) stands at (k + 1/2) / n of the whole; equal places
    keep the order given. With equal strata every round of as many items as there are strata has one of each. Source:
    ours.
    """
    sizes = Counter(strata[index] for index in order)
    seen: Counter[Hashable] = Counter()
    places: dict[int, float] = {}
    for index in order:
        stratum = strata[index]
        places[index] = (seen[stratum] + 0.5) / sizes[stratum]
        seen[stratum] += 1
    return sorted(order, key=places.__getitem__)


class EpochSampler(RepeatSampler):  # type: ignore[misc]  # TRL is untyped
    """`RepeatSampler` whose permutation follows from the seed and the epoch; transformers calls `set_epoch`.

    `strata` names each row's stratum (its target); None draws from all rows alike. Without shuffling the rows keep
    their own order.
    """

    epoch = 0
    strata: Sequence[Hashable] | None = None

    def set_epoch(self, epoch: int) -> None:
        """The epoch that is iterated next."""
        self.epoch = epoch

    def __iter__(self) -> Iterator[int]:
        order = list(range(self.num_samples))
        if self.shuffle:
            self.generator.manual_seed((self.seed or 0) + self.epoch)
            order = torch.randperm(self.num_samples, generator=self.generator).tolist()
            order = spread_strata(order, self.strata) if self.strata else order
        whole = len(order) // self.batch_size * self.batch_size
        for start in range(0, whole, self.batch_size):
            for _ in range(self.repeat_count):
                for index in order[start : start + self.batch_size]:
                    yield from [index] * self.mini_repeat_count
