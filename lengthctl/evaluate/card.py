"""The model card of a trained checkpoint, from its run's summary."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from lengthctl.models import BUNDLED, BUNDLED_ORIGIN

__all__ = ["model_card"]

_Row = tuple[str, str, int]
_LENGTHS: tuple[_Row, ...] = (
    ("pm", "PM", 100),
    ("fm", "FM", 100),
    ("mean_abs_relative_deviation", "mean abs. relative deviation (%)", 100),
    ("mean_relative_deviation", "mean signed relative deviation (%)", 100),
    ("truncation", "truncation (%)", 100),
    ("repetition", "trigram repetition (%)", 100),
)
_PROBLEMS: tuple[_Row, ...] = (
    ("accuracy", "accuracy (%)", 100),
    ("accuracy_last_number", "accuracy by the last number (%)", 100),
    ("format", "answer marked (%)", 100),
    ("mean_total_tokens", "tokens a completion", 1),
    ("truncation", "truncation (%)", 100),
)
_WORSE_WHEN = {
    **{"pm": -1, "fm": -1, "mean_abs_relative_deviation": 1, "repetition": 1, "truncation": 1},
    **{"accuracy": -1, "accuracy_last_number": -1, "format": -1},
}
"""The sign of a change that is a loss."""


def model_card(summary: Mapping[str, Any]) -> str:
    """Markdown with front matter; every number carries its 95 % interval."""
    config = summary["config"]
    base = config["model"]["name"]
    base_id = BUNDLED_ORIGIN if base == BUNDLED else base if "/" in base and not Path(base).exists() else None
    template = config["model"]["chat_template"] or "the model's own"
    system = config["model"]["system_prompt"] or "none"
    minutes = summary["minutes"].get("total", sum(summary["minutes"].values()))
    has_lengths = "mean_abs_relative_deviation" in summary["after"]["overall"]
    return "\n".join(
        [
            "---",
            "library_name: transformers",
            "pipeline_tag: text-generation",
            "tags: [lengthctl, length-control, grpo, trl]",
            *([f"base_model: {base_id}"] if base_id else []),
            "---",
            "",
            *(_about_lengths if has_lengths else _about_problems)(config),
            "",
            f"- Config digest `{summary['config_digest']}`; chat template: {template}; system prompt: {system}.",
            f"- Command: `{summary['command']}` (seed {summary['seed']}, {minutes:.1f} minutes, "
            f"{summary['gflops_bf16']:.0f} GFLOP/s in bf16, peak memory {summary['peak_memory_gib']:.1f} GiB)",
            "- The last checkpoint, not the best.",
            "",
            *(_lengths(summary) if has_lengths else []),
            *(_problems(summary) if "problems" in summary else []),
            "## What got worse",
            "",
            *(list(_worse(summary)) or ["Nothing measured here, as far as the intervals tell."]),
            "",
            "## Limits",
            "",
            _OF_LENGTHS if has_lengths else _OF_PROBLEMS,
            "",
        ]
    )


_OF_LENGTHS = (
    "Trained on the targets above only; other lengths, languages and long texts were not measured. The reward "
    "looks at length, repetition and a finished ending, not at whether the text is true or helpful: quality "
    "was not measured and may have fallen. The licence of the base model applies."
)
_OF_PROBLEMS = (
    "Measured on held-out problems of the kind above only; other problems, other requests and other languages were not "
    "measured and may have suffered. The licence of the base model applies."
)


def _about_lengths(config: Mapping[str, Any]) -> list[str]:
    prompts = config["prompts"]
    return [
        f"# {config['model']['name']}, trained to keep a requested length",
        "",
        f"Trained by GRPO on length rewards with lengthctl. Base model: `{config['model']['name']}`. "
        f"Data: `{prompts['source']}` prompts with targets in {prompts['unit']}.",
    ]


def _about_problems(config: Mapping[str, Any]) -> list[str]:
    method, data = config["train"]["method"], config.get("data")
    learned = f"problems `{config['prompts']['problems']}`" if data is None else f"`{data['source']}`"
    levels = config["prompts"]["levels"]
    at = f", each at the levels {', '.join(levels)}" if levels else ""
    rewards = ", ".join(item["name"] for item in config["rewards"])
    return [
        f"# {config['model']['name']}, trained on problems",
        "",
        f"Trained by {method.upper()} with lengthctl{f' on the rewards {rewards}' if rewards else ''}. "
        f"Base model: `{config['model']['name']}`. Data: {learned}{at}.",
    ]


def _lengths(summary: Mapping[str, Any]) -> list[str]:
    unit = summary["config"]["prompts"]["unit"]
    before, after = summary["before"], summary["after"]
    lines = [
        "## Adherence on held-out prompts (95 % intervals, bootstrap over prompts)",
        "",
        *_table(before["overall"], after["overall"], _LENGTHS),
        "",
        f"| target ({unit}) | FM before | FM after | abs. deviation before (%) | after (%) |",
        "|---|---|---|---|---|",
    ]
    for label in (label for label in before["by_target"] if label in after["by_target"]):
        sides = [side["by_target"][label] for side in (before, after)]
        cells = [_cell(side[key], 100) for key in ("fm", "mean_abs_relative_deviation") for side in sides]
        lines.append(f"| {label} | {' | '.join(cells)} |")
    return [*lines, ""]


def _problems(summary: Mapping[str, Any]) -> list[str]:
    before, after = (summary["problems"][name] for name in ("before", "after"))
    lines = [
        "## Held-out problems (95 % intervals, bootstrap over problems)",
        "",
        *_table(before["overall"], after["overall"], _PROBLEMS),
        "",
    ]
    levels = [name for name in before.get("by_level", {}) if name in after.get("by_level", {})]
    if levels:
        lines += ["| level | accuracy before (%) | after (%) | tokens before | after |", "|---|---|---|---|---|"]
    for name in levels:
        sides = [side["by_level"][name] for side in (before, after)]
        cells = [_cell(s["accuracy"], 100) for s in sides] + [_cell(s["mean_total_tokens"], 1) for s in sides]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return [*lines, *([""] if levels else [])]


def _worse(summary: Mapping[str, Any]) -> Iterator[str]:
    """A line for each measure whose interval lies wholly on the worse side, overall or for a part."""
    change = summary["change"]
    parts = {"all targets": change, **change["by_target"]} if change["by_target"] else {}
    yield from _losses(parts, _LENGTHS)
    solved = summary.get("problem_differences", {}).get("after", {})
    yield from _losses({"all problems": solved, **solved.get("by_level", {})} if solved else {}, _PROBLEMS)


def _losses(parts: Mapping[str, Mapping[str, Any]], rows: Sequence[_Row]) -> Iterator[str]:
    titles = {key: title for key, title, _ in rows}
    for label, level in parts.items():
        for key, sign in _WORSE_WHEN.items():
            if key in titles and level.get(key) and min(sign * level[key]["low"], sign * level[key]["high"]) > 0:
                yield f"- {titles[key]}, {label}: by {abs(level[key]['value']) * 100:.1f} points"


def _table(before: Mapping[str, Any], after: Mapping[str, Any], rows: Sequence[_Row]) -> list[str]:
    cells = [f"| {title} | {_cell(before[key], scale)} | {_cell(after[key], scale)} |" for key, title, scale in rows]
    return ["| measure | before | after |", "|---|---|---|", *cells]


def _cell(metric: Mapping[str, Any], scale: int) -> str:
    return f"{metric['value'] * scale:.1f} [{metric['low'] * scale:.1f}, {metric['high'] * scale:.1f}]"
