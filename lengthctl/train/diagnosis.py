"""What a step shows to someone who does RL: parts of the reward, advantages, groups that teach nothing, lengths of
right and wrong answers, reward against length, and signs that a text games its length. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from itertools import pairwise
from statistics import correlation, fmean, pstdev
from typing import TYPE_CHECKING

from lengthctl.degeneration import TextSigns, distinct_trigrams, text_signs
from lengthctl.length import Target, count_length
from lengthctl.reasoning import THINK_TAGS, parse_reasoning
from lengthctl.train.group_filters import teaching_groups
from lengthctl.train.step_row import PARTS, StepRow, by_drawn_group

if TYPE_CHECKING:
    import torch

__all__ = ["QUANTILES", "quantile", "ratio_quantiles", "step_diagnosis"]

QUANTILES = (5, 25, 50, 75, 95)
"""Percentiles that are logged of advantages and ratios."""
_QUINTILES = 5
_NO_ADVANTAGE = 1e-8
_NO_SPREAD = 1e-9
_MOST_KINDS = 16
"""Targets or levels of a step beyond which none is told apart: they would be other ones in every step."""
_MOST_RATIOS = 2**20
"""Ratios of a micro-batch that its percentiles are taken of; more are thinned evenly."""


def step_diagnosis(rows: Sequence[StepRow]) -> dict[str, float]:
    """Metrics of one step; what cannot be told (nothing known, nothing varies) is left out. Values are finite.

    | metrics | of |
    |---|---|
    | `reward_parts/<name>_std` | each part's values, population deviation |
    | `advantages/p5` ... `p95`, `advantages/zero_fraction` | completions that are trained |
    | `groups/silent_fraction`; `groups/target_<label>/...`, `groups/level_<level>/...` | groups of equal rewards |
    | `answers/correct_fraction`, `tokens/correct`, `tokens/wrong`, `tokens/level_<level>` | tokens: mean a completion |
    | `reward_length/correlation`, `..._in_group` | Pearson's r of reward and tokens, -1 to 1; less the group's means |
    | `reward_length/quintile_1` ... `5` | mean reward of the shortest fifth to the longest |
    | `text/...` | means over texts: see `lengthctl.degeneration` |

    Args:
        rows: of one step, all trainer processes together. Those drawn in place of others count for the advantages
            alone; a completion that failed counts for none.
    """
    own = [row for row in rows if not row.is_resampled and not row.is_failed]
    return {
        **_part_spreads(own),
        **_advantages([row.advantage for row in rows if row.advantage is not None]),
        **_silent_groups([row for row in rows if not row.is_resampled]),
        **_lengths_by_kind(own),
        **_reward_against_length(own),
        **_texts(own),
    }


def quantile(ordered: Sequence[float], percent: float) -> float:
    """Percentile of rising values, between neighbours in proportion (NumPy's `linear`).

    Raises:
        ValueError: no values.
    """
    if not ordered:
        raise ValueError("no values have no percentiles")
    place = percent / 100 * (len(ordered) - 1)
    low = math.floor(place)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (place - low) * (ordered[high] - ordered[low])


def ratio_quantiles(ratios: torch.Tensor) -> dict[str, float]:
    """Percentiles of trainer over sampler probability before clipping, as `sampling/importance_sampling_ratio/p5` and
    so on; over several micro-batches the log shows their means.

    Args:
        ratios: flat, of the tokens or sequences of one micro-batch. Empty: nothing is told.
    """
    if not ratios.numel():
        return {}
    thinned = ratios.flatten()[:: math.ceil(ratios.numel() / _MOST_RATIOS)].double()
    shares = thinned.new_tensor([percent / 100 for percent in QUANTILES])
    values = thinned.quantile(shares).tolist()
    names = (f"sampling/importance_sampling_ratio/p{percent}" for percent in QUANTILES)
    return dict(zip(names, values, strict=True))


def _part_spreads(rows: Sequence[StepRow]) -> dict[str, float]:
    told: dict[str, list[float]] = {}
    for row in rows:
        for name, value in row.parts.items():
            if value is not None:
                told.setdefault(name, []).append(value)
    return {f"{PARTS}{name}_std": pstdev(values) for name, values in told.items()}


def _advantages(values: Sequence[float]) -> dict[str, float]:
    if not values:
        return {}
    ordered = sorted(values)
    told = {f"advantages/p{percent}": quantile(ordered, percent) for percent in QUANTILES}
    return {**told, "advantages/zero_fraction": _share(abs(value) < _NO_ADVANTAGE for value in values)}


def _silent_groups(rows: Sequence[StepRow]) -> dict[str, float]:
    groups = by_drawn_group(rows)
    taught = teaching_groups([[row.reward for row in group] for group in groups], "spread")
    silent = [not flag for flag in taught]
    targets: dict[str, list[bool]] = {}
    levels: dict[str, list[bool]] = {}
    for group, is_silent in zip(groups, silent, strict=True):
        if group[0].target:
            targets.setdefault(f"target_{Target.parse(group[0].target).label}/", []).append(is_silent)
        if group[0].level is not None:
            levels.setdefault(f"level_{group[0].level}/", []).append(is_silent)
    kinds = {"": silent} if silent else {}
    for by_kind in (targets, levels):
        if len(by_kind) <= _MOST_KINDS:
            kinds |= by_kind
    return {f"groups/{kind}silent_fraction": _share(flags) for kind, flags in kinds.items()}


def _lengths_by_kind(rows: Sequence[StepRow]) -> dict[str, float]:
    kinds: dict[str, list[int]] = {}
    for row in rows:
        if row.is_correct is not None:
            kinds.setdefault("correct" if row.is_correct else "wrong", []).append(row.completion.tokens)
        if row.level is not None:
            kinds.setdefault(f"level_{row.level}", []).append(row.completion.tokens)
    told = {f"tokens/{kind}": fmean(tokens) for kind, tokens in kinds.items() if len(kinds) <= _MOST_KINDS}
    checked = [row.is_correct for row in rows if row.is_correct is not None]
    return {**told, "answers/correct_fraction": _share(checked)} if checked else told


def _reward_against_length(rows: Sequence[StepRow]) -> dict[str, float]:
    pairs = [(row.completion.tokens, row.reward) for row in rows if row.reward is not None]
    told = {"reward_length/correlation": _correlation(pairs)}
    centred: list[tuple[float, float]] = []
    for group in by_drawn_group(rows):
        own = [(row.completion.tokens, row.reward) for row in group if row.reward is not None]
        if own:
            tokens, reward = (fmean(column) for column in zip(*own, strict=True))
            centred += [(x - tokens, y - reward) for x, y in own]
    told["reward_length/correlation_in_group"] = _correlation(centred)
    if len(pairs) >= _QUINTILES:
        told |= {f"reward_length/quintile_{place}": value for place, value in enumerate(_quintiles(pairs), 1)}
    return {name: value for name, value in told.items() if value is not None}


def _quintiles(pairs: Sequence[tuple[int, float]]) -> list[float]:
    """Mean reward of each fifth by length; equal lengths share what they earn, so that no order favours one."""
    by_length: dict[int, list[float]] = {}
    for tokens, reward in pairs:
        by_length.setdefault(tokens, []).append(reward)
    ordered = [fmean(rewards) for _, rewards in sorted(by_length.items()) for _ in rewards]
    edges = [len(ordered) * fifth // _QUINTILES for fifth in range(_QUINTILES + 1)]
    return [fmean(ordered[start:stop]) for start, stop in pairwise(edges)]


def _texts(rows: Sequence[StepRow]) -> dict[str, float]:
    if not rows:
        return {}
    signs = [text_signs(row.completion.text) for row in rows]
    told = {
        "text/repetition": fmean(sign.repetition for sign in signs),
        "text/longest_repeat": fmean(sign.longest_repeat for sign in signs),
        "text/unfinished_fraction": _share(not sign.is_finished for sign in signs),
        "text/count_claim_fraction": _share(sign.has_count_claim for sign in signs),
        "text/markup_fraction": fmean(sign.markup for sign in signs),
        "text/blank_line_fraction": fmean(sign.blank_lines for sign in signs),
    }
    if lengths := [sign.mean_word_length for sign in signs if sign.words]:
        told["text/mean_word_length"] = fmean(lengths)
    groups: dict[int, list[TextSigns]] = {}
    for row, sign in zip(rows, signs, strict=True):
        groups.setdefault(row.group, []).append(sign)
    if known := [share for group in groups.values() if (share := distinct_trigrams(group)) is not None]:
        told["text/distinct_3_in_group"] = fmean(known)
    return {**told, **_thinking([row.completion.text for row in rows])}


def _thinking(texts: Sequence[str]) -> dict[str, float]:
    """Words of reasoning and of answers, where some text marks its reasoning."""
    if not any(tag in text for text in texts for tag in (THINK_TAGS.opening, THINK_TAGS.closing)):
        return {}
    reasoned = [parse_reasoning(text) for text in texts]
    return {
        "text/reasoning_words": fmean(count_length(found.reasoning) for found in reasoned),
        "text/answer_words": fmean(count_length(found.answer) for found in reasoned),
    }


def _correlation(pairs: Sequence[tuple[float, float]]) -> float | None:
    columns = list(zip(*pairs, strict=True))
    if any(max(column) - min(column) < _NO_SPREAD for column in columns) or len(pairs) < 2:
        return None
    return max(-1.0, min(1.0, correlation(*columns)))


def _share(claims: Iterable[bool]) -> float:
    return fmean(map(float, claims))
