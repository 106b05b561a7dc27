"""Adherence of a set of completions: flat means for the training log, intervals for the evaluation.

Intervals are 95 % percentile bootstraps over prompts (clusters): the completions of one prompt are drawn together.
Every level is a micro average: pooled over completions, as Ruler counts (arXiv 2409.18943).
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from lengthctl.degeneration import repetition
from lengthctl.evaluate.bootstrap import interval, resampled
from lengthctl.scoring import Scored, is_violated, lifebench_deviation, lifebench_score, longen_score

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["FRACTIONS", "LOGGED", "MEASURES", "Metric", "adherence", "compare", "reward_correlation", "summarise"]

MEASURES: Mapping[str, Callable[[Scored], float | None]] = {
    "pm": lambda s: float(s.pm),
    "fm": lambda s: float(s.fm),
    "mean_abs_relative_deviation": lambda s: abs(s.relative_deviation),
    "mean_relative_deviation": lambda s: s.relative_deviation,
    "mean_abs_log_ratio": lambda s: abs(s.log_ratio),
    "truncation": lambda s: float(s.is_truncated),
    "repetition": lambda s: s.repetition,
    "seq_rep_4": lambda s: repetition(s.text, 4),
    "mean_length": lambda s: float(s.length),
    "hit": lambda s: float(s.is_hit),
    "within_5": lambda s: float(abs(s.relative_deviation) <= 0.05),
    "within_10": lambda s: float(abs(s.relative_deviation) <= 0.10),
    "within_20": lambda s: float(abs(s.relative_deviation) <= 0.20),
    "s_l": lambda s: s.s_l,
    "lifebench_deviation": lambda s: abs(lifebench_deviation(s.length, s.target)),
    "lifebench_score": lambda s: lifebench_score(s.length, s.target),
    "longen_score": lambda s: longen_score(s.length, s.target),
    "violation": lambda s: _number(is_violated(s.length, s.target)),
    "finished": lambda s: float(s.is_finished),
    "cut": lambda s: float(s.is_cut),
    "mean_tokens": lambda s: float(s.tokens) or None,
    "mean_drawn_tokens": lambda s: float(s.drawn_tokens or s.tokens) or None,
}
"""What is measured of one completion; a metric is its mean. `mean_length` is in the target's unit, `mean_tokens` and
`mean_drawn_tokens` in tokens, everything else a fraction: `repetition` of word trigrams, `seq_rep_4` of 4-grams. None
where a measure does not apply: that completion is left out of the mean, and the measure of completions that all lack
it.

LIFEBench takes its deviation first by target, then over targets: with as many completions each, this mean is the same.
"""

FRACTIONS = frozenset(MEASURES) - {
    "mean_abs_relative_deviation",
    "mean_relative_deviation",
    "mean_abs_log_ratio",
    "mean_length",
    "lifebench_deviation",
    "mean_tokens",
    "mean_drawn_tokens",
}
"""The measures that lie in [0, 1]."""

LOGGED = (
    "pm",
    "fm",
    "mean_abs_relative_deviation",
    "mean_relative_deviation",
    "mean_abs_log_ratio",
    "truncation",
    "repetition",
    "mean_length",
)
"""The measures of the training log."""


@dataclass(frozen=True)
class Metric:
    """A mean with its 95 % interval over `n` completions."""

    value: float
    low: float
    high: float
    n: int


def adherence(scored: Sequence[Scored]) -> dict[str, float]:
    """Flat means of `LOGGED` for a tracker: `adherence/<unit>/<measure>` and
    `adherence/<unit>/target_<label>/<measure>`."""
    out: dict[str, float] = {}
    for unit in sorted({str(s.target.unit) for s in scored}):
        rows = [s for s in scored if s.target.unit == unit]
        out.update(_means(f"adherence/{unit}", rows))
        for label, part in _by_target(rows).items():
            out.update(_means(f"adherence/{unit}/target_{label}", part))
    return out


def reward_correlation(scored: Sequence[Scored], rewards: Sequence[float | None]) -> float | None:
    """Pearson's r between rewards and closeness to the target (minus the absolute log ratio), -1 to 1: a length reward
    that points the right way is well above 0. None where one of the two does not vary."""
    pairs = [(-abs(s.log_ratio), r) for s, r in zip(scored, rewards, strict=True) if r is not None]
    if len(pairs) < 2:
        return None
    try:
        return statistics.correlation(*zip(*pairs, strict=True))
    except statistics.StatisticsError:  # a constant column
        return None


def summarise(scored: Sequence[Scored], seed: int) -> dict[str, Any]:
    """`{"overall": {measure: metric}, "by_target": {label: {measure: metric}}}`, ready for JSON.

    Raises:
        ValueError: no completions; a mean of nothing is not 0.
    """
    if not scored:
        raise ValueError("no completions to summarise")
    return {
        "overall": _metrics(scored, seed),
        "by_target": {label: _metrics(rows, seed) for label, rows in _by_target(scored).items()},
    }


def compare(before: Sequence[Scored], after: Sequence[Scored], seed: int) -> dict[str, Any]:
    """Change (after - before) of every measure with a bootstrap paired by prompt, overall and `by_target` (targets
    without a prompt in common are left out).

    Raises:
        ValueError: the two sides have no prompt in common.
    """
    if not {s.prompt_id for s in before} & {s.prompt_id for s in after}:
        raise ValueError("before and after have no prompt in common")
    ends = _by_target(after)
    targets = {label: _changes(rows, ends.get(label, []), seed) for label, rows in _by_target(before).items()}
    return {**_changes(before, after, seed), "by_target": {label: found for label, found in targets.items() if found}}


def _number(claim: bool | None) -> float | None:
    return None if claim is None else float(claim)


def _means(prefix: str, rows: Sequence[Scored]) -> dict[str, float]:
    out = {}
    for name in LOGGED:
        values = [value for value in map(MEASURES[name], rows) if value is not None]
        if values:
            out[f"{prefix}/{name}"] = sum(values) / len(values)
    return out


def _by_target(scored: Sequence[Scored]) -> dict[str, list[Scored]]:
    groups: dict[str, list[Scored]] = {}
    for item in sorted(scored, key=lambda s: s.target.value):
        groups.setdefault(item.target.label, []).append(item)
    return groups


@dataclass(frozen=True)
class _Sums:
    """Of each cluster that has a value of the measure: sum and number."""

    values: Mapping[str, float]
    counts: Mapping[str, int]

    def columns(self, clusters: Sequence[str]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Sums and numbers of the named clusters, each of shape (clusters,)."""
        import numpy as np

        sums = np.array([self.values[c] for c in clusters])
        return sums, np.array([float(self.counts[c]) for c in clusters])


def _cluster_sums(rows: Sequence[Scored], measure: Callable[[Scored], float | None]) -> _Sums:
    values: dict[str, float] = {}
    counts: dict[str, int] = {}
    for row in rows:
        value = measure(row)
        if value is not None:
            values[row.prompt_id] = values.get(row.prompt_id, 0.0) + value
            counts[row.prompt_id] = counts.get(row.prompt_id, 0) + 1
    return _Sums(values, counts)


def _metrics(rows: Sequence[Scored], seed: int) -> dict[str, dict[str, float]]:
    weights = lru_cache(lambda clusters: resampled(clusters, seed))
    out = {}
    for name, measure in MEASURES.items():
        found = _cluster_sums(rows, measure)
        clusters = sorted(found.counts)
        if clusters:
            sums, counts = found.columns(clusters)
            drawn = weights(len(clusters))
            low, high = interval((drawn @ sums) / (drawn @ counts))
            out[name] = asdict(Metric(float(sums.sum() / counts.sum()), low, high, int(counts.sum())))
    return out


def _changes(before: Sequence[Scored], after: Sequence[Scored], seed: int) -> dict[str, dict[str, float]]:
    weights = lru_cache(lambda clusters: resampled(clusters, seed))
    out = {}
    for name, measure in MEASURES.items():
        first_sums, last_sums = _cluster_sums(before, measure), _cluster_sums(after, measure)
        clusters = sorted(first_sums.counts.keys() & last_sums.counts.keys())
        if clusters:
            first, n_first = first_sums.columns(clusters)
            last, n_last = last_sums.columns(clusters)
            drawn = weights(len(clusters))
            low, high = interval((drawn @ last) / (drawn @ n_last) - (drawn @ first) / (drawn @ n_first))
            value = last.sum() / n_last.sum() - first.sum() / n_first.sum()
            out[name] = asdict(Metric(float(value), low, high, int(n_last.sum())))
    return out
