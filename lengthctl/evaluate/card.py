"""The model card of a trained checkpoint, from its run's summary."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lengthctl.models import BUNDLED, BUNDLED_ORIGIN

__all__ = ["model_card"]

_ROWS = (
    ("pm", "PM", 100),
    ("fm", "FM", 100),
    ("mean_abs_relative_deviation", "mean abs. relative deviation (%)", 100),
    ("mean_relative_deviation", "mean signed relative deviation (%)", 100),
    ("truncation", "truncation (%)", 100),
    ("repetition", "trigram repetition (%)", 100),
)


def model_card(summary: Mapping[str, Any]) -> str:
    """Markdown with front matter; every number carries its 95 % interval."""
    config = summary["config"]
    base = config["model"]["name"]
    base_id = BUNDLED_ORIGIN if base == BUNDLED else base if "/" in base and not Path(base).exists() else None
    unit = config["prompts"]["unit"]
    template = config["model"]["chat_template"] or "the model's own"
    system = config["model"]["system_prompt"] or "none"
    overall = [
        _row(title, summary["before"]["overall"][key], summary["after"]["overall"][key], scale)
        for key, title, scale in _ROWS
    ]
    targets = [
        f"| {label} | {_cell(before['fm'], 100)} | {_cell(after['fm'], 100)} "
        f"| {_cell(before['mean_abs_relative_deviation'], 100)} | {_cell(after['mean_abs_relative_deviation'], 100)} |"
        for label, before in summary["before"]["by_target"].items()
        if (after := summary["after"]["by_target"].get(label))
    ]
    minutes = summary["minutes"].get("total", sum(summary["minutes"].values()))
    return "\n".join(
        [
            "---",
            "library_name: transformers",
            "pipeline_tag: text-generation",
            "tags: [lengthctl, length-control, grpo, trl]",
            *([f"base_model: {base_id}"] if base_id else []),
            "---",
            "",
            f"# {base}, trained to keep a requested length",
            "",
            f"Trained by GRPO on length rewards with lengthctl. Base model: `{base}`. "
            f"Data: `{config['prompts']['source']}` prompts with targets in {unit}.",
            "",
            f"- Config digest `{summary['config_digest']}`; chat template: {template}; system prompt: {system}.",
            f"- Command: `{summary['command']}` (seed {summary['seed']}, {minutes:.1f} minutes, "
            f"{summary['gflops_bf16']:.0f} GFLOP/s in bf16, peak memory {summary['peak_memory_gib']:.1f} GiB)",
            "- The last checkpoint, not the best.",
            "",
            "## Adherence on held-out prompts (95 % intervals, bootstrap over prompts)",
            "",
            "| measure | before | after |",
            "|---|---|---|",
            *overall,
            "",
            f"| target ({unit}) | FM before | FM after | abs. deviation before (%) | after (%) |",
            "|---|---|---|---|---|",
            *targets,
            "",
            "## What got worse",
            "",
            *_worse(summary["change"]),
            "",
            "## Limits",
            "",
            "Trained on the targets above only; other lengths, languages and long texts were not measured. The reward "
            "looks at length, repetition and a finished ending, not at whether the text is true or helpful: quality "
            "was not measured and may have fallen. The licence of the base model applies.",
            "",
        ]
    )


_WORSE_WHEN = {"pm": -1, "fm": -1, "mean_abs_relative_deviation": 1, "truncation": 1, "repetition": 1}
"""The sign of a change that is a loss."""


def _worse(change: Mapping[str, Any]) -> list[str]:
    """A line for each measure whose interval lies wholly on the worse side, overall or for a target."""
    titles = {key: title for key, title, _ in _ROWS}
    lines = []
    for label, level in {"all targets": change, **change["by_target"]}.items():
        for key, sign in _WORSE_WHEN.items():
            ends = (sign * level[key]["low"], sign * level[key]["high"])
            if min(ends) > 0:
                lines.append(f"- {titles[key]}, {label}: by {abs(level[key]['value']) * 100:.1f} points")
    return lines or ["Nothing measured here, as far as the intervals tell."]


def _row(title: str, before: Mapping[str, Any], after: Mapping[str, Any], scale: int) -> str:
    return f"| {title} | {_cell(before, scale)} | {_cell(after, scale)} |"


def _cell(metric: Mapping[str, Any], scale: int) -> str:
    return f"{metric['value'] * scale:.1f} [{metric['low'] * scale:.1f}, {metric['high'] * scale:.1f}]"
