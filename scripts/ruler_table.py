"""README's table of Ruler's stages, and docs/results/ruler.json, from the evaluations of several seeds.

Command: python scripts/ruler_table.py OUT.json EVALUATION_FOLDER...
A folder is one that the stage `eval` of `ruler_stages.py` wrote. The texts of all seeds are pooled; intervals are over
prompts, differences paired by prompt: from the untouched model, and of tuning with tokens from tuning without.
"""

from __future__ import annotations

import sys
from pathlib import Path
from statistics import median
from typing import Any

from pooled import pooled
from ruler_stages import BASE

from lengthctl.evaluate.metrics import compare, summarise
from lengthctl.evaluate.own_tokens import own_token_summary
from lengthctl.mlt_table import ruler_table
from lengthctl.rundir import write_json
from lengthctl.scoring import Scored

KEPT = ("fm", "pm", "mean_abs_relative_deviation", "truncation", "repetition", "finished")
PLAIN, VANILLA, TUNED = "untouched", "sft without tokens", "sft"
TITLES = {"vanilla": VANILLA, "sft": TUNED, "rl": "sft, then GRPO", "dpo": "sft, then DPO"}
Rows = list[dict[str, Any]]


def main(out: Path, folders: list[Path]) -> None:
    """Write the file and print the tables."""
    measured, versions = pooled(folders, _title)
    sides = {title: side.rows for title, side in measured.items()}
    by_seed = {title: {seed: _short(level) for seed, level in side.by_seed.items()} for title, side in measured.items()}
    found = {title: _side(title, rows, sides) for title, rows in sides.items()}
    write_json(out, {"versions": versions, "sides": found, "by_seed": by_seed})
    _print(found)


def _title(name: str) -> str:
    path, _, control = name.partition("@")
    if (path, control) == (BASE, "plain"):
        return PLAIN
    title = TITLES.get(Path(path).name.rpartition("-")[0])
    if title is None:
        raise SystemExit(f"{name} is no side of ruler_stages.py")
    return f"{title}, own token" if "forced" in control else title


def _side(title: str, rows: Rows, sides: dict[str, Rows]) -> dict[str, Any]:
    texts = _scored(rows)
    measured = summarise(texts, 0)
    lengths: dict[str, list[int]] = {}
    for text in texts:
        lengths.setdefault(text.target.label, []).append(text.length)
    found: dict[str, Any] = {
        "overall": _short(measured["overall"]),
        "by_target": {label: _short(level) for label, level in measured["by_target"].items()},
        "median_words": {label: median(values) for label, values in lengths.items()},
    }
    for name, other in (("minus_untouched", PLAIN), ("minus_without_tokens", VANILLA), ("minus_sft", TUNED)):
        if other in sides and other != title:
            found[name] = _short(compare(_scored(sides[other]), texts, 0))
    if "own token" in title:
        found["own_token"] = own_token_summary(rows, ruler_table(), 0)
    return found


def _scored(rows: Rows) -> list[Scored]:
    return [Scored.parse(row) for row in rows]


def _short(level: dict[str, Any]) -> dict[str, Any]:
    return {key: level[key] for key in KEPT if key in level}


def _print(found: dict[str, Any]) -> None:
    head = ["", "FM %", "PM %", "FM, change", "PM, change", "median words behind 10, 30, 50, 80, 150", "repeated %"]
    print("| " + " | ".join(head) + " |\n|" + " --- |" * len(head))
    for title, side in found.items():
        overall, change = side["overall"], side.get("minus_untouched", {})
        cells = [title, *(_cell(overall[key]) for key in ("fm", "pm"))]
        cells += [_cell(change[key], "+") if key in change else "" for key in ("fm", "pm")]
        cells += [", ".join(f"{value:g}" for value in side["median_words"].values()), _cell(overall["repetition"])]
        print("| " + " | ".join(cells) + " |")
    for title, side in found.items():
        if side.get("own_token"):
            print(f"\n{title}: {_cell(side['own_token']['fm'])} % in the FM band of the token that the model chose")
    for name in ("minus_without_tokens", "minus_sft"):
        for title in (TUNED, TITLES["rl"], TITLES["dpo"]):
            if name in found.get(title, {}):
                print(f"{title}, {name}: FM {_cell(found[title][name]['fm'], '+')}")


def _cell(metric: dict[str, float], sign: str = "") -> str:
    value, low, high = (f"{100 * metric[key]:{sign}.1f}" for key in ("value", "low", "high"))
    return f"{value} [{low}, {high}]"


if __name__ == "__main__":
    main(Path(sys.argv[1]), [Path(name) for name in sys.argv[2:]])
