"""Dataset decomposition (arXiv 2405.13226): raw texts cut into pieces of powers of two, drawn short lengths first.

No piece joins two documents and none is padded; a batch of any bucket holds the same number of tokens, so attention is
paid for at the length that a document has. For raw text only: conversations are never cut (`bucket_batches.py`).
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

__all__ = [
    "Curriculum",
    "Draw",
    "Piece",
    "count_batches",
    "count_dropped",
    "curriculum_odds",
    "curriculum_weights",
    "decompose",
    "draw_order",
]

Curriculum = Literal["grow_p2", "grow_linear", "uniform"]
"""Odds of the paper's table 2. Its Grow-P100 is drawn in a figure without its odds: hand `draw_order` your own."""


@dataclass(frozen=True)
class Piece:
    """Consecutive tokens of one document."""

    start: int
    """Place of its first token in the document, from 0."""
    tokens: int
    """2^bucket + 1, of which inputs and targets take all but one each; 2^bucket when cut `exact_binary`."""
    bucket: int
    """Which sequences it is batched with: log2 of the length that the model sees."""


@dataclass(frozen=True)
class Draw:
    """The batch of one step."""

    cycle: int
    """From 0."""
    bucket: int
    batch: int
    """Number of the batch among those of its bucket in this cycle, from 0."""


def decompose(
    length: int,
    *,
    min_log2: int = 8,
    max_log2: int = 13,
    exact_binary: bool = False,
    randomise: random.Random | None = None,
) -> list[Piece]:
    """Cut a document into pieces, from its beginning on; what is left when no piece fits is dropped.

    The longest piece that fits comes next. `randomise` shortens the pieces of documents beyond the longest bucket: k
    is then drawn with odds of 2^(max_log2 - k), which gives every bucket the same expected tokens.

    Source: arXiv 2405.13226; the default is the form of its released code (2^k + 1 tokens a piece, up to 2^min_log2
    dropped), `exact_binary` that of its text (the binary digits of the length, up to 2^min_log2 - 1 dropped). Differs
    from the code in: `randomise` is off unless a generator is given, and logarithms are of integers.

    Args:
        length: tokens, the end-of-text token counted.
        min_log2, max_log2: the buckets, ends included.
        exact_binary: pieces of 2^k tokens.
        randomise: the generator to draw from.

    Raises:
        ValueError: a negative length, or no bucket between the ends.
    """
    if length < 0 or not 0 <= min_log2 <= max_log2:
        raise ValueError(f"no pieces of 2^{min_log2} to 2^{max_log2} tokens can be cut from {length} tokens")
    extra = 0 if exact_binary else 1
    pieces = []
    start = 0
    while (usable := length - start - extra) >= 2**min_log2:
        bucket = usable.bit_length() - 1
        if bucket > max_log2:
            bucket = max_log2 if randomise is None else _draw_bucket(min_log2, max_log2, randomise)
        pieces.append(Piece(start, 2**bucket + extra, bucket))
        start += 2**bucket + extra
    return pieces


def _draw_bucket(min_log2: int, max_log2: int, generator: random.Random) -> int:
    """By odds of 2^(max_log2 - k): of the numbers below 2^n, half have the top bit, a quarter the one below alone."""
    number = generator.randrange(1, 2 ** (max_log2 - min_log2 + 1))
    return max_log2 - (number.bit_length() - 1)


def count_dropped(length: int, pieces: Sequence[Piece]) -> int:
    """Tokens of a document that stand in none of its pieces; whole documents shorter than the first bucket among them.

    Add it up over a corpus: where short texts prevail, a lower `min_log2` keeps more.
    """
    return length - sum(piece.tokens for piece in pieces)


def count_batches(sequences: Mapping[int, int], batch_tokens: int) -> dict[int, int]:
    """Whole batches of each bucket when all batches hold `batch_tokens` tokens; what is left over is dropped.

    Args:
        sequences: pieces by bucket.
        batch_tokens: tokens of a step as the model sees them (2^bucket a piece), a multiple of the longest bucket's.

    Raises:
        ValueError: a batch would not hold a whole number of pieces.
    """
    longest = max(sequences, default=0)
    if batch_tokens < 1 or batch_tokens % 2**longest:
        raise ValueError(f"batches of {batch_tokens} tokens cannot be filled with pieces of {2**longest}")
    return {bucket: count // (batch_tokens >> bucket) for bucket, count in sequences.items()}


def curriculum_odds(curriculum: Curriculum, buckets: int) -> tuple[int, ...]:
    """Odds of the buckets, the shortest first: 32 16 8 4 2 1, 6 5 4 3 2 1, or 1 1 1 1 1 1 for six of them.

    Source: arXiv 2405.13226, table 2. Where short ones have the better odds they run out first, so that length grows.

    Raises:
        ValueError: no curriculum of this name.
    """
    steps = range(buckets - 1, -1, -1)
    if curriculum == "grow_p2":
        return tuple(2**step for step in steps)
    if curriculum == "grow_linear":
        return tuple(step + 1 for step in steps)
    if curriculum == "uniform":
        return (1,) * buckets
    raise ValueError(f"{curriculum} is no curriculum; use grow_p2, grow_linear or uniform")


def curriculum_weights(batches: Mapping[int, int], odds: Sequence[int]) -> dict[int, int]:
    """Weight by which a step draws each bucket: its batches in a cycle times its odds.

    Source: the released code. Algorithm 1 of the paper weighs by the odds alone; its table 2 has buckets of one size,
    where both are the same.

    Args:
        batches: of one cycle, by bucket.
        odds: of the buckets from the shortest to the longest.

    Raises:
        ValueError: there is not one positive number for each bucket.
    """
    if len(odds) != len(batches) or min(odds, default=1) < 1 or min(batches.values(), default=0) < 0:
        raise ValueError(f"{len(batches)} buckets need as many odds of at least 1, found {list(odds)}")
    return {bucket: batches[bucket] * odd for bucket, odd in zip(sorted(batches), odds, strict=True)}


def draw_order(batches: Mapping[int, int], odds: Sequence[int], *, cycles: int = 8, seed: int = 0) -> list[Draw]:
    """The bucket of every step, the same in all processes: each cycle draws all its batches once.

    The weights stay as they are while a cycle lasts; a bucket that is used up leaves, and the others share its part.
    Source: arXiv 2405.13226 and its code. Differs from the code in (ours): the cycle's number enters its seed, where
    the code draws every cycle alike; and a batch of the longest bucket comes before all others, so that too little
    memory shows at once.

    Args:
        batches: of one cycle, by bucket.
        odds: of the buckets from the shortest to the longest, see `curriculum_odds`.
        cycles: how often length grows.
        seed: of the run.

    Raises:
        ValueError: there is not one positive number for each bucket.
    """
    weights = curriculum_weights(batches, odds)
    order: list[Draw] = []
    for cycle in range(cycles):
        generator = random.Random(f"{seed}-{cycle}")
        drawn = dict.fromkeys(batches, 0)
        while left := [bucket for bucket in sorted(batches) if drawn[bucket] < batches[bucket]]:
            (bucket,) = generator.choices(left, [weights[bucket] for bucket in left])
            order.append(Draw(cycle, bucket, drawn[bucket]))
            drawn[bucket] += 1
    longest = max((draw.bucket for draw in order), default=0)
    first = next((place for place, draw in enumerate(order) if draw.bucket == longest), None)
    return order if first is None else [order[first], *order[:first], *order[first + 1 :]]
