"""One completion measured against its target. The scores of a length stand here once, in [0, 1] where their sources
print percent; evaluation, rewards and the training log all use them.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import MISSING, dataclass
from functools import cached_property, lru_cache, partial
from typing import Any, assert_never

from lengthctl import length as lengths
from lengthctl.degeneration import is_finished, repetition
from lengthctl.length import Band, BandKind, Encoder, Relation, Target, Unit, count_length, ruler_band

__all__ = [
    "HIT_SLACK",
    "HIT_TOLERANCE",
    "Scored",
    "hit_band",
    "is_violated",
    "lifebench_deviation",
    "lifebench_score",
    "longen_score",
    "s_l",
    "score_text",
]

_precise_band = lru_cache(maxsize=4096)(partial(ruler_band, kind=BandKind.PRECISE))
_flexible_band = lru_cache(maxsize=4096)(partial(ruler_band, kind=BandKind.FLEXIBLE))


def s_l(length: float, target: Target) -> float:
    """LongBench-Write's S_l / 100, in [0, 1]: too long `1 - (n/T - 1)/3`, too short `1 - (T/n - 1)/2`, not below 0.

    0 up to T/3 and from 4T on. Source: LongWriter, arXiv 2408.07055; an empty text scores 0 (its code divides by
    zero). For relations other than a number, T is the nearest length allowed [ours].
    """
    if length <= 0:
        return 0.0
    ratio = length / target.reference(length)
    return max(0.0, 1 - (ratio - 1) / 3 if ratio > 1 else 1 - (1 / ratio - 1) / 2)


def lifebench_deviation(length: float, target: Target) -> float:
    """LIFEBench's LD, signed: `(n - T) / T` from the number asked for, whatever the relation; -1 for an empty text.

    Source: arXiv 2505.16234. A range is measured from its nearest length [ours].
    """
    if target.relation is Relation.RANGE:
        return lengths.relative_deviation(length, target)
    return (length - target.value) / target.value


def lifebench_score(length: float, target: Target) -> float:
    """LIFEBench's LS / 100, in (0, 1]: `exp(5 LD)` when too short, `exp(-2 LD)` when too long, 1 on the allowed side.

    Source: arXiv 2505.16234. Its released code passes LD in percent, which sends all but full scores to 0: we pass the
    fraction. It leaves out texts of up to one word: we score them.
    """
    e = lengths.relative_deviation(length, target)
    return math.exp(5 * e if e < 0 else -2 * e)


def longen_score(length: float, target: Target) -> float:
    """LonGen's score, in [0, 1]: 1 inside [a, b], below it `2n/a - 1`, above it `3 - 2n/b`, not below 0.

    `about t` accepts [0.8t, 1.2t], `above t` [t, 1.5t], `below t` [0.5t, t], a range itself. Source: Self-Lengthen,
    arXiv 2410.23933. A bare number counts as `about`, and the tolerance of `about` is not read [ours].
    """
    t = target.value
    match target.relation:
        case Relation.EXACT | Relation.ABOUT:
            low, high = 4 * t / 5, 6 * t / 5  # exact where an end is whole, which 0.8 * t is not
        case Relation.AT_LEAST:
            low, high = t, 3 * t / 2
        case Relation.AT_MOST:
            low, high = t / 2, t
        case Relation.RANGE:
            low, high = t, target.band.high
        case _:
            assert_never(target.relation)
    if length < low:
        return max(0.0, 2 * length / low - 1)
    return max(0.0, 3 - 2 * length / high) if length > high else 1.0


HIT_TOLERANCE = 0.05
"""Relative half-width of the band in which an exact target counts as hit."""
HIT_SLACK = 2
"""Its least half-width, in the target's unit; of sentences 0."""


@lru_cache(maxsize=4096)
def hit_band(target: Target, tolerance: float = HIT_TOLERANCE, slack: int = HIT_SLACK) -> Band:
    """The lengths that hit a target: of an exact one within `tolerance` (relative) or `slack` (in its unit), whichever
    is wider, and at least 1; other targets bring their own band. Ours."""
    if target.relation is not Relation.EXACT:
        return target.band
    half = max(0.0 if target.unit is Unit.SENTENCES else float(slack), tolerance * target.value)
    return Band(max(1, math.ceil(target.value - half - 1e-9)), math.floor(target.value + half + 1e-9))


def is_violated(length: int, target: Target) -> bool | None:
    """The length breaks the rule of `at most`, `at least` or a range; None where the target is a number.

    As AlpacaEval-LI (arXiv 2406.17744) and IFEval (arXiv 2311.07911) count; IFEval's "less than n" is at most n - 1.
    An empty text keeps no rule, as in IFEval.
    """
    if target.relation in (Relation.EXACT, Relation.ABOUT):
        return None
    return length not in target.band


@dataclass(frozen=True)
class Scored:
    """A completion and its measures; lengths are in the target's unit, `tokens` in tokens of the model.

    `prompt_id` names the request without its length: completions that share it are one cluster of the bootstrap.
    """

    prompt_id: str
    target: Target
    length: int
    tokens: int
    """Tokens of the completion; 0: unknown."""
    is_truncated: bool
    text: str
    drawn_tokens: int = 0
    """Tokens sampled for this text, discarded ones included; 0: unknown, take `tokens`."""
    is_cut: bool = False
    """A control cut it inside a sentence."""

    @cached_property
    def repetition(self) -> float:
        """Share of repeated word trigrams."""
        return repetition(self.text)

    @cached_property
    def is_finished(self) -> bool:
        """The text ends as a text does."""
        return is_finished(self.text)

    @property
    def pm(self) -> bool:
        """Precise match: inside Ruler's tight band. An empty text never is."""
        return self.length > 0 and self.length in _precise_band(self.target)

    @property
    def fm(self) -> bool:
        """Flexible match: inside Ruler's wide band."""
        return self.length > 0 and self.length in _flexible_band(self.target)

    @property
    def is_hit(self) -> bool:
        """Within 5 % or 2 of an exact target, inside the band of another. An empty text never is."""
        return self.length > 0 and self.length in hit_band(self.target)

    @property
    def relative_deviation(self) -> float:
        """Signed; -1 for an empty text."""
        return lengths.relative_deviation(self.length, self.target)

    @property
    def log_ratio(self) -> float:
        """`ln((length + 1) / (target + 1))`."""
        return lengths.log_ratio(self.length, self.target)

    @property
    def s_l(self) -> float:
        """LongBench-Write's length score, in [0, 1]."""
        return s_l(self.length, self.target)

    def to_row(self) -> dict[str, Any]:
        """A JSON object; `parse` reads it back."""
        fields = {key: getattr(self, key) for key in self.__dataclass_fields__ if key != "text"}
        measured = {"repetition": self.repetition, "is_finished": self.is_finished}
        return {**fields, "target": self.target.to_row(), **measured, "text": self.text}

    @classmethod
    def parse(cls, row: Mapping[str, Any]) -> Scored:
        """From a record; fields that are not ours are passed over, those that came later take their defaults."""
        ours = cls.__dataclass_fields__
        fields = {key: row[key] for key in ours if key in row or ours[key].default is MISSING}
        return cls(**{**fields, "target": Target.parse(row["target"])})


def score_text(
    text: str,
    target: Target,
    *,
    prompt_id: str,
    tokens: int,
    is_truncated: bool,
    tokenizer: Encoder | None = None,
    drawn_tokens: int = 0,
    is_cut: bool = False,
) -> Scored:
    """Measure a completion; `tokenizer` is needed where the target counts tokens."""
    length = count_length(text, target.unit, tokenizer)
    return Scored(prompt_id, target, length, tokens, is_truncated, text, drawn_tokens, is_cut)
