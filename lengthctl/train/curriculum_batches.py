"""Batches of raw text cut into pieces of equal length: every step one bucket, drawn by a curriculum.

Dataset decomposition, arXiv 2405.13226: a step holds the same number of tokens whatever the bucket, and no step mixes
lengths, so nothing is padded and no piece sees another document.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence

from lengthctl.errors import DataError
from lengthctl.train.decomposition import Curriculum, count_batches, curriculum_odds, draw_order

__all__ = ["CurriculumBatches"]


class CurriculumBatches:
    """A batch sampler over pieces; an epoch is a cycle of the curriculum, whose order follows from the seed and it.

    Args:
        lengths: tokens of each piece, 2^k + 1, as `decompose` cuts them.
        batch_tokens: tokens of a step as the model sees them, 2^k a piece; a multiple of the longest.
        curriculum: see `curriculum_odds`.
        seed: of the run.

    Raises:
        DataError: a length that `decompose` does not give, or no bucket fills a batch.
        ValueError: a batch would not hold a whole number of pieces.
    """

    def __init__(self, lengths: Sequence[int], batch_tokens: int, curriculum: Curriculum, seed: int) -> None:
        self._pieces: dict[int, list[int]] = {}
        for place, length in enumerate(lengths):
            bucket = (length - 1).bit_length() - 1
            if length != 2**bucket + 1:
                raise DataError(f"row {place} has {length} tokens, not 2^k + 1", "Set data.pieces, which cuts texts so")
            self._pieces.setdefault(bucket, []).append(place)
        counts = {bucket: len(rows) for bucket, rows in self._pieces.items()}
        self._batches = count_batches(counts, batch_tokens)
        if not any(self._batches.values()):
            raise DataError(f"no length fills a batch of {batch_tokens} tokens", "Lower train.batch_tokens")
        self._odds = curriculum_odds(curriculum, len(self._batches))
        self._rows = {bucket: batch_tokens >> bucket for bucket in self._batches}
        self._seed, self._epoch = seed, 0

    def set_epoch(self, epoch: int) -> None:
        """The cycle that is iterated next."""
        self._epoch = epoch

    def __len__(self) -> int:
        return sum(self._batches.values())

    def __iter__(self) -> Iterator[list[int]]:
        """What does not fill a batch is left out of this cycle; each leaves out others."""
        shuffled = {}
        for bucket, rows in self._pieces.items():
            shuffled[bucket] = list(rows)
            random.Random(f"{self._seed}-{self._epoch}-{bucket}").shuffle(shuffled[bucket])
        cycle = f"{self._seed}-{self._epoch}"
        for draw in draw_order(self._batches, self._odds, cycles=1, seed=_seed_of(cycle)):
            size = self._rows[draw.bucket]
            yield shuffled[draw.bucket][draw.batch * size : (draw.batch + 1) * size]


def _seed_of(text: str) -> int:
    return random.Random(text).getrandbits(32)
