"""What answers to problems say: accuracy, format and tokens of each side, by difficulty and by the length asked for,
and the paired change."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from lengthctl.evaluate.attempts import Attempt
from lengthctl.evaluate.reasoning import compare_attempts, summarise_attempts, tokens_at_equal_accuracy
from lengthctl.pipelines.problem_bench import Answered

__all__ = ["compare_answers", "problem_summary", "summarise_answers"]

_Answers = Sequence[Answered]
_Metric = Mapping[str, float]


def summarise_answers(answers: _Answers, seed: int) -> dict[str, Any]:
    """`summarise_attempts`, and in `overall` also `accuracy_last_number`, the accuracy by the last number anywhere, and
    `format`, the share that marks an answer; `by_level` holds the same for each way of asking, where there are several.

    Raises:
        ValueError: no answers.
    """
    parts = _by_label(answers)
    counts = Counter(one.attempt.problem_id for one in answers)
    ks = {1, min(counts.values(), default=1)} if len(parts) == 1 else {1}  # a try at each level is no second try
    found = summarise_attempts([one.attempt for one in answers], seed, sorted(ks))
    loose = summarise_attempts([one.by_last_number for one in answers], seed)["overall"]["accuracy"]
    marked = _complement(found["overall"]["no_answer"])
    found["overall"] = {**found["overall"], "accuracy_last_number": loose, "format": marked}
    if len(parts) > 1:
        found["by_level"] = {label: summarise_answers(part, seed)["overall"] for label, part in parts.items()}
    return found


def compare_answers(base: _Answers, other: _Answers, seed: int) -> dict[str, Any]:
    """`compare_attempts`, with the change of `accuracy_last_number` and `format`, and the same `by_level`, where both
    sides were asked in several ways.

    Raises:
        ValueError: no problem in common.
    """
    found: dict[str, Any] = dict(compare_attempts(_attempts(base), _attempts(other), seed))
    first, last = ([one.by_last_number for one in side] for side in (base, other))
    found["accuracy_last_number"] = compare_attempts(first, last, seed)["accuracy"]
    found["format"] = _negative(found["no_answer"])
    ours, theirs = _by_label(base), _by_label(other)
    shared = [label for label in ours if label in theirs]
    if len(ours) > 1 and shared:
        found["by_level"] = {label: compare_answers(ours[label], theirs[label], seed) for label in shared}
    return found


def problem_summary(sides: Mapping[str, _Answers], methods: Mapping[str, str], seed: int) -> dict[str, Any]:
    """For a summary: `reasoning` (what the report plots; a side that was asked in several ways is several points),
    `problems` by side, `problem_differences` to the first side, and `tokens_at_equal_accuracy` of the methods that were
    measured at several settings.

    Args:
        sides: answers by side.
        methods: by side, the method that it is one setting of.
        seed: of the bootstrap.
    """
    answered = {name: answers for name, answers in sides.items() if answers}
    summaries = {name: summarise_answers(answers, seed) for name, answers in answered.items()}
    points: dict[str, Any] = {}
    curves: dict[str, list[Sequence[Attempt]]] = {}
    for name, found in summaries.items():
        for label, level in found.get("by_level", {"": found["overall"]}).items():
            title = f"{name} {label}".strip()
            points[title] = {"accuracy": level["accuracy"], "tokens": level["mean_total_tokens"]}
        curves.setdefault(methods[name], []).extend(_attempts(part) for part in _by_label(answered[name]).values())
    first, *others = summaries
    return {
        "reasoning": points,
        "problems": summaries,
        "problem_differences": {name: compare_answers(answered[first], answered[name], seed) for name in others},
        "tokens_at_equal_accuracy": tokens_at_equal_accuracy(curves, seed),
    }


def _attempts(answers: _Answers) -> list[Attempt]:
    return [one.attempt for one in answers]


def _by_label(answers: _Answers) -> dict[str, list[Answered]]:
    parts: dict[str, list[Answered]] = {}
    for one in answers:
        parts.setdefault(one.label, []).append(one)
    return parts


def _complement(metric: _Metric) -> dict[str, float]:
    value, low, high = 1 - metric["value"], 1 - metric["high"], 1 - metric["low"]
    return {"value": value, "low": low, "high": high, "n": metric["n"]}


def _negative(metric: _Metric) -> dict[str, float]:
    return {"value": -metric["value"], "low": -metric["high"], "high": -metric["low"], "n": metric["n"]}
