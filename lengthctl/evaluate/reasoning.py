"""Accuracy against tokens of systems that answer problems: summary of one, paired comparison of two.

Intervals are 95 % bootstraps over problems: the samples of a problem are drawn together, and each problem weighs the
same however many samples it has. Quantiles and the means over correct or wrong are pooled over completions.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from lengthctl.evaluate.attempts import MEASURES, Attempt
from lengthctl.evaluate.bootstrap import interval, resampled
from lengthctl.evaluate.metrics import Metric
from lengthctl.evaluate.tradeoff import (
    AES_WEIGHTS,
    AesWeights,
    Point,
    accuracy_efficiency,
    pass_at_k,
    tokens_at_accuracy,
)

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = [
    "compare_attempts",
    "curve_point",
    "paired_draws",
    "summarise_attempts",
    "tokens_at_equal_accuracy",
]

_QUANTILES = {"median_total_tokens": 0.5, "p90_total_tokens": 0.9, "p99_total_tokens": 0.99}
_DRAWS_AT_ONCE = 100


def summarise_attempts(attempts: Sequence[Attempt], seed: int, ks: Sequence[int] = (1,)) -> dict[str, Any]:
    """Accuracy and tokens of one system, ready for JSON.

    `{"overall": {measure: metric or None}, "by_difficulty": {label: {...}}, "problems": n, "samples_per_problem":
    [fewest, most]}`. A metric is None where it is undefined (tokens of correct ones, when none is). Quantiles are the
    least length that this share of the completions does not exceed.

    Args:
        attempts: every sample of every problem.
        seed: of the bootstrap.
        ks: of pass@k.

    Raises:
        ValueError: no attempts, a sample twice, or a problem with fewer samples than the largest k.
    """
    counts = [len(part) for part in _by_problem(attempts).values()]
    labels = sorted({a.difficulty for a in attempts if a.difficulty is not None})
    return {
        "overall": _metrics(attempts, seed, ks),
        "by_difficulty": {f"{x:g}": _metrics([a for a in attempts if a.difficulty == x], seed, ks) for x in labels},
        "problems": len(counts),
        "samples_per_problem": [min(counts), max(counts)],
    }


def compare_attempts(
    base: Sequence[Attempt], other: Sequence[Attempt], seed: int, weights: AesWeights = AES_WEIGHTS
) -> dict[str, dict[str, float] | None]:
    """Change (other minus base) of every measure over the problems that both have, from the same draws of problems.

    Also `relative_total_tokens`, the change of mean tokens as a share of the base's, and the accuracy-efficiency score
    under a name that tells its weights, as `aes_1_3_5`; both None where the base has no tokens or accuracy.

    Raises:
        ValueError: no problem in common.
    """
    ours, theirs = _by_problem(base), _by_problem(other)
    problems = sorted(ours.keys() & theirs.keys())
    if not problems:
        raise ValueError("the two systems have no problem in common")
    draws = resampled(len(problems), seed)
    n = sum(len(theirs[name]) for name in problems)
    out: dict[str, dict[str, float] | None] = {}
    for name, measure in MEASURES.items():
        first, last = _item_means(ours, problems, measure), _item_means(theirs, problems, measure)
        out[name] = _metric(float(last.mean() - first.mean()), paired_draws(first, last, draws), n)
    pairs = list(zip(_points(ours, problems, draws), _points(theirs, problems, draws), strict=True))
    relative = [(b.tokens - a.tokens) / a.tokens if a.tokens > 0 else None for a, b in pairs]
    out["relative_total_tokens"] = _defined(relative, n)
    out[weights.label] = _defined([accuracy_efficiency(a, b, weights) for a, b in pairs], n)
    return out


def curve_point(name: str, attempts: Sequence[Attempt]) -> Point:
    """A system on the accuracy-tokens plane: mean total tokens and accuracy (0 to 1), each problem weighing the same.

    Raises:
        ValueError: no attempts.
    """
    groups = _by_problem(attempts)
    tokens, accuracy = (
        float(_item_means(groups, sorted(groups), MEASURES[measure]).mean())
        for measure in ("mean_total_tokens", "accuracy")
    )
    return Point(tokens, accuracy, name)


def tokens_at_equal_accuracy(
    curves: Mapping[str, Sequence[Sequence[Attempt]]], seed: int
) -> dict[str, dict[str, dict[str, float] | None]]:
    """What each method spends for one accuracy: `{accuracy in %: {method: metric or None}}`, tokens a completion.

    A method's curve goes straight from setting to setting; it is read at the accuracy of every setting of every method.
    None where an accuracy lies outside a curve. Intervals come from the same draws of the problems that all have; draws
    in which a curve does not reach the accuracy are left out of them.

    Args:
        curves: by method, the attempts of each of its settings (two or more make a curve).
        seed: of the bootstrap.
    """
    grouped = {name: [_by_problem(a) for a in settings] for name, settings in curves.items() if len(settings) > 1}
    shared = set.intersection(*(set(s) for settings in grouped.values() for s in settings)) if grouped else set()
    if not shared:
        return {}
    problems = sorted(shared)
    draws = resampled(len(problems), seed)
    drawn = {
        name: list(zip(*(_points(s, problems, draws) for s in settings), strict=True))
        for name, settings in grouped.items()
    }
    levels = sorted({point.accuracy for settings in drawn.values() for point in settings[0]})
    return {
        f"{100 * level:.1f}": {
            name: _defined([tokens_at_accuracy(curve, level) for curve in settings], len(problems))
            for name, settings in drawn.items()
        }
        for level in levels
    }


def paired_draws(
    first: Sequence[float] | NDArray[np.float64],
    last: Sequence[float] | NDArray[np.float64],
    draws: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Change of the mean over items (last minus first) in each draw: (draws,).

    Args:
        first: the items' values under one system.
        last: the same items' values under the other.
        draws: how often each item is drawn, (draws, items), as `resampled` gives it.
    """
    import numpy as np

    change: NDArray[np.float64] = draws @ (np.asarray(last) - np.asarray(first)) / draws.sum(axis=1)
    return change


def _by_problem(attempts: Sequence[Attempt]) -> dict[str, list[Attempt]]:
    if not attempts:
        raise ValueError("no attempts to summarise")
    groups: dict[str, dict[int, Attempt]] = {}
    for attempt in attempts:
        samples = groups.setdefault(attempt.problem_id, {})
        if attempt.sample in samples:
            raise ValueError(f"sample {attempt.sample} of problem {attempt.problem_id!r} stands twice")
        samples[attempt.sample] = attempt
    return {name: list(samples.values()) for name, samples in groups.items()}


def _item_means(
    groups: Mapping[str, Sequence[Attempt]], problems: Sequence[str], measure: Callable[[Attempt], float]
) -> NDArray[np.float64]:
    import numpy as np

    return np.array([sum(map(measure, groups[name])) / len(groups[name]) for name in problems])


def _points(
    groups: Mapping[str, Sequence[Attempt]], problems: Sequence[str], draws: NDArray[np.float64]
) -> list[Point]:
    """The system on all problems, then on each draw of them."""
    import numpy as np

    everything = np.vstack([np.ones(len(problems)), draws])
    tokens, accuracy = (
        everything @ _item_means(groups, problems, MEASURES[name]) / everything.sum(axis=1)
        for name in ("mean_total_tokens", "accuracy")
    )
    return [Point(float(t), float(a)) for t, a in zip(tokens, accuracy, strict=True)]


def _metric(value: float, draws: NDArray[np.float64], n: int) -> dict[str, float]:
    low, high = interval(draws)
    return asdict(Metric(float(value), low, high, n))


def _defined(values: Sequence[float | None], n: int) -> dict[str, float] | None:
    """A metric from its value and its draws; undefined draws are left out, an undefined value is no metric."""
    import numpy as np

    value, draws = values[0], [v for v in values[1:] if v is not None]
    return None if value is None else _metric(value, np.array(draws or [value]), n)


def _metrics(attempts: Sequence[Attempt], seed: int, ks: Sequence[int]) -> dict[str, dict[str, float] | None]:
    groups = _by_problem(attempts)
    problems = sorted(groups)
    draws = resampled(len(problems), seed)
    out: dict[str, dict[str, float] | None] = {}
    for name, measure in MEASURES.items():
        means = _item_means(groups, problems, measure)
        out[name] = _metric(means.mean(), draws @ means / len(problems), len(attempts))
    for k in ks:
        values = _pass_at_k(groups, problems, k)
        out[f"pass_at_{k}"] = _metric(values.mean(), draws @ values / len(problems), len(attempts))
    for name, wanted in (("mean_total_tokens_correct", True), ("mean_total_tokens_wrong", False)):
        out[name] = _pooled_mean([a for a in attempts if a.is_correct is wanted], problems, draws)
    return {**out, **_quantiles(attempts, problems, draws)}


def _pass_at_k(groups: Mapping[str, Sequence[Attempt]], problems: Sequence[str], k: int) -> NDArray[np.float64]:
    import numpy as np

    return np.array([pass_at_k(len(groups[p]), sum(a.is_correct for a in groups[p]), k) for p in problems])


def _pooled_mean(
    attempts: Sequence[Attempt], problems: Sequence[str], draws: NDArray[np.float64]
) -> dict[str, float] | None:
    """Mean total tokens of these attempts; None when there are none."""
    import numpy as np

    if not attempts:
        return None
    index = {name: i for i, name in enumerate(problems)}
    sums, counts = np.zeros(len(problems)), np.zeros(len(problems))
    for attempt in attempts:
        sums[index[attempt.problem_id]] += attempt.total_tokens
        counts[index[attempt.problem_id]] += 1
    drawn = draws @ counts
    means = (draws @ sums)[drawn > 0] / drawn[drawn > 0]
    return _metric(sums.sum() / counts.sum(), means, len(attempts))


def _quantiles(
    attempts: Sequence[Attempt], problems: Sequence[str], draws: NDArray[np.float64]
) -> dict[str, dict[str, float]]:
    import numpy as np

    index = {name: i for i, name in enumerate(problems)}
    ordered = sorted(attempts, key=lambda a: a.total_tokens)
    tokens = np.array([a.total_tokens for a in ordered], dtype=np.float64)
    column = np.array([index[a.problem_id] for a in ordered])
    weights = np.vstack([np.ones(len(problems)), draws])
    found: dict[str, list[NDArray[np.float64]]] = {name: [] for name in _QUANTILES}
    for start in range(0, len(weights), _DRAWS_AT_ONCE):  # all draws at once take gigabytes for a large set
        reached = np.cumsum(weights[start : start + _DRAWS_AT_ONCE, column], axis=1)
        for name, share in _QUANTILES.items():
            enough = reached >= share * reached[:, -1:] - 1e-9
            found[name].append(tokens[enough.argmax(axis=1)])
    joined = {name: np.concatenate(parts) for name, parts in found.items()}
    return {name: _metric(values[0], values[1:], len(attempts)) for name, values in joined.items()}
