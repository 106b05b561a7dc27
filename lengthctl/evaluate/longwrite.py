"""LongBench-Write and LonGen: long texts to a stated length, scored for length and, by a judge, for quality.

Sources: LongWriter, arXiv 2408.07055; Self-Lengthen, arXiv 2410.23933. Scores are in [0, 1] where both print percent.
Each benchmark counts words by its own rule. Its prompts come from `longwrite_prompts.py`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from lengthctl.evaluate.bootstrap import interval, resampled
from lengthctl.evaluate.judge import Judge, JudgeItem, Judgement
from lengthctl.evaluate.metrics import MEASURES
from lengthctl.judging import Rubric, is_refusal
from lengthctl.length import Unit
from lengthctl.prompts import LengthPrompt
from lengthctl.reasoning import parse_reasoning
from lengthctl.scoring import Scored, score_text

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = [
    "Written",
    "compare_writing",
    "judge_writing",
    "measure_writing",
    "summarise_writing",
]


@dataclass(frozen=True)
class Written:
    """One completion of a long-writing prompt; quality and grades are there once a judge has given them."""

    prompt: LengthPrompt
    scored: Scored
    quality: float | None = None
    """In [0, 1]."""
    grades: Mapping[str, float] = field(default_factory=dict)
    """By dimension, in [0, 1]: 0 is the scale's lowest grade."""


def measure_writing(prompt: LengthPrompt, text: str, *, tokens: int, is_truncated: bool) -> Written:
    """A completion measured; reasoning is left out of its length and of what a judge sees."""
    answer = parse_reasoning(text).answer
    scored = score_text(answer, prompt.target, prompt_id=prompt.seed_id, tokens=tokens, is_truncated=is_truncated)
    return Written(prompt, scored)


def judge_writing(
    judge: Judge[Rubric], written: Sequence[Written], tick: Callable[[int], None] | None = None
) -> tuple[list[Written], Judgement]:
    """The completions with their quality, None for those without a verdict, and how the judging went.

    Raises:
        EndpointError, EngineError, FailureBudgetError: the judge is gone; verdicts so far are in its cache.
    """
    seen: Counter[str] = Counter()
    items = []
    for one in written:
        items.append(JudgeItem(f"{one.prompt.id}#{seen[one.prompt.id]}", _request(one.prompt), one.scored.text))
        seen[one.prompt.id] += 1
    judgement = judge.judge(items, tick)
    rubric, graded = judge.rubric, []
    for one, item in zip(written, items, strict=True):
        scores = judgement.verdicts[item.id].scores
        quality = rubric.quality(scores) if scores else None
        grades = {name: (score - rubric.low) / (rubric.high - rubric.low) for name, score in scores.items()}
        graded.append(replace(one, quality=quality, grades=grades))
    return graded, judgement


def summarise_writing(written: Sequence[Written], seed: int, judgement: Judgement | None = None) -> dict[str, Any]:
    """`{"overall", "bucket_mean", "by_bucket" or "by_kind" and "by_range", "by_language", "dimensions", "judge"}`.

    Means over completions with 95 % intervals; `bucket_mean` weighs buckets or kinds alike, as some papers do. Quality
    is of the completions that have a verdict, and absent where none has.

    Raises:
        ValueError: no completions.
    """
    if not written:
        raise ValueError("no completions to summarise")
    draw = _Draws([one.scored.prompt_id for one in written], seed)
    main = "bucket" if "bucket" in written[0].prompt.columns else "kind"
    names = [name for name in ("bucket", "kind", "range", "language") if name in written[0].prompt.columns]
    groups = {name: _grouped(written, name) for name in names}
    out: dict[str, Any] = {"overall": _told(draw.level(written))}
    out["bucket_mean"] = _told(_mean_of([draw.level(rows) for rows in groups[main].values()]))
    for name, parts in groups.items():
        out[f"by_{name}"] = {label: _told(draw.level(rows)) for label, rows in parts.items()}
    dimensions = {name: [(one, one.grades.get(name)) for one in written] for name in _dimensions(written)}
    out["dimensions"] = _told({name: draw.mean(values) for name, values in dimensions.items()})
    if judgement is not None:
        out["judge"] = judgement.to_row()
    return out


def compare_writing(before: Sequence[Written], after: Sequence[Written], seed: int) -> dict[str, Any]:
    """Change (after - before) of every measure that both have, with a bootstrap paired by prompt.

    Raises:
        ValueError: the two sides have no prompt in common.
    """
    common = {one.scored.prompt_id for one in before} & {one.scored.prompt_id for one in after}
    if not common:
        raise ValueError("before and after have no prompt in common")
    draw = _Draws(sorted(common), seed)
    first, last = (draw.level([o for o in side if o.scored.prompt_id in common]) for side in (before, after))
    both = [name for name in first if name in last]
    return _told({n: _Mean(last[n].value - first[n].value, last[n].draws - first[n].draws, last[n].n) for n in both})


@dataclass(frozen=True)
class _Mean:
    """A mean over `n` completions and its bootstrap draws, NaN where a draw has no completion that counts."""

    value: float
    draws: NDArray[np.float64]
    n: int


class _Draws:
    """The same draws of prompts for every measure and group."""

    def __init__(self, prompt_ids: Sequence[str], seed: int) -> None:
        self._place = {name: i for i, name in enumerate(sorted(set(prompt_ids)))}
        self._weights = resampled(len(self._place), seed)

    def mean(self, values: Sequence[tuple[Written, float | None]]) -> _Mean | None:
        """Of the values that are there; None for none."""
        import numpy as np

        sums, counts = np.zeros(len(self._place)), np.zeros(len(self._place))
        for one, value in values:
            if value is not None:
                sums[self._place[one.scored.prompt_id]] += value
                counts[self._place[one.scored.prompt_id]] += 1
        if not counts.any():
            return None
        with np.errstate(invalid="ignore"):
            draws = (self._weights @ sums) / (self._weights @ counts)
        return _Mean(float(sums.sum() / counts.sum()), draws, int(counts.sum()))

    def level(self, written: Sequence[Written]) -> dict[str, _Mean]:
        """Every measure of some completions; S is the mean of S_l and S_q, each over what it has."""
        length = "s_l" if written[0].scored.target.unit is Unit.WORDS_LONGWRITER else "longen_score"
        shown = (length, "mean_abs_relative_deviation", "mean_length", "truncation", "repetition")
        found = {name: self.mean([(one, MEASURES[name](one.scored)) for one in written]) for name in shown}
        found["refusal"] = self.mean([(one, float(is_refusal(one.scored.text))) for one in written])
        found["s_q"] = self.mean([(one, one.quality) for one in written])
        level = {name: mean for name, mean in found.items() if mean is not None}
        if length == "s_l" and "s_q" in level:
            level["s"] = _average([level["s_l"], level["s_q"]], level["s_q"].n)
        return level


def _average(means: Sequence[_Mean], n: int) -> _Mean:
    import numpy as np

    draws = np.mean(np.stack([mean.draws for mean in means]), axis=0)
    return _Mean(sum(mean.value for mean in means) / len(means), draws, n)


def _mean_of(levels: Sequence[Mapping[str, _Mean]]) -> dict[str, _Mean]:
    """Every measure that all levels have, the levels weighing alike."""
    names = [name for name in levels[0] if all(name in level for level in levels)]
    return {name: _average([lv[name] for lv in levels], sum(lv[name].n for lv in levels)) for name in names}


def _told(means: Mapping[str, _Mean | None]) -> dict[str, Any]:
    import numpy as np

    out = {}
    for name, mean in means.items():
        if mean is not None:
            low, high = interval(mean.draws[np.isfinite(mean.draws)])
            out[name] = {"value": mean.value, "low": low, "high": high, "n": mean.n}
    return out


def _grouped(written: Sequence[Written], column: str) -> dict[str, list[Written]]:
    """By the value of a column, in the order of the targets."""
    groups: dict[str, list[Written]] = {}
    for one in sorted(written, key=lambda one: one.scored.target.value):
        groups.setdefault(str(one.prompt.columns[column]), []).append(one)
    return groups


def _dimensions(written: Sequence[Written]) -> list[str]:
    return list(dict.fromkeys(name for one in written for name in one.grades))


def _request(prompt: LengthPrompt) -> str:
    """What a judge is shown of the conversation."""
    if len(prompt.messages) == 1:
        return prompt.messages[0]["content"]
    return "\n\n".join(f"{message['role']}: {message['content']}" for message in prompt.messages)
