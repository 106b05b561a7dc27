"""The model card of a trained checkpoint, from its run's summary."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

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
    unit = config["prompts"]["unit"]
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
            "---",
            "",
            f"# {base}, trained to keep a requested length",
            "",
            f"Trained by GRPO on length rewards with lengthctl. Base model: `{base}`. "
            f"Data: `{config['prompts']['source']}` prompts with targets in {unit}.",
            "",
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
            "## Limits",
            "",
            "Trained on the targets above only; other lengths, languages and long texts were not measured. The reward "
            "looks at length, repetition and a finished ending, not at whether the text is true or helpful: quality "
            "was not measured and may have fallen. The licence of the base model applies.",
            "",
        ]
    )


def _row(title: str, before: Mapping[str, Any], after: Mapping[str, Any], scale: int) -> str:
    return f"| {title} | {_cell(before, scale)} | {_cell(after, scale)} |"


def _cell(metric: Mapping[str, Any], scale: int) -> str:
    return f"{metric['value'] * scale:.1f} [{metric['low'] * scale:.1f}, {metric['high'] * scale:.1f}]"
