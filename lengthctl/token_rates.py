"""Tokens that a length needs: the expected, the ample, the least. For English and a subword tokenizer. Ours."""

from __future__ import annotations

import math

from lengthctl.length import Target, Unit

__all__ = ["ample_limit", "expected_tokens", "least_tokens"]

_EXPECTED = {Unit.TOKENS: 1.0, Unit.CHARACTERS: 0.25, Unit.SENTENCES: 25.0}
_EXPECTED_PER_WORD = 1.4
_AMPLE = {Unit.TOKENS: 1.0, Unit.CHARACTERS: 0.5, Unit.SENTENCES: 60.0}
_AMPLE_PER_WORD = 2.5
_LEAST = {Unit.CHARACTERS: 1 / 16, Unit.SENTENCES: 2.0}
_SPARE = 64


def expected_tokens(length: float, unit: Unit) -> float:
    """About so many."""
    return length * _EXPECTED.get(unit, _EXPECTED_PER_WORD)


def least_tokens(length: float, unit: Unit) -> float:
    """Fewer cannot make this length; a word is one token at least."""
    return length * _LEAST.get(unit, 1.0)


def ample_limit(target: Target) -> int:
    """A text of this target certainly fits in; of an open one, twice the least."""
    high = target.band.high if not math.isinf(target.band.high) else 2 * target.value
    return math.ceil(high * _AMPLE.get(target.unit, _AMPLE_PER_WORD)) + _SPARE
