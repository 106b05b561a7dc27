"""README's table of controls, and docs/results/controls.json, from the folders of an evaluation, one a seed.

Command: python scripts/controls_table.py REFERENCE_SIDE OUT.json FOLDER...

A folder comes from `lengthctl eval ... --out FOLDER evaluate.likelihood=true run.seed=SEED`; the texts of all seeds are
pooled. REFERENCE_SIDE names the side whose hits stand for "plain texts drawn again until they lie in the band": a
`retry` with a large budget. Every side's nats a token are compared with it on the prompts and targets (of 20 words and
more) that it hit, with 95 % intervals over prompts.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from lengthctl.evaluate.likelihood import LikelyText, TextLikelihood, likelihood_change, likelihood_levels
from lengthctl.evaluate.metrics import compare, summarise
from lengthctl.records import read_records
from lengthctl.rundir import write_json
from lengthctl.scoring import Scored

_LEAST = 20
"""Words of the shortest target whose likelihood is compared."""

COLUMNS = (
    ("hit", "hit %", 100),
    ("fm", "FM %", 100),
    ("mean_abs_relative_deviation", "mean abs. relative deviation", 1),
    ("finished", "whole sentence %", 100),
    ("repetition", "repeated trigrams %", 100),
)


Texts = dict[str, tuple[Scored, TextLikelihood]]


def main() -> None:
    reference, out, folders = sys.argv[1], Path(sys.argv[2]), [Path(name) for name in sys.argv[3:]]
    summaries = [json.loads((folder / "summary.json").read_text()) for folder in folders]
    sides: dict[str, Texts] = {name: {} for name in summaries[0]["subjects"]}
    for folder, summary in zip(folders, summaries, strict=True):
        for name, side in summary["subjects"].items():
            sides[name].update({f"{summary['seed']}|{key}": text for key, text in _texts(folder, side).items()})
    hits = {key for key, (s, _) in sides[reference].items() if s.is_hit and s.target.value >= _LEAST}
    seed = summaries[0]["seed"]
    found = {
        name: _against(sides[reference], texts, hits, seed) if name != reference else {}
        for name, texts in sides.items()
    }
    levels = {name: _levels(texts, seed) for name, texts in sides.items()}
    _print(levels, found, sides, reference)
    kept = {key: summaries[0][key] for key in ("versions", "config")}
    kept["commands"] = {str(summary["seed"]): summary["command"] for summary in summaries}
    by_seed = {name: {str(s["seed"]): _short(s["subjects"][name]["overall"]) for s in summaries} for name in sides}
    measured = {"subjects": levels, "by_seed": by_seed, "against_reference": found}
    write_json(out, {**kept, "reference": reference, "reference_hits": len(hits), **measured})


def _short(level: dict[str, Any]) -> dict[str, Any]:
    """Without the measures that the table and its by-target form do not need."""
    kept = {*(key for key, _, _ in COLUMNS), "pm", "mean_drawn_tokens", "mean_tokens", "nll_per_token", "cut"}
    return {key: metric for key, metric in level.items() if key in kept}


def _levels(texts: Texts, seed: int) -> dict[str, Any]:
    measured = summarise([s for s, _ in texts.values()], seed)
    nats = likelihood_levels([LikelyText(s.prompt_id, s.target.label, n) for s, n in texts.values() if s.text], seed)
    return {
        "overall": _short({**measured["overall"], **nats["overall"]}),
        "by_target": {
            label: _short({**level, **nats["by_target"].get(label, {})})
            for label, level in measured["by_target"].items()
        },
    }


def _texts(folder: Path, side: dict[str, Any]) -> Texts:
    name = Path(side["samples"]).name
    nats = {row["id"]: row for _, row in read_records(folder / "likelihood" / name)}
    return {
        row["id"]: (Scored.parse(row), TextLikelihood(*(nats[row["id"]][k] for k in ("nll", "nll_open", "tokens"))))
        for _, row in read_records(folder / side["samples"])
    }


def _against(
    reference: Texts,
    texts: Texts,
    keys: set[str],
    seed: int,
) -> dict[str, Any]:
    """Changes on the same prompts and targets, overall and by target; the number of texts in each."""

    def likely(side: Texts, some: set[str]) -> list[LikelyText]:
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


def _print(levels: dict[str, Any], found: dict[str, Any], sides: dict[str, Texts], reference: str) -> None:
    head = ["control", *(title for _, title, _ in COLUMNS), "tokens drawn a text", "a hit", "nats a token, change"]
    print("| " + " | ".join(head) + " |\n|" + " --- |" * len(head))
    for name, level in levels.items():
        overall = level["overall"]
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
