"""What a judge of pairs did in a step: numbers that show its position bias and its length bias, and a record a duel."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from math import exp, log
from statistics import fmean
from typing import Any

from lengthctl.judging_pairs import outcome
from lengthctl.length import count_length
from lengthctl.rewards.duels import Duel

__all__ = ["duel_metrics", "duel_records", "length_slope", "tell_duels"]

_ALIKE = log(1.2)
"""Lengths within a fifth of one another are called similar."""
_RIDGE = 0.1
_STEEPEST = 50.0
_HALVINGS = 50


def tell_duels(
    duels: Sequence[Duel], columns: Mapping[str, Any], place_of: Callable[[Duel, int], int], count: int
) -> None:
    """`duel_metrics` to the column `log_metric`, `duel_records` as `pairwise` to `log_extra`, where they are there."""
    log_metric, log_extra = columns.get("log_metric"), columns.get("log_extra")
    if log_metric is not None:
        for name, number in duel_metrics(duels).items():
            log_metric(name, number)
    if log_extra is not None:
        log_extra("pairwise", duel_records(duels, place_of, count))


def duel_metrics(duels: Sequence[Duel], prefix: str = "pairwise") -> dict[str, float]:
    """By name; a share that nothing is known of is left out.

    `win_rate`: duels that their member won under all verdicts, of those with one. `first_position_share`: untied
    verdicts for the text that stood first, 0.5 without position bias. `order_agreement`: duels asked in both orders
    whose verdicts agree. `unparsable_share`: questions without a verdict. `win_rate_longer`, `_similar` and `_shorter`:
    win rate by length in words, more than a fifth apart or not. `length_slope`: see there; 0 without length bias.
    """
    asked = [(scores, second) for duel in duels for scores, second in zip(duel.scores, duel.stood_second, strict=True)]
    firsts = [(scores.better == "a") != second for scores, second in asked if scores is not None and scores.better]
    both = [duel.known for duel in duels if len(duel.known) == 2]
    ends = [(_log_ratio(duel), outcome(duel.scores)) for duel in duels if duel.known]
    shares: dict[str, list[bool]] = {
        "win_rate": [won == 1 for _, won in ends],
        "first_position_share": firsts,
        "order_agreement": [one.better == other.better for one, other in both],
        "unparsable_share": [scores is None for scores, _ in asked],
        "win_rate_longer": [won == 1 for ratio, won in ends if ratio > _ALIKE],
        "win_rate_similar": [won == 1 for ratio, won in ends if abs(ratio) <= _ALIKE],
        "win_rate_shorter": [won == 1 for ratio, won in ends if ratio < -_ALIKE],
    }
    told = {f"{prefix}/{name}": fmean(values) for name, values in shares.items() if values}
    slope = length_slope(duels)
    return told if slope is None else {**told, f"{prefix}/length_slope": slope}


def length_slope(duels: Sequence[Duel]) -> float | None:
    """Slope of a logistic regression without intercept: of winning (by the sum of scores) on the log ratio of lengths
    in words. 1: a text twice as long has odds of 2 to 1. With a weak pull to 0, so that it stays finite; None where
    no duel tells anything. Ours.
    """
    sides = []
    for duel in duels:
        gap, ratio = sum(s.a - s.b for s in duel.known), _log_ratio(duel)
        if gap and ratio:
            sides.append(ratio if gap > 0 else -ratio)
    if not sides:
        return None
    low, high = -_STEEPEST, _STEEPEST
    for _ in range(_HALVINGS):  # the derivative falls all the way
        middle = (low + high) / 2
        rises = sum(x * _logistic(-middle * x) for x in sides) - _RIDGE * middle > 0
        low, high = (middle, high) if rises else (low, middle)
    return (low + high) / 2


def _logistic(x: float) -> float:
    return 1 / (1 + exp(-max(-700.0, min(700.0, x))))


def _log_ratio(duel: Duel) -> float:
    texts = duel.group.texts
    return log((count_length(texts[duel.member]) + 1) / (count_length(texts[duel.against]) + 1))


def duel_records(duels: Sequence[Duel], place_of: Callable[[Duel, int], int], count: int) -> list[list[dict[str, Any]]]:
    """By completion of the call, its duels: against whom (as number in the group), the scores `[own, other]` by
    question, null without verdict, and which of the two stood first."""
    told: list[list[dict[str, Any]]] = [[] for _ in range(count)]
    for duel in duels:
        scores = [None if s is None else [s.a, s.b] for s in duel.scores]
        told[place_of(duel, duel.member)].append(
            {"against": duel.against, "scores": scores, "stood_first": [not second for second in duel.stood_second]}
        )
    return told
