"""README's table of controls, and docs/results/controls.json, from an evaluation's folder.

Command: python scripts/controls_table.py FOLDER REFERENCE_SIDE OUT.json

The folder comes from `lengthctl eval ... --out FOLDER evaluate.likelihood=true`. REFERENCE_SIDE names the side whose
hits stand for "plain texts drawn again until they lie in the band": a `retry` with a large budget. Every side's nats a
token are compared with it on the prompts that it hit, pooled over targets, with 95 % intervals over prompts.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from lengthctl.evaluate.likelihood import LikelyText, TextLikelihood, likelihood_change
from lengthctl.evaluate.metrics import compare
from lengthctl.records import read_records
from lengthctl.rundir import write_json
from lengthctl.scoring import Scored

COLUMNS = (
    ("hit", "hit %", 100),
    ("fm", "FM %", 100),
    ("mean_abs_relative_deviation", "mean abs. relative deviation", 1),
    ("finished", "whole sentence %", 100),
    ("repetition", "repeated trigrams %", 100),
)


def main() -> None:
    folder, reference, out = Path(sys.argv[1]), sys.argv[2], Path(sys.argv[3])
    summary = json.loads((folder / "summary.json").read_text())
    sides = {name: _texts(folder, side) for name, side in summary["subjects"].items()}
    hits = {key for key, (scored, _) in sides[reference].items() if scored.is_hit}
    found = {}
    for name, texts in sides.items():
        found[name] = _against(sides[reference], texts, hits, summary["seed"]) if name != reference else {}
    _print(summary, found, sides, reference)
    kept = {key: summary[key] for key in ("seed", "command", "versions", "config")}
    kept["subjects"] = {name: _short(side) for name, side in summary["subjects"].items()}
    write_json(out, {**kept, "reference": reference, "reference_hits": len(hits), "against_reference": found})


def _short(side: dict[str, Any]) -> dict[str, Any]:
    """Without the measures that the table and its by-target form do not need."""
    kept = {*(key for key, _, _ in COLUMNS), "pm", "mean_drawn_tokens", "mean_tokens", "nll_per_token", "cut"}
    return {
        "overall": {key: metric for key, metric in side["overall"].items() if key in kept},
        "by_target": {
            label: {key: metric for key, metric in level.items() if key in kept}
            for label, level in side["by_target"].items()
        },
    }


def _texts(folder: Path, side: dict[str, Any]) -> dict[str, tuple[Scored, TextLikelihood]]:
    name = Path(side["samples"]).name
    nats = {row["id"]: row for _, row in read_records(folder / "likelihood" / name)}
    return {
        row["id"]: (Scored.parse(row), TextLikelihood(*(nats[row["id"]][k] for k in ("nll", "nll_open", "tokens"))))
        for _, row in read_records(folder / side["samples"])
    }


def _against(
    reference: dict[str, tuple[Scored, TextLikelihood]],
    texts: dict[str, tuple[Scored, TextLikelihood]],
    keys: set[str],
    seed: int,
) -> dict[str, Any]:
    """Changes on the same prompts and targets, overall and by target; the number of texts in each."""

    def likely(side: dict[str, tuple[Scored, TextLikelihood]], some: set[str]) -> list[LikelyText]:
        return [
            LikelyText(s.prompt_id, s.target.label, nats) for key, (s, nats) in side.items() if key in some and s.text
        ]

    both = {key for key in keys if key in texts and texts[key][0].is_hit}
    if not both:
        return {}
    labels = sorted({texts[key][0].target.label for key in both}, key=int)
    by_target = {
        label: likelihood_change(likely(reference, part), likely(texts, part), seed)
        for label in labels
        if (part := {key for key in both if texts[key][0].target.label == label})
    }
    repetition = compare([reference[key][0] for key in both], [texts[key][0] for key in both], seed)["repetition"]
    change = likelihood_change(likely(reference, both), likely(texts, both), seed)
    return {**change, "repetition": repetition, "by_target": by_target}


def _print(summary: dict[str, Any], found: dict[str, Any], sides: dict[str, Any], reference: str) -> None:
    head = ["control", *(title for _, title, _ in COLUMNS), "tokens drawn a text", "a hit", "nats a token, change"]
    print("| " + " | ".join(head) + " |\n|" + " --- |" * len(head))
    for name, side in summary["subjects"].items():
        overall = side["overall"]
        cells = [f"`{name}`", *(_cell(overall[key], scale) for key, _, scale in COLUMNS)]
        drawn = sum(s.drawn_tokens or s.tokens for s, _ in sides[name].values())
        hits = sum(s.is_hit for s, _ in sides[name].values())
        cells += [f"{drawn / len(sides[name]):.0f}", f"{drawn / hits:.0f}" if hits else "-"]
        change = found[name].get("nll_per_token")
        cells.append("reference" if name == reference else _cell(change, 1, "+") if change else "-")
        print("| " + " | ".join(cells) + " |")


def _cell(metric: dict[str, float], scale: float, sign: str = "") -> str:
    places = 2 if scale == 1 else 0 if metric["value"] * scale >= 10 else 1
    value, low, high = (f"{metric[key] * scale:{sign}.{places}f}" for key in ("value", "low", "high"))
    return f"{value} [{low}, {high}]"


if __name__ == "__main__":
    main()
