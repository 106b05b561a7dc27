"""The part of the report about how a policy learned: reward, length, advantages, entropy, signs of a gamed reward, and
one group with what it earned."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from statistics import StatisticsError, correlation, fmean
from typing import Any

from lengthctl.evaluate import plots, tables
from lengthctl.evaluate.rollouts import RolloutRow, telling_group
from lengthctl.evaluate.sections import Section
from lengthctl.evaluate.shown import shown
from lengthctl.evaluate.tables import Cell, Table
from lengthctl.hacking import WINDOW, find_hacking

__all__ = ["SCATTER_STEPS", "group_table", "training_sections"]

SCATTER_STEPS = 5
"""Last steps whose completions are drawn."""
_PARTS = "reward_parts/"
_DEVIATION = "/mean_abs_relative_deviation"
_LINES = 8
"""Lines on one axis."""
_QUANTILES = tuple(f"advantages/p{percent}" for percent in (5, 25, 50, 75, 95))
_POLICY = {
    "entropy": "entropy (nats a token)",
    "kl": "KL from the start (nats a token)",
    "clip_ratio/region_mean": "clipped tokens (share)",
    "sampling/importance_sampling_ratio/p50": "trainer / sampler, median",
    "sampling/importance_sampling_ratio/p95": "trainer / sampler, P95",
}
_HEAD_CHARACTERS, _PROMPT_CHARACTERS = 240, 400

Records = Sequence[Mapping[str, Any]]


def training_sections(records: Records, rollouts: Sequence[RolloutRow]) -> list[Section]:
    """Nothing where no reward was logged: nothing was learned from one.

    Args:
        records: of `metrics.jsonl`.
        rollouts: completions of the last `SCATTER_STEPS` steps.
    """
    train = [r for r in records if r.get("split") == "train" and isinstance(r.get("step"), int)]
    if not any("reward" in record for record in train):
        return []
    parts = (_reward_parts(train), _lengths(train), _advantages(train), _policy(train), _against_length(rollouts))
    return [part for part in (*parts, _hacking(train), _group(rollouts)) if part is not None]


def group_table(group: Sequence[RolloutRow]) -> Table:
    """A row a member, best reward first: reward, its parts, advantage, tokens, how it ended, and its text's head."""
    names = list(dict.fromkeys(name for row in group for name in row.parts))
    is_checked = any(row.is_correct is not None for row in group)
    order = sorted(range(len(group)), key=lambda place: _descending(group[place].reward))
    head = ("member", "reward", *(shown(name, 40) for name in names), "advantage", "tokens", "ended")
    rows = [
        (
            Cell(str(place)),
            _value(row.reward),
            *(_value(row.parts.get(name)) for name in names),
            _value(row.advantage) if row.is_trained else Cell("not trained"),
            Cell(str(row.tokens)),
            Cell("cut" if row.is_truncated else "by itself"),
            *([Cell({True: "right", False: "wrong", None: ""}[row.is_correct])] if is_checked else []),
            Cell(shown(" ".join(row.text[: 4 * _HEAD_CHARACTERS].split()), _HEAD_CHARACTERS)),
        )
        for place in order
        for row in (group[place],)
    ]
    note = "Parts stand before weights and gates. The advantage is the mean over a completion's tokens."
    return Table((*head, *(["answer"] if is_checked else []), "text"), tuple(rows), note, prose=1)


def _reward_parts(train: Records) -> Section | None:
    parts = _keys(train, lambda key: key.startswith(_PARTS) and not key.endswith(("_std", "_multiplier")))
    names = {key: shown(key.removeprefix(_PARTS), 40) for key in parts[:_LINES]}
    if not names:
        return None
    ends = {name: _ends(train, key) for key, name in names.items()}
    most = max(ends, key=lambda name: abs(ends[name][1] - ends[name][0]))
    title = f"Learning. Of the reward's parts, {most} moved most, {_from_to(*ends[most])}"
    others = {key: shown(key.removeprefix(_PARTS), 60) for key in _keys(train, lambda key: key.startswith(_PARTS))}
    figure = plots.lines_figure(train, names, "part of the reward")
    note = f"{_shown_of(names, parts)}Means over completions, before weights and gates."
    return Section(title, (figure,), (tables.curve_table(train, others),), note)


def _lengths(train: Records) -> Section | None:
    kinds = {"completions/mean_length": "all", "tokens/correct": "right answers", "tokens/wrong": "wrong answers"}
    levels = _keys(train, lambda key: key.startswith("tokens/level_"))
    kinds |= {key: shown(key.removeprefix("tokens/level_"), 40) for key in levels[: _LINES - len(kinds)]}
    tokens = {key: name for key, name in kinds.items() if _column(train, key)}
    if not tokens:
        return None
    deviations = _deviations(train)
    first, *_ = tokens
    title = f"Learning. The length of completions {_went(*_ends(train, first), 'tokens')}"
    if "tokens/correct" in tokens and "tokens/wrong" in tokens:
        right, wrong = (_ends(train, f"tokens/{kind}")[1] for kind in ("correct", "wrong"))
        title += f"; at the end right answers take {right:.0f}, wrong ones {wrong:.0f}"
    figures = [plots.lines_figure(train, tokens, "tokens a completion")]
    if deviations:
        figures.append(plots.lines_figure(train, deviations, "|relative deviation|"))
    table = tables.curve_table(train, {**tokens, **{key: f"|deviation| {name}" for key, name in deviations.items()}})
    return Section(title, tuple(figures), (table,), "Deviations from the target: of all, and of each target.")


def _deviations(train: Records) -> dict[str, str]:
    """Of all targets of a unit, and of each where they are few: targets drawn anew in every step make no lines."""
    keys = _keys(train, lambda key: key.startswith("adherence/") and key.endswith(_DEVIATION))
    by_target = [key for key in keys if "/target_" in key]
    overall = {key: f"all, in {shown(key.split('/')[1], 40)}" for key in keys if key not in by_target}
    if len(by_target) + len(overall) > _LINES:
        return overall
    return overall | {key: shown(key.partition("/target_")[2].removesuffix(_DEVIATION), 40) for key in by_target}


def _advantages(train: Records) -> Section | None:
    shares = {
        "groups/silent_fraction": "equal rewards (groups)",
        "groups/kept_fraction": "kept by the filter",
        "advantages/zero_fraction": "zero advantages",
    }
    names = {key: name for key, name in shares.items() if _column(train, key)}
    has_bands = all(_column(train, key) for key in _QUANTILES)
    if not names and not has_bands:
        return None
    figures = []
    if has_bands:
        figures.append(plots.quantiles_figure(train, _QUANTILES, "advantage"))
    if names:
        figures.append(plots.lines_figure(train, names, "share"))
    title = "Learning. Advantages by step"
    if "groups/silent_fraction" in names:
        start, end = _ends(train, "groups/silent_fraction")
        title = f"Learning. {100 * end:.0f} % of groups teach nothing at the end, {100 * start:.0f} % did at first"
    bands = {key: key.rpartition("/")[2].upper() for key in _QUANTILES} if has_bands else {}
    kinds = _keys(train, lambda key: key.startswith("groups/") and key.endswith("/silent_fraction"))
    by_kind = {key: f"equal rewards, {shown(key.split('/')[1].replace('_', ' ', 1), 40)}" for key in kinds[:_LINES]}
    note = "Advantages: the median, and the middle 50 % and 90 % of completions." if has_bands else ""
    return Section(title, tuple(figures), (tables.curve_table(train, {**bands, **names, **by_kind}),), note)


def _policy(train: Records) -> Section | None:
    names = {key: name for key, name in _POLICY.items() if _column(train, key)}
    if not names:
        return None
    first, *_ = names
    title = f"Learning. {_POLICY[first].partition(' (')[0].capitalize()} {_went(*_ends(train, first))}"
    return Section(title, tuple(plots.curve_figures(train, names)), (tables.curve_table(train, names),))


def _against_length(rollouts: Sequence[RolloutRow]) -> Section | None:
    rows = [(row, row.reward) for row in rollouts if row.reward is not None]
    if not rows:
        return None
    is_checked = any(row.is_correct is not None for row, _ in rows)
    kinds = {True: "right", False: "wrong", None: "not checked" if is_checked else "completions"}
    sides: dict[str, list[tuple[int, float]]] = {}
    for row, reward in rows:
        sides.setdefault(kinds[row.is_correct], []).append((row.tokens, reward))
    points = sorted((row.tokens, reward) for row, reward in rows)
    steps = len({row.step for row, _ in rows})
    when = f"in the last {steps} steps" if steps > 1 else f"in step {rows[0][0].step}"
    try:
        slope = f"correlate with r = {correlation(*zip(*points, strict=True)):+.2f} {when}"
    except StatisticsError:  # fewer than two completions, or all alike
        slope = f"are not related {when}: one of them does not vary"
    return Section(
        f"Learning. Reward and length {slope}",
        (plots.reward_length_figure(dict(sorted(sides.items()))),),
        (_quintile_table([(row.tokens, reward, row.is_correct) for row, reward in rows]),),
    )


def _quintile_table(points: Sequence[tuple[int, float, bool | None]]) -> Table:
    """Fifths by length; completions of equal length share what they earn, so that no order favours a fifth."""
    by_length: dict[int, list[tuple[float, bool | None]]] = {}
    for tokens, reward, right in points:
        by_length.setdefault(tokens, []).append((reward, right))
    ordered: list[tuple[int, float, float | None]] = []
    for tokens, alike in sorted(by_length.items()):
        known = [float(right) for _, right in alike if right is not None]
        share = fmean(known) if known else None
        ordered += [(tokens, fmean(reward for reward, _ in alike), share)] * len(alike)
    rows = []
    for start, stop in pairwise(len(ordered) * fifth // 5 for fifth in range(6)):
        if part := ordered[start:stop]:
            shares = [share for _, _, share in part if share is not None]
            rows.append(
                (
                    Cell(f"{part[0][0]} to {part[-1][0]}"),
                    Cell(f"{fmean(reward for _, reward, _ in part):.4g}"),
                    Cell(f"{100 * fmean(shares):.1f}" if shares else ""),
                    Cell(str(len(part))),
                )
            )
    return Table(("tokens", "mean reward", "right %", "n"), tuple(rows), "Fifths of the completions by their length.")


def _hacking(train: Records) -> Section | None:
    found = find_hacking(train)
    if not found:
        if len(train) < 2 * WINDOW:
            return None
        return Section(
            "Learning. No sign that the reward is gamed",
            note=f"The last {WINDOW} logged steps are compared with the first {WINDOW}, at every step on the way.",
        )
    rows = [(Cell(f.cause), Cell(str(f.step)), Cell(f.what), Cell(f.remedy)) for f in found]
    title = f"Learning. Signs that the reward is gamed: {', '.join(f.cause for f in found)}"
    note = f"The last {WINDOW} logged steps against the first {WINDOW}; the step is the first that shows it."
    return Section(title, tables=(Table(("sign", "step", "what moved", "what to do"), tuple(rows), note, prose=2),))


def _group(rollouts: Sequence[RolloutRow]) -> Section | None:
    group = telling_group(rollouts)
    if not group:
        return None
    first = group[0]
    rewards = [row.reward for row in group if row.reward is not None]
    spread = f"rewards from {min(rewards):.3g} to {max(rewards):.3g}" if rewards else "no member counts"
    target = f", asked for {first.target}" if first.target else ""
    return Section(
        f"Learning. Group {first.group} of step {first.step}: {spread}",
        tables=(group_table(group),),
        note=f"The group of the last step whose rewards differ most{target}. Prompt: "
        f"{shown(' '.join(first.prompt[: 4 * _PROMPT_CHARACTERS].split()), _PROMPT_CHARACTERS)}",
    )


def _keys(train: Records, wanted: Callable[[str], bool]) -> list[str]:
    """Metrics that some step has, in alphabetical order."""
    return sorted({key for record in train for key in record if wanted(key)})


def _column(train: Records, key: str) -> list[float]:
    return [float(record[key]) for record in train if isinstance(record.get(key), int | float)]


def _ends(train: Records, key: str) -> tuple[float, float]:
    """Means of the first and of the last tenth of the steps that have it."""
    values = _column(train, key)
    few = max(1, len(values) // 10)
    return fmean(values[:few]), fmean(values[-few:])


def _went(start: float, end: float, unit: str = "") -> str:
    return f"went {_from_to(start, end)}{f' {unit}' if unit else ''}"


def _from_to(start: float, end: float) -> str:
    return f"from {start:.3g} to {end:.3g}"


def _shown_of(names: Mapping[str, str], parts: Sequence[str]) -> str:
    return f"Drawn: {len(names)} of {len(parts)}. " if len(names) < len(parts) else ""


def _value(number: float | None) -> Cell:
    return Cell("" if number is None else f"{number:.4g}")


def _descending(reward: float | None) -> tuple[bool, float]:
    return reward is None, -(reward or 0.0)
