"""The parts of the report: a title that states the finding, figures, and the tables that hold their numbers."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from lengthctl.evaluate import findings, plots, tables
from lengthctl.evaluate.browsing import SampleRow, Selection, SideSamples
from lengthctl.evaluate.cost import Mark, TokenCost, token_cost
from lengthctl.evaluate.shown import shown
from lengthctl.evaluate.summary import Measure, Summary
from lengthctl.evaluate.tables import Table

__all__ = [
    "Section",
    "adherence_sections",
    "cost_sections",
    "curve_sections",
    "difference_sections",
    "judge_sections",
    "origin",
    "sample_views",
    "selection_note",
]

_DEVIATION = "mean_abs_relative_deviation"
_CURVES = {
    "reward": "reward",
    "mean_abs_relative_deviation": "|relative deviation|",
    "rollout_tokens_per_second": "rollout tokens/s",
}
"""Last part of a metric's name: the unit stands before it."""
_TEXT_CHARACTERS, _TEXT_SIZE = 2000, 4000
_PROMPT_CHARACTERS, _PROMPT_SIZE = 600, 1200
_CONFIG_CHARACTERS, _CONFIG_SIZE = 40_000, 100_000


@dataclass(frozen=True)
class Section:
    """`figures` are SVG of our own; several stand side by side where the page is wide."""

    title: str
    figures: tuple[str, ...] = ()
    tables: tuple[Table, ...] = ()
    note: str = ""


def adherence_sections(summary: Summary, samples: Mapping[str, SideSamples]) -> list[Section]:
    """Length against target, adherence by target, and the distribution of the deviation."""
    scored = {name: [row.scored for row in side.rows] for name, side in samples.items()}
    deviations = {name: [s.relative_deviation for s in rows] for name, rows in scored.items()}
    return [
        Section(
            findings.scatter_finding(summary),
            tuple(plots.scatter_figures(scored)),
            note="Each mark is a completion; grey: Ruler's FM band, black bar: the target.",
        ),
        Section(
            "Adherence by target",
            tables=(tables.adherence_table(summary), tables.all_measures_table(summary.sides)),
        ),
        Section(
            findings.deviation_finding(deviations),
            (plots.deviation_figure(deviations),),
            (tables.deviation_table(deviations, plots.CLIP),),
            "Grey: within 5 % of the target. The steeper a line there, the better.",
        ),
    ]


def cost_sections(summary: Summary, samples: Mapping[str, SideSamples]) -> list[Section]:
    """What the sides reach and spend, as a table and, of several, as a trade-off plot."""
    costs: dict[str, TokenCost] = {}
    for name, side in samples.items():
        if cost := token_cost([row.drawn for row in side.rows], summary.seed):
            costs[name] = cost
    table = tables.control_table(summary, costs)
    if not costs:
        return [Section("Tokens drawn are not known", tables=(table,))]
    sections = [Section(findings.cost_finding(costs), tables=(table,))]
    levels = {
        side.name: {"tokens": costs[side.name].tokens, "deviation": side.overall[_DEVIATION]}
        for side in summary.sides
        if side.name in costs and _DEVIATION in side.overall
    }
    if len(levels) > 1:
        points = [Mark(name, level["tokens"], level["deviation"]) for name, level in levels.items()]
        axes = ("tokens drawn per completion", "mean |relative deviation| (%)")
        units = {"tokens": Measure("tokens", axes[0], 1), "deviation": Measure("deviation", axes[1])}
        figure = plots.pareto_figure(points, *axes, higher_is_better=False)
        finding = findings.front_finding(points, higher_is_better=False)
        note = "Lower left is better; lines are 95 % intervals. Joined: sides that no other beats on both counts."
        sections.append(Section(finding, (figure,), (tables.levels_table(levels, units),), note))
    return sections


def curve_sections(records: Sequence[Mapping[str, Any]]) -> list[Section]:
    """Training curves, where a run has logged them."""
    keys = sorted({key for record in records for key in record if "/target_" not in key})
    names = {key: title for part, title in _CURVES.items() for key in keys if key.rpartition("/")[2] == part}
    if not names:
        return []
    rewards = [r["reward"] for r in records if r.get("split") == "train" and isinstance(r.get("reward"), int | float)]
    title = f"Training: the reward went from {rewards[0]:.3g} to {rewards[-1]:.3g}" if rewards else "Training"
    return [Section(title, tuple(plots.curve_figures(records, names)), (tables.curve_table(records, names),))]


def judge_sections(summary: Summary) -> list[Section]:
    """Scores of a judge, where a side has them."""
    levels = {side.name: side.judge for side in summary.sides if side.judge}
    if not levels:
        return []
    counted = [f"{side.name}: {key} {value:g}" for side in summary.sides for key, value in side.judge_counts.items()]
    return [Section("Quality by the judge", tables=(tables.levels_table(levels),), note="; ".join(counted))]


def difference_sections(summary: Summary) -> list[Section]:
    """Each side against the first, with paired intervals."""
    found = [tables.differences_table(summary, by_target=by_target) for by_target in (False, True)]
    kept = tuple(table for table in found if table is not None)
    return [Section(f"Differences to {summary.sides[0].name}", tables=kept)] if kept else []


def sample_views(selection: Selection) -> list[dict[str, str]]:
    """What the template shows of each chosen sample."""
    return [_sample_view(kind, row) for kind, row in selection.picked]


def selection_note(selection: Selection, seed: int) -> str:
    """How many samples are shown, and how they were chosen."""
    shown_count = len(selection.picked)
    if shown_count == selection.total:
        return f"All {shown_count} samples, worst first (by the absolute log ratio of length and target)."
    kinds = Counter(kind for kind, _ in selection.picked)
    parts = ", ".join(f"{kinds[kind]} {kind}" for kind in ("worst", "best", "random", "all") if kinds[kind])
    return (
        f"{shown_count} of {selection.total} samples, worst first (by the absolute log ratio of length and target); "
        f"{selection.total - shown_count} are left out. An equal share of each side: {parts} (random with seed {seed}, "
        "of the same prompts for every side where it can be)."
    )


def origin(summary: Summary) -> dict[str, Any]:
    """Command, seed, versions, times and config: what is needed to measure again."""
    raw = summary.raw
    minutes = {str(k): v for k, v in _items(raw.get("minutes")) if isinstance(v, int | float)}
    facts = [f"{shown(stage, 40)} {value:.1f} min" for stage, value in minutes.items()]
    for key, text in (("peak_memory_gib", "peak memory {:.1f} GiB"), ("gflops_bf16", "{:.0f} GFLOP/s in bf16")):
        if isinstance(raw.get(key), int | float):
            facts.append(text.format(raw[key]))
    config = json.dumps(raw["config"], indent=2, ensure_ascii=False) if raw.get("config") else ""
    return {
        "command": shown(str(raw.get("command", "")), 4000, size=8000),
        "seed": summary.seed,
        "facts": facts,
        "versions": [(shown(str(k), 60), shown(str(v), 60)) for k, v in _items(raw.get("versions"))],
        "digest": shown(str(raw.get("config_digest", "")), 80),
        "config": shown(config, _CONFIG_CHARACTERS, size=_CONFIG_SIZE),
    }


def _items(value: Any) -> list[tuple[Any, Any]]:
    return list(value.items()) if isinstance(value, Mapping) else []


def _sample_view(kind: str, row: SampleRow) -> dict[str, str]:
    scored = row.scored
    hit = "hit" if scored.is_hit else "PM" if scored.pm else "FM" if scored.fm else "missed"
    flags = {
        "truncated": scored.is_truncated,
        "cut in a sentence": scored.is_cut,
        f"repeats {100 * scored.repetition:.0f} %": scored.repetition > 0.1,
        "no sentence end": not scored.is_finished,
    }
    return {
        "kind": "" if kind == "all" else kind,
        "side": row.side,
        "target": scored.target.label,
        "unit": str(scored.target.unit),
        "length": str(scored.length),
        "deviation": f"{100 * scored.relative_deviation:+.0f} %",
        "hit": hit,
        "is_hit": "hit" if scored.fm else "miss",
        "flags": ", ".join(flag for flag, holds in flags.items() if holds),
        "tokens": str(row.drawn_tokens) if row.drawn_tokens else "unknown",
        "prompt_id": shown(scored.prompt_id, 60),
        "head": shown(" ".join(row.prompt[:400].split()), 90).split(" ... (")[0],
        "prompt": shown(row.prompt, _PROMPT_CHARACTERS, size=_PROMPT_SIZE),
        "text": shown(scored.text, _TEXT_CHARACTERS, size=_TEXT_SIZE),
    }
