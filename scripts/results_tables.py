"""The tables of the README's "Measured", from the summaries of finished runs.

Command: python scripts/results_tables.py docs/results/quickstart-seed-*.json
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

ROWS = (
    ("mean_abs_relative_deviation", "mean absolute relative deviation", 1, 2),
    ("mean_relative_deviation", "mean signed relative deviation", 1, 2),
    ("mean_abs_log_ratio", "mean abs. log ratio", 1, 2),
    ("fm", "FM (Ruler's flexible match), %", 100, 0),
    ("pm", "PM (Ruler's precise match), %", 100, 0),
    ("truncation", "truncated, %", 100, 1),
    ("repetition", "repeated trigrams, %", 100, 2),
)


def cell(run: dict[str, Any], change: dict[str, Any], name: str, scale: int, digits: int) -> str:
    """Before, after, and the paired difference with its interval."""
    before, after = (run[side]["overall"][name]["value"] * scale for side in ("before", "after"))
    low, high = (change[name][end] * scale for end in ("low", "high"))
    return f"{before:.{digits}f} to {after:.{digits}f} [{low:+.{digits}f}, {high:+.{digits}f}]"


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Markdown."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def main(files: Sequence[Path]) -> None:
    """Print one table of the whole, one of the targets, one of the cost."""
    runs = [json.loads(file.read_text(encoding="utf-8")) for file in files]
    seeds = [f"seed {run['seed']}" for run in runs]
    print(
        table(
            ["before to after [95 % interval of the change]", *seeds],
            [[title, *(cell(r, r["change"], name, *form) for r in runs)] for name, title, *form in ROWS],
        )
    )
    targets = []
    for label in runs[0]["change"]["by_target"]:
        row = [f"{label} words"]
        for run in runs:
            fm = [run[side]["by_target"][label]["fm"]["value"] * 100 for side in ("before", "after")]
            change = run["change"]["by_target"][label]["mean_abs_log_ratio"]
            row.append(
                f"{fm[0]:.0f} to {fm[1]:.0f}; {change['value']:+.2f} [{change['low']:+.2f}, {change['high']:+.2f}]"
            )
        targets.append(row)
    print("\n" + table(["FM %; change of mean abs. log ratio", *seeds], targets))
    cost = [
        ["minutes in all, set-up left out", *(f"{run['minutes']['total']:.1f}" for run in runs)],
        ["of these training", *(f"{run['minutes']['train']:.1f}" for run in runs)],
        ["peak memory, GiB (PSS of all processes)", *(f"{run['peak_memory_gib']:.1f}" for run in runs)],
        ["bf16 GFLOP/s of the host", *(f"{run['gflops_bf16']:.0f}" for run in runs)],
    ]
    print("\n" + table(["cost", *seeds], cost))


if __name__ == "__main__":
    main([Path(name) for name in sys.argv[1:]])
