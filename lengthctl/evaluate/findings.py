"""What the numbers say, in one sentence each: the verdict and the titles of the figures."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from lengthctl.evaluate.cost import NEAR, Mark, TokenCost, pareto_front
from lengthctl.evaluate.summary import MEASURES, Side, Summary

__all__ = ["best_side", "cost_finding", "deviation_finding", "front_finding", "scatter_finding", "verdict"]

_SHOWN = {measure.key: measure for measure in MEASURES}
_DEVIATION = "mean_abs_relative_deviation"
_HEADLINE = (("pm", "PM"), ("fm", "FM"), (_DEVIATION, "mean |deviation|"))
_OF_PROBLEMS = (("accuracy", "accuracy"), ("mean_total_tokens", "tokens"), ("format", "answers marked"))


def best_side(summary: Summary) -> Side:
    """Of a training what came out; else the side with the smallest mean absolute relative deviation or, where problems
    alone were answered, the greatest accuracy; the earlier of equals."""
    if summary.is_training:
        return summary.sides[-1]
    key, sign = (_DEVIATION, 1) if summary.has_lengths else ("accuracy", -1)
    return min(summary.sides, key=lambda s: sign * s.overall[key].value if key in s.overall else math.inf)


def verdict(summary: Summary, prompts: int | None) -> str:
    """The best adherence, or accuracy, with its intervals, against the first side; `prompts` counts the held-out
    ones."""
    best, first = best_side(summary), summary.sides[0]
    headline = _HEADLINE if summary.has_lengths else _OF_PROBLEMS
    of = f" of {prompts} held-out prompts" if prompts else ""
    n = max((m.n for m in best.overall.values()), default=0)
    scope = f"({n} completions{of}{' a side' if len(summary.sides) > 1 else ''}, seed {summary.seed}; 95 % intervals)"
    if summary.is_training and best is not first:
        parts = [_went(key, title, first, best) for key, title in headline if key in first.overall]
        return f"{', '.join(parts)} {scope}."
    parts = [f"{title} {_value(best, key)}" for key, title in headline if key in best.overall]
    if len(summary.sides) == 1:
        return f"{', '.join(parts)} {scope}."
    claim, key = ("keeps its targets closer", _DEVIATION) if summary.has_lengths else ("solves more", "accuracy")
    if best is first:
        return f"No side {claim} than {first.name}, the first: {', '.join(parts)} {scope}."
    against = [_value(first, key) for key, _ in headline if key in best.overall and key in first.overall]
    gap = best.difference.get(key)
    doubt = " (an interval of the difference that holds 0)" if gap and gap.low <= 0 <= gap.high else ""
    claim = "keeps its targets closest" if summary.has_lengths else "solves most"
    return f"{best.name} {claim}{doubt}: {', '.join(parts)}, against {', '.join(against)} of {first.name} {scope}."


def scatter_finding(summary: Summary) -> str:
    """FM of the best side and of the first."""
    best, first = best_side(summary), summary.sides[0]
    if "fm" not in best.overall or "fm" not in first.overall:
        return "Length against target"
    own = f"{best.name}: {100 * best.overall['fm'].value:.0f} % of completions in Ruler's FM band"
    return own if best is first else f"{own}; {first.name}: {100 * first.overall['fm'].value:.0f} %"


def deviation_finding(values: Mapping[str, Sequence[float]]) -> str:
    """Share within 5 % of the side that has most of it, and of the first."""
    shares = {name: sum(abs(value) <= NEAR for value in part) / len(part) for name, part in values.items()}
    first, best = next(iter(shares)), max(shares, key=shares.__getitem__)
    text = f"{best}: {100 * shares[best]:.0f} % of completions within 5 % of the target"
    return text if best == first else f"{text}; {first}: {100 * shares[first]:.0f} %"


def cost_finding(costs: Mapping[str, TokenCost]) -> str:
    """The side that draws the fewest tokens for a hit, and what the first draws."""
    spent = {name: cost.per_hit.value for name, cost in costs.items()}
    first, best = next(iter(spent)), min(spent, key=spent.__getitem__)
    if not math.isfinite(spent[best]):
        return "No completion hits its target"
    text = f"{best}: {spent[best]:.0f} tokens drawn for each hit"
    if best == first:
        return text
    return f"{text}; {first}: {spent[first]:.0f}" if math.isfinite(spent[first]) else f"{text}; {first} has none"


def front_finding(points: Sequence[Mark], *, higher_is_better: bool) -> str:
    """Which sides no other beats on both counts, and which are beaten."""
    front = [p.name for p in pareto_front(points, higher_is_better=higher_is_better)]
    beaten = [p.name for p in points if p.name not in front]
    text = f"Not beaten on both counts: {', '.join(front)}"
    return f"{text}; beaten: {', '.join(beaten)}" if beaten else text


def _value(side: Side, key: str) -> str:
    measure = _SHOWN[key]
    value, _, interval = measure.text(side.overall[key]).partition(" ")
    return f"{value} % {interval}" if measure.title.endswith("%") else f"{value} {interval}"


def _went(key: str, title: str, first: Side, best: Side) -> str:
    return f"{title} went from {_value(first, key)} to {_value(best, key)}"
