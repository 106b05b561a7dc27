"""What adherence costs: tokens drawn per completion and per hit, and which sides no other beats on both counts."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lengthctl.evaluate.bootstrap import interval, resampled
from lengthctl.evaluate.metrics import Metric
from lengthctl.evaluate.tradeoff import undominated

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["NEAR", "Drawn", "Mark", "TokenCost", "pareto_front", "token_cost"]

NEAR = 0.05
"""Absolute relative deviation that figures of deviations shade."""


@dataclass(frozen=True)
class Drawn:
    """Tokens sampled for one completion, discarded ones included, and what came of them."""

    prompt_id: str
    tokens: int
    is_fm: bool
    is_hit: bool


@dataclass(frozen=True)
class TokenCost:
    """95 % intervals by bootstrap over prompts. Of a cost per hit, `n` counts the hits; without any it is infinite."""

    tokens: Metric
    """Tokens drawn per completion."""
    per_fm: Metric
    """Tokens drawn per completion in Ruler's FM band: all that were drawn, divided by the hits."""
    per_hit: Metric
    """The same per completion that hits its target (`Scored.is_hit`)."""


@dataclass(frozen=True)
class Mark:
    """A side on a trade-off plot: `cost` is better when small."""

    name: str
    cost: Metric
    value: Metric


def token_cost(drawn: Sequence[Drawn], seed: int) -> TokenCost | None:
    """Cost of a side's completions; None where no tokens are known."""
    import numpy as np

    if not any(d.tokens for d in drawn):
        return None
    clusters = {name: i for i, name in enumerate(sorted({d.prompt_id for d in drawn}))}

    def sums(measure: Callable[[Drawn], float]) -> NDArray[np.float64]:
        out = np.zeros(len(clusters))
        for item in drawn:
            out[clusters[item.prompt_id]] += measure(item)
        return out

    weights = resampled(len(clusters), seed)
    tokens = sums(lambda d: d.tokens)
    low, high = interval((weights @ tokens) / (weights @ sums(lambda d: 1)))

    def per(hits: NDArray[np.float64]) -> Metric:
        drawn_tokens = np.maximum(weights @ tokens, 1)  # a draw of prompts without any token has no hit either
        few, many = interval((weights @ hits) / drawn_tokens)  # hits per token: finite where there are none
        return Metric(_inverse(hits.sum() / tokens.sum()), _inverse(many), _inverse(few), int(hits.sum()))

    return TokenCost(
        Metric(float(tokens.sum() / len(drawn)), low, high, len(drawn)),
        per(sums(lambda d: d.is_fm)),
        per(sums(lambda d: d.is_hit)),
    )


def pareto_front(marks: Sequence[Mark], *, higher_is_better: bool) -> list[Mark]:
    """Marks that no other equals or betters in both cost and value while bettering one; by rising cost."""
    sign = 1 if higher_is_better else -1
    return undominated(marks, lambda m: (m.cost.value, sign * m.value.value))


def _inverse(rate: float) -> float:
    return float(1 / rate) if rate > 0 else math.inf
