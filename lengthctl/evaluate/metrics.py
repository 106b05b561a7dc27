"""Adherence of a set of completions: flat means for the training log, intervals for the evaluation.

Intervals are 95 % percentile bootstraps over prompts (clusters): the completions of one prompt are drawn together.
Every level is a micro average: pooled over completions, as Ruler counts (arXiv 2409.18943).
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from lengthctl.scoring import Scored

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["MEASURES", "Metric", "adherence", "compare", "reward_correlation", "summarise"]

MEASURES: Mapping[str, Callable[[Scored], float]] = {
    "pm": lambda s: float(s.pm),
    "fm": lambda s: float(s.fm),
    "mean_abs_relative_deviation": lambda s: abs(s.relative_deviation),
    "mean_relative_deviation": lambda s: s.relative_deviation,
    "mean_abs_log_ratio": lambda s: abs(s.log_ratio),
    "truncation": lambda s: float(s.is_truncated),
    "repetition": lambda s: s.repetition,
    "mean_length": lambda s: float(s.length),
}
"""What is measured of one completion; a metric is its mean. `mean_length` is in the target's unit."""

_RESAMPLES = 2000


@dataclass(frozen=True)
class Metric:
    """A mean with its 95 % interval over `n` completions."""

    value: float
    low: float
    high: float
    n: int


def adherence(scored: Sequence[Scored]) -> dict[str, float]:
    """Flat means for a tracker: `adherence/<unit>/<measure>` and `adherence/<unit>/target_<label>/<measure>`."""
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
    """Change (after - before) of every measure with a bootstrap paired by prompt, overall and `by_target`.

    Raises:
        ValueError: the two sides have no prompt in common.
    """
    targets = {
        label: _changes(rows, [s for s in after if s.target.label == label], seed)
        for label, rows in _by_target(before).items()
    }
    return {**_changes(before, after, seed), "by_target": targets}


def _means(prefix: str, rows: Sequence[Scored]) -> dict[str, float]:
    return {f"{prefix}/{name}": sum(map(measure, rows)) / len(rows) for name, measure in MEASURES.items()}


def _by_target(scored: Sequence[Scored]) -> dict[str, list[Scored]]:
    groups: dict[str, list[Scored]] = {}
    for item in sorted(scored, key=lambda s: s.target.value):
        groups.setdefault(item.target.label, []).append(item)
    return groups


def _metrics(rows: Sequence[Scored], seed: int) -> dict[str, dict[str, float]]:
    import numpy as np

    clusters = sorted({s.prompt_id for s in rows})
    weights = _resampled(len(clusters), seed)
    out = {}
    for name, measure in MEASURES.items():
        sums, counts = _cluster_sums(rows, clusters, measure)
        draws = (weights @ sums) / (weights @ counts)
        low, high = np.percentile(draws, [2.5, 97.5])
        out[name] = asdict(Metric(float(sums.sum() / counts.sum()), float(low), float(high), len(rows)))
    return out


def _changes(before: Sequence[Scored], after: Sequence[Scored], seed: int) -> dict[str, dict[str, float]]:
    import numpy as np

    clusters = sorted({s.prompt_id for s in before} & {s.prompt_id for s in after})
    if not clusters:
        raise ValueError("before and after have no prompt in common")
    weights = _resampled(len(clusters), seed)
    out = {}
    for name, measure in MEASURES.items():
        first, n_first = _cluster_sums(before, clusters, measure)
        last, n_last = _cluster_sums(after, clusters, measure)
        draws = (weights @ last) / (weights @ n_last) - (weights @ first) / (weights @ n_first)
        low, high = np.percentile(draws, [2.5, 97.5])
        value = last.sum() / n_last.sum() - first.sum() / n_first.sum()
        out[name] = asdict(Metric(float(value), float(low), float(high), int(n_last.sum())))
    return out


def _resampled(clusters: int, seed: int) -> NDArray[np.float64]:
    """How often each cluster is drawn: (resamples, clusters)."""
    import numpy as np

    draws = np.random.default_rng(seed).multinomial(clusters, np.full(clusters, 1 / clusters), size=_RESAMPLES)
    return draws.astype(np.float64)


def _cluster_sums(
    rows: Sequence[Scored], clusters: Sequence[str], measure: Callable[[Scored], float]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    import numpy as np

    index = {name: i for i, name in enumerate(clusters)}
    sums, counts = np.zeros(len(clusters)), np.zeros(len(clusters))
    for row in rows:
        if row.prompt_id in index:
            sums[index[row.prompt_id]] += measure(row)
            counts[index[row.prompt_id]] += 1
    return sums, counts
