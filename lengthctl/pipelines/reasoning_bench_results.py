"""What a bench found: its sides pooled over seeds, compared with the base, and what each of them costs."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any

from lengthctl.config.bench import BASE_NAME
from lengthctl.evaluate.attempts import Attempt
from lengthctl.evaluate.bootstrap import interval, resampled
from lengthctl.evaluate.cost import Drawn, token_cost
from lengthctl.evaluate.metrics import Metric
from lengthctl.evaluate.reasoning import paired_draws
from lengthctl.pipelines.problem_bench import Answered
from lengthctl.pipelines.problem_results import compare_answers, problem_summary
from lengthctl.pipelines.reasoning_bench_measure import Measured
from lengthctl.pipelines.reasoning_bench_plan import BenchPlan
from lengthctl.pipelines.reasoning_bench_training import Trained

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["HALF", "BenchFound", "Failure", "bench_results"]

HALF = 0.5
"""Share of the tokens whose saving the papers promise."""
_BOOTSTRAP_SEED = 42


@dataclass(frozen=True)
class Failure:
    """What a bench could not do."""

    method: str
    seed: int
    why: str


@dataclass
class BenchFound:
    """What is known so far."""

    measured: dict[str, dict[int, Measured]] = field(default_factory=dict)
    """By side and seed."""
    trained: dict[str, dict[int, Trained]] = field(default_factory=dict)
    """By method and seed."""
    failures: list[Failure] = field(default_factory=list)


def bench_results(plan: BenchPlan, found: BenchFound) -> dict[str, Any]:
    """For `bench.json`: what `problem_summary` says of the sides, pooled over their seeds, and beside it

    - `verdicts`: against the base, over the seeds that both have, with the shares of all tokens that are `saved` and of
      reasoning tokens alone (`saved_reasoning`, None where the base marks no reasoning);
    - `best`: the side that saves most tokens of those that are not inferior, None where none is both, or where the base
      solves so little that none can be inferior;
    - `methods` by side, `costs`, `by_seed`, `training`, `failures`.

    Intervals are bootstraps over problems; the seeds of a problem are drawn together.

    Raises:
        ValueError: the base was not measured.
    """
    sides = {side.name: found.measured[side.name] for side in plan.sides if found.measured.get(side.name)}
    if BASE_NAME not in sides:
        raise ValueError("the base was not measured")
    order = {seed: place for place, seed in enumerate(plan.config.seeds)}
    pooled = {name: _pooled(by_seed, list(by_seed), order) for name, by_seed in sides.items()}
    summary = problem_summary(pooled, {side.name: side.method for side in plan.sides}, _BOOTSTRAP_SEED)
    base = sides[BASE_NAME]
    verdicts = {}
    for name, by_seed in sides.items():
        shared = [seed for seed in by_seed if seed in base]
        if name == BASE_NAME or not shared:
            summary["problem_differences"].pop(name, None)
            continue
        before, after = (_pooled(side, shared, order) for side in (base, by_seed))
        change = compare_answers(before, after, _BOOTSTRAP_SEED)
        summary["problem_differences"][name] = change
        verdicts[name] = {
            **_verdict(change, shared, plan.config.margin),
            "saved_reasoning": _saved_reasoning(before, after),
        }
    return {
        **summary,
        "methods": {side.name: side.method for side in plan.sides if side.name in sides},
        "verdicts": verdicts,
        "best": _best(verdicts) if _can_fall(summary, plan.config.margin) else None,
        "costs": {name: _cost(by_seed) for name, by_seed in sides.items()},
        "by_seed": {name: _by_seed(by_seed, base) for name, by_seed in sides.items()},
        "training": {
            method: {str(seed): trained.to_row() for seed, trained in by_seed.items()}
            for method, by_seed in found.trained.items()
        },
        "failures": [asdict(failure) for failure in found.failures],
    }


def _pooled(by_seed: Mapping[int, Measured], seeds: Sequence[int], order: Mapping[int, int]) -> list[Answered]:
    """Answers of several seeds as further samples of their problems."""
    most = 1 + max(one.attempt.sample for measured in by_seed.values() for one in measured.answers)

    def numbered(one: Answered, seed: int) -> Answered:
        sample = order[seed] * most + one.attempt.sample
        return replace(
            one,
            attempt=replace(one.attempt, sample=sample),
            by_last_number=replace(one.by_last_number, sample=sample),
        )

    return [numbered(one, seed) for seed in seeds for one in by_seed[seed].answers]


def _verdict(change: Mapping[str, Any], seeds: Sequence[int], margin: float) -> dict[str, Any]:
    accuracy, tokens = change["accuracy"], change["relative_total_tokens"]
    saved = None if tokens is None else _negative(tokens)
    return {
        "seeds": list(seeds),
        "accuracy_change": accuracy,
        "margin": margin,
        "is_not_inferior": accuracy["low"] > -margin,
        "saved": saved,
        "saves_half": saved is not None and saved["value"] >= HALF,
    }


def _negative(metric: Mapping[str, float]) -> dict[str, float]:
    return {"value": -metric["value"], "low": -metric["high"], "high": -metric["low"], "n": metric["n"]}


def _can_fall(summary: Mapping[str, Any], margin: float) -> bool:
    """The base solves more than the margin: a method that solves nothing would be inferior."""
    return bool(summary["problems"][BASE_NAME]["overall"]["accuracy"]["value"] > margin)


def _best(verdicts: Mapping[str, Mapping[str, Any]]) -> str | None:
    savings = {
        name: verdict["saved"]["value"]
        for name, verdict in verdicts.items()
        if verdict["is_not_inferior"] and verdict["saved"] is not None and verdict["saved"]["value"] > 0
    }
    return max(savings, key=lambda name: savings[name]) if savings else None


def _cost(by_seed: Mapping[int, Measured]) -> dict[str, Any]:
    """Tokens drawn and seconds, a completion and a correct answer; None where they are not known, or none is right."""
    drawn: list[Drawn] = [one for measured in by_seed.values() for one in measured.drawn]
    cost = token_cost(drawn, _BOOTSTRAP_SEED)
    timed = sum(measured.timed for measured in by_seed.values())
    seconds = sum(measured.seconds for measured in by_seed.values()) / timed if timed else None
    share = sum(one.is_hit for one in drawn) / len(drawn) if drawn else 0.0
    return {
        "tokens_drawn": None if cost is None else asdict(cost.tokens),
        "tokens_per_correct": None if cost is None else _finite(cost.per_hit),
        "seconds": seconds,
        "seconds_per_correct": seconds / share if seconds is not None and share > 0 else None,
    }


def _finite(metric: Metric) -> dict[str, float] | None:
    """JSON has no infinity: None where nothing is right; an end that is unbounded stands at the value."""
    if not math.isfinite(metric.value):
        return None
    return asdict(replace(metric, high=metric.high if math.isfinite(metric.high) else metric.value))


def _by_seed(by_seed: Mapping[int, Measured], base: Mapping[int, Measured]) -> dict[str, dict[str, Any]]:
    """Plain means of each seed, to see how far they lie apart, and the change of accuracy against the base's."""
    found = {}
    for seed, measured in by_seed.items():
        attempts = [one.attempt for one in measured.answers]
        found[str(seed)] = {
            "accuracy": sum(a.is_correct for a in attempts) / len(attempts),
            "mean_total_tokens": sum(a.total_tokens for a in attempts) / len(attempts),
            "mean_reasoning_tokens": sum(a.reasoning_tokens for a in attempts) / len(attempts),
            "n": len(attempts),
            "accuracy_change": _accuracy_change(base[seed], measured) if seed in base else None,
        }
    return found


def _accuracy_change(base: Measured, other: Measured) -> dict[str, float] | None:
    """As `compare_attempts` has it: the same draws of the problems that both answered."""
    paired = _paired(base.answers, other.answers, lambda attempt: float(attempt.is_correct))
    if paired is None:
        return None
    before, after, draws = paired
    low, high = interval(paired_draws(before, after, draws))
    return asdict(Metric(float(after.mean() - before.mean()), low, high, len(before)))


def _saved_reasoning(base: Sequence[Answered], other: Sequence[Answered]) -> dict[str, float] | None:
    """Share of the base's reasoning tokens that the other saves; None for a base that marks no reasoning."""
    paired = _paired(base, other, lambda attempt: float(attempt.reasoning_tokens))
    if paired is None:
        return None
    before, after, draws = paired
    spent = draws @ before
    if not (spent > 0).all():
        return None
    low, high = interval(1 - (draws @ after) / spent)
    return asdict(Metric(float(1 - after.sum() / before.sum()), low, high, len(other)))


def _paired(
    base: Sequence[Answered], other: Sequence[Answered], measure: Callable[[Attempt], float]
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]] | None:
    """Means over the samples of each problem that both answered, (problems,), and how often each is drawn, (draws,
    problems); None where there is no such problem."""
    import numpy as np

    first, last = (_means(side, measure) for side in (base, other))
    problems = sorted(first.keys() & last.keys())
    if not problems:
        return None
    before, after = (np.array([side[name] for name in problems]) for side in (first, last))
    return before, after, resampled(len(problems), _BOOTSTRAP_SEED)


def _means(answers: Sequence[Answered], measure: Callable[[Attempt], float]) -> dict[str, float]:
    found: dict[str, list[float]] = {}
    for one in answers:
        found.setdefault(one.attempt.problem_id, []).append(measure(one.attempt))
    return {name: sum(values) / len(values) for name, values in found.items()}
