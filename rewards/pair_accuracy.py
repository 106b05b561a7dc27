"""PairAccuracyReward: see the class."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from lengthctl.judging_pairs import HIGHEST_SCORE, PairScores, parse_pair_verdict
from lengthctl.registry import register
from lengthctl.rewards.completions import Completions, text_of

__all__ = ["PairAccuracyReward"]


@register("reward", "pair_accuracy")
@dataclass(frozen=True)
class PairAccuracyReward:
    """Of a judge that is trained: 1 if its verdict scores the answer higher that the column `better` (a or b) names,
    -1 if not, if it is tied, or if it cannot be read; None for a row without `better`.

    Range: see `lowest` and `highest`. Source: ours, the least form of the rewards of Writing-Zero's judge, arXiv
    2506.00103, which has terms for format, margin and position too; their weights were not found.
    """

    columns: ClassVar[tuple[str, ...]] = ("better",)

    margin: float = 0.0
    """At least 0. Weight of the gap between the scores as a share of 10, added where right, taken off where wrong."""
    position: float = 0.0
    """At least 0. What a verdict for the place costs, times the share of untied verdicts of the call that name it
    above the share that should."""
    min_critique_words: int = 10
    """A verdict with fewer words before its scores cannot be read: a bare guess is no judgement."""

    def __post_init__(self) -> None:
        if self.margin < 0 or self.position < 0 or self.min_critique_words < 0:
            raise ValueError("margin, position and min_critique_words are at least 0")

    @property
    def scope(self) -> Literal["completion", "batch"]:
        """With a position term a value depends on the whole call."""
        return "batch" if self.position else "completion"

    @property
    def lowest(self) -> float:
        """Wrong by the widest gap, for the place that all others name too."""
        return -1.0 - self.margin - self.position

    @property
    def highest(self) -> float:
        """Right by the widest gap."""
        return 1.0 + self.margin

    def __call__(self, completions: Completions, **columns: Any) -> list[float | None]:
        """One value a completion.

        Raises:
            ValueError: no column `better`, or one with another value than a, b and None.
        """
        better = columns.get("better")
        if better is None:
            raise ValueError("the column better is missing; make the prompts with `lengthctl data judge`")
        if any(place not in ("a", "b", None) for place in better):
            raise ValueError("the column better holds a or b")
        prompts = columns.get("prompts") or [""] * len(completions)
        read = [self._read(text_of(c), text_of(p)) for c, p in zip(completions, prompts, strict=True)]
        known = [(s.better, place) for s, place in zip(read, better, strict=True) if s and s.better and place]
        excess = _share([named for named, _ in known]) - _share([place for _, place in known])
        return [None if place is None else self._value(s, place, excess) for s, place in zip(read, better, strict=True)]

    def _read(self, verdict: str, message: str) -> PairScores | None:
        try:
            return parse_pair_verdict(verdict, message, min_critique_words=self.min_critique_words)
        except ValueError:
            return None

    def _value(self, scores: PairScores | None, better: str, excess: float) -> float:
        if scores is None or scores.better is None:
            return -1.0
        sign = 1.0 if scores.better == better else -1.0
        biased = max(0.0, excess if scores.better == "a" else -excess)
        return sign * (1 + self.margin * abs(scores.a - scores.b) / HIGHEST_SCORE) - self.position * biased


def _share(places: Sequence[str]) -> float:
    return sum(place == "a" for place in places) / len(places) if places else 0.0
