"""How long the completions of one prompt are, and how much that varies. Pure; `length_table.py` stores it.

Source: CASTILLO (arXiv 2505.16881), whose published files have the columns `prompt_id`, `model`, `dataset`,
`input_size`, `output_sizes`, `output_mean`, `output_std` and `output_percentiles`; the other names are ours. One
completion that loops up to the limit rules a mean and a deviation, so median and MAD stand beside them.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from lengthctl.errors import DataError
from lengthctl.length import Target
from lengthctl.rollout.prediction import PastLengths

__all__ = ["LengthStats", "PromptLengths", "is_looping", "length_stats", "measure_lengths"]

_LOOP_NGRAM, _LOOP_SHARE = 8, 0.7
"""No human text is beyond: 0 of 762 Dolly responses and 0 of 499 MATH solutions; of the answers of a base model, which
loops, 20 % are (SmolLM2's tokens)."""


@dataclass(frozen=True)
class LengthStats:
    """Lengths in tokens of the completions of one prompt under one model and sampling."""

    n: int
    output_sizes: tuple[int, ...]
    output_mean: float
    output_std: float
    """Of the population: divided by n, as in CASTILLO."""
    output_percentiles: Mapping[str, float]
    """`p25`, `p50`, `p75`, `p99`, linear between neighbours."""
    variation: float | None
    """Standard deviation over mean; None where the mean is 0."""
    median: float
    mad: float
    """Median absolute deviation from the median, not scaled."""
    shortest: int
    longest: int
    at_limit: int
    """Completions that reached the limit."""
    looping: int
    """Completions that go round in circles, whether or not they reached the limit."""
    degenerate: int
    """Completions of which one or both is true; their sizes count in all of the above."""


@dataclass(frozen=True)
class PromptLengths:
    """One prompt under one model: a row of the table. `prompt_id` and `target` together name the prompt."""

    prompt_id: str
    model: str
    stats: LengthStats
    dataset: str = ""
    input_size: int | None = None
    """Prompt tokens, chat template included."""
    target: Target | None = None

    def past(self) -> PastLengths:
        """For `LengthPredictor.from_history`; the prompt is named as `LengthPrompt.id` names it."""
        name = self.prompt_id if self.target is None else f"{self.prompt_id}|{self.target.label}"
        return PastLengths(self.stats.output_sizes, name, self.input_size, self.target, self.dataset)


def length_stats(
    sizes: Sequence[int], limit: int | None = None, looping: Sequence[bool] = (), cut: Sequence[bool] = ()
) -> LengthStats:
    """Statistics of the lengths of one prompt's completions, in tokens; their order does not matter.

    Args:
        sizes: at least one, each at least 0.
        limit: cap on completion tokens: what is as long reached it. None where it is not known.
        looping: for each size, whether that completion goes round in circles; empty where it was not looked at.
        cut: for each size, whether it reached a limit of its own; empty where `limit` says all.

    Raises:
        ValueError: no sizes, a negative one, or marks of another number.
    """
    if not sizes or min(sizes) < 0:
        raise ValueError(f"lengths are whole numbers of at least 0, and one is needed at least, found {list(sizes)}")
    loops, cuts = ([bool(mark) for mark in marks] or [False] * len(sizes) for marks in (looping, cut))
    marks = [
        (hit or (limit is not None and size >= limit), loop) for size, hit, loop in zip(sizes, cuts, loops, strict=True)
    ]
    ordered = sorted(sizes)
    mean, std, median = statistics.fmean(ordered), statistics.pstdev(ordered), float(statistics.median(ordered))
    return LengthStats(
        n=len(sizes),
        output_sizes=tuple(sizes),
        output_mean=mean,
        output_std=std,
        output_percentiles={f"p{p}": _percentile(ordered, p / 100) for p in (25, 50, 75, 99)},
        variation=std / mean if mean else None,
        median=median,
        mad=float(statistics.median(abs(size - median) for size in ordered)),
        shortest=ordered[0],
        longest=ordered[-1],
        at_limit=sum(hit for hit, _ in marks),
        looping=sum(loop for _, loop in marks),
        degenerate=sum(hit or loop for hit, loop in marks),
    )


def _percentile(ordered: Sequence[int], share: float) -> float:
    """Linear between neighbours, as NumPy's default."""
    place = share * (len(ordered) - 1)
    low = math.floor(place)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (place - low) * (ordered[high] - ordered[low])


def is_looping(token_ids: Sequence[int]) -> bool:
    """Of the token 8-grams of a completion's second half, more than 70 % stood there before. Ours.

    False for completions of less than 32 tokens.
    """
    total = len(token_ids) - _LOOP_NGRAM + 1
    if len(token_ids) < 4 * _LOOP_NGRAM:
        return False
    seen: set[tuple[int, ...]] = set()
    again = 0
    for start in range(total):
        ngram = tuple(token_ids[start : start + _LOOP_NGRAM])
        again += start >= total // 2 and ngram in seen
        seen.add(ngram)
    return again / (total - total // 2) > _LOOP_SHARE


def measure_lengths(rows: Iterable[Mapping[str, Any]], *, model: str, limit: int | None) -> list[PromptLengths]:
    """Sample records to one row a prompt and target, in the order of their first sample.

    Args:
        rows: records with `prompt_id`, `target`, `finish` and `token_ids` (or, of endpoints, `tokens` alone, where
            loops cannot be seen); those of failed completions are left out.
        model: name or path, for the table.
        limit: cap on completion tokens; a `finish` of "limit" counts as well.

    Raises:
        DataError: a record lacks a field.
    """
    groups: dict[tuple[str, Target | None], list[tuple[int, bool, bool]]] = {}
    for number, row in enumerate(rows, 1):
        if row.get("finish") == "error":
            continue
        ids = row.get("token_ids") or ()
        size = len(ids) or row.get("tokens")
        if "prompt_id" not in row or not isinstance(size, int):
            raise DataError(f"sample {number} has no prompt_id, or neither token_ids nor tokens")
        target = None if row.get("target") is None else Target.parse(row["target"])
        found = (size, is_looping(ids), row.get("finish") == "limit")
        groups.setdefault((str(row["prompt_id"]), target), []).append(found)
    out = []
    for (prompt_id, target), found_all in groups.items():
        sizes, loops, cuts = zip(*found_all, strict=True)
        out.append(PromptLengths(prompt_id, model, length_stats(sizes, limit, loops, cuts), target=target))
    return out
