"""Accuracy against tokens, as formulas: pass@k, Pareto set, tokens at equal accuracy, scores of efficiency and control.

Pure functions of numbers. Accuracies are in one unit within a call (shares, or percent); tokens are means a completion.
"""

from __future__ import annotations

import math
import warnings
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import combinations, pairwise
from typing import TypeVar

__all__ = [
    "AES_WEIGHTS",
    "AesWeights",
    "Point",
    "accuracy_efficiency",
    "budget_control",
    "budget_performance",
    "budget_scaling",
    "pareto_set",
    "pass_at_k",
    "tokens_at_accuracy",
    "undominated",
]


T = TypeVar("T")


@dataclass(frozen=True)
class Point:
    """One system, or one setting of it: mean tokens a completion and accuracy."""

    tokens: float
    accuracy: float
    name: str = ""


def pass_at_k(samples: int, correct: int, k: int) -> float:
    """Chance that one of `k` completions, drawn without putting back, is correct: `1 - C(n - c, k) / C(n, k)`, 0 to 1.

    The unbiased estimator of arXiv 2107.03374.

    Raises:
        ValueError: not `1 <= k <= samples`, or not `0 <= correct <= samples`.
    """
    if not 1 <= k <= samples or not 0 <= correct <= samples:
        raise ValueError(f"pass@{k} needs at least {k} samples a problem, found {samples} ({correct} correct)")
    return 1 - math.comb(samples - correct, k) / math.comb(samples, k)


def undominated(items: Sequence[T], key: Callable[[T], tuple[float, float]]) -> list[T]:
    """The items, by rising cost, that no other beats: none is as good on both counts and better on one.

    Equal items stay together, in their order.

    Args:
        items: what is compared.
        key: (cost, value) of an item; a small cost and a large value are good.
    """
    kept: list[T] = []
    for item in sorted(items, key=lambda i: (key(i)[0], -key(i)[1])):
        best = key(kept[-1]) if kept else None
        if best is None or key(item) == best or key(item)[1] > best[1]:
            kept.append(item)
    return kept


def pareto_set(points: Sequence[Point]) -> list[Point]:
    """The points, by tokens, that no other beats."""
    return undominated(points, lambda p: (p.tokens, p.accuracy))


def tokens_at_accuracy(curve: Sequence[Point], accuracy: float) -> float | None:
    """Fewest tokens at which a method's curve, drawn straight from point to point by tokens, has that accuracy.

    None outside the range of the curve: nothing is extrapolated.
    """
    ordered = sorted(curve, key=lambda p: (p.tokens, p.accuracy))
    if ordered and ordered[0].accuracy == accuracy:
        return ordered[0].tokens
    for left, right in pairwise(ordered):
        low, high = sorted((left.accuracy, right.accuracy))
        if low <= accuracy <= high and low < high:
            share = (accuracy - left.accuracy) / (right.accuracy - left.accuracy)
            return left.tokens + share * (right.tokens - left.tokens)
    return None


@dataclass(frozen=True)
class AesWeights:
    """Weights of the accuracy-efficiency score; scores of different weights do not compare."""

    saving: float = 1.0
    gain: float = 3.0
    loss: float = 5.0

    @property
    def label(self) -> str:
        """Part of the metric's name, e.g. `aes_1_3_5`."""
        return f"aes_{self.saving:g}_{self.gain:g}_{self.loss:g}"


AES_WEIGHTS = AesWeights()
"""O1-Pruner's (arXiv 2501.12570, section 5.1); others use (1, 5, 10)."""


def accuracy_efficiency(base: Point, point: Point, weights: AesWeights = AES_WEIGHTS) -> float | None:
    """O1-Pruner's score of a system beside its baseline; higher is better, 0 for the baseline itself.

    `saving` times the relative saving of tokens, plus `gain` times the relative rise of accuracy, or minus `loss` times
    its relative fall. None where the baseline has no accuracy or no tokens. The paper's own table does not follow this
    formula where accuracy fell, so published values are to be computed again.
    """
    if base.accuracy <= 0 or base.tokens <= 0:
        return None
    saved = (base.tokens - point.tokens) / base.tokens
    change = (point.accuracy - base.accuracy) / base.accuracy
    return weights.saving * saved + (weights.gain if change >= 0 else weights.loss) * change


def budget_control(uses: Sequence[float], low: float, high: float) -> float:
    """s1's Control (arXiv 2501.19393, eq. 1): share of runs whose reasoning tokens lie in [low, high], 0 to 1.

    Raises:
        ValueError: no runs.
    """
    if not uses:
        raise ValueError("no runs to measure control of")
    return sum(low <= use <= high for use in uses) / len(uses)


def budget_scaling(points: Sequence[Point]) -> float | None:
    """s1's Scaling (eq. 2): mean slope over all pairs of runs, as accuracy per 1,000 tokens (a unit of ours).

    Pairs with equal tokens have no slope: they are left out, with a warning. None where no pair is left.
    """
    slopes = [
        1000 * (b.accuracy - a.accuracy) / (b.tokens - a.tokens)
        for a, b in combinations(points, 2)
        if a.tokens != b.tokens
    ]
    if repeated := [tokens for tokens, n in Counter(p.tokens for p in points).items() if n > 1]:
        warnings.warn(f"runs with equal tokens have no slope and are left out: {repeated}", stacklevel=2)
    return sum(slopes) / len(slopes) if slopes else None


def budget_performance(points: Sequence[Point]) -> float:
    """s1's Performance (eq. 3): the best accuracy of the runs.

    Raises:
        ValueError: no runs.
    """
    return max(point.accuracy for point in points)
