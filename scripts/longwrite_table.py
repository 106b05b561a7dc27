"""README's table of long texts, and docs/results/longwrite.json, from the evaluations of several seeds.

Command: python scripts/longwrite_table.py OUT.json EVALUATION_FOLDER...
A folder is one that the stage `eval` of `longwrite_stages.py` wrote; its first side is the untouched model, asked
directly. The texts of all seeds are pooled; intervals are over prompts, differences from the first side paired by
prompt. Nats a token under the untouched model stand beside them where the evaluation had `evaluate.likelihood=true`.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

from pooled import Pooled, pooled

from lengthctl.evaluate.likelihood import likelihood_change, likelihood_levels
from lengthctl.evaluate.metrics import compare, summarise
from lengthctl.rundir import write_json

COLUMNS = {
    "s_l": ("S_l", 100, 1),
    "mean_length": ("words", 1, 0),
    "truncation": ("into the limit %", 100, 1),
    "finished": ("whole sentence at the end %", 100, 1),
    "seq_rep_4": ("repeated 4-grams %", 100, 1),
    "nll_per_token": ("nats a token", 1, 2),
}
"""Title, scale and decimal places."""


def main(out: Path, folders: list[Path]) -> None:
    """Write the file and print the table."""
    sides, versions = pooled(folders, _title)
    first = next(iter(sides.values()))
    found = {title: _measured(side, None if side is first else first) for title, side in sides.items()}
    by_seed = {title: {seed: _short(level) for seed, level in side.by_seed.items()} for title, side in sides.items()}
    write_json(out, {"versions": versions, "sides": found, "by_seed": by_seed})
    print("| | " + " | ".join(title for title, *_ in COLUMNS.values()) + " |\n|" + " --- |" * (len(COLUMNS) + 1))
    for title, side in found.items():
        for name, level, sign in ((title, side["overall"], ""), ("change", side.get("change", {}), "+")):
            if level:
                cells = [_cell(level[key], *form, sign) if key in level else "" for key, (_, *form) in COLUMNS.items()]
                print("| " + " | ".join([name, *cells]) + " |")
    for title, seeds in by_seed.items():
        print(f"{title}: S_l by seed " + ", ".join(f"{100 * level['s_l']['value']:.1f}" for level in seeds.values()))


def _title(name: str) -> str:
    path, _, control = name.partition("@")
    run = re.sub(r"-\d+$", "", Path(path).name)
    return run if control == "plain" else f"{run}, {control}"


def _measured(side: Pooled, first: Pooled | None) -> dict[str, Any]:
    levels, nats = summarise(side.texts, 0), likelihood_levels(side.likely, 0)
    by_target = {
        label: _short({**level, **nats["by_target"].get(label, {})}) for label, level in levels["by_target"].items()
    }
    found = {"overall": _short({**levels["overall"], **nats["overall"]}), "by_target": by_target}
    if first is not None:
        change = {**compare(first.texts, side.texts, 0), **likelihood_change(first.likely, side.likely, 0)}
        found["change"] = _short(change)
    return found


def _short(level: dict[str, Any]) -> dict[str, Any]:
    return {key: level[key] for key in COLUMNS if key in level}


def _cell(metric: dict[str, float], scale: int, places: int, sign: str) -> str:
    value, low, high = (f"{scale * metric[key]:{sign}.{places}f}" for key in ("value", "low", "high"))
    return f"{value} [{low}, {high}]"


if __name__ == "__main__":
    main(Path(sys.argv[1]), [Path(name) for name in sys.argv[2:]])
