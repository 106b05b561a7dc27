"""TRL's sampler with an order for each epoch, so that a resumed run goes on with the prompts that are next.

TRL 1.16's `RepeatSampler` draws one permutation after the other from a generator, of which nothing is kept: resumed
after its first epoch, a run begins again with the first epoch's prompts.
"""

from __future__ import annotations

from collections.abc import Iterator

from trl.trainer.utils import RepeatSampler

__all__ = ["EpochSampler"]


class EpochSampler(RepeatSampler):  # type: ignore[misc]  # TRL is untyped
    """`RepeatSampler` whose permutation follows from the seed and the epoch; transformers calls `set_epoch`."""

    epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """The epoch that is iterated next."""
        self.epoch = epoch

    def __iter__(self) -> Iterator[int]:
        if self.shuffle:
            self.generator.manual_seed((self.seed or 0) + self.epoch)
        yield from super().__iter__()
