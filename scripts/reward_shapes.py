"""Shapes of a length reward under the same training: which brings lengths closest to their targets?

Command: python scripts/reward_shapes.py OUT_FOLDER [--seeds 42] [--shapes NAME ...] [--steps 12] [key=value ...]
Each shape takes the place of `log_ratio` in the recipe `quickstart`; its gates and all else stay. Held-out prompts are
measured with the last weights; completion tokens drawn in training stand beside it.
Writes OUT_FOLDER/shapes.json as it goes: by shape the deviation, FM, truncation and repetition with their intervals
over prompts, and the difference of the deviation from `log_ratio`, paired by prompt, target and seed.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from verbs import train

from lengthctl.evaluate.bootstrap import mean_interval
from lengthctl.records import read_records
from lengthctl.scoring import Scored

SHAPES: dict[str, str] = {
    "log_ratio": "{name: log_ratio, args: {factor: 4.4817, smoothing: 1.0}}",
    "linear": "{name: linear}",
    "linear_wide": "{name: linear, args: {width: 3.0}}",
    "gaussian": "{name: gaussian, args: {s: 0.5}}",
    "band": "{name: band, args: {tolerance: 0.1, ramp: 1.0}}",
    "asymmetric": "{name: asymmetric}",
    "s_l": "{name: s_l}",
    "lifebench": "{name: lifebench}",
}
GATES = "{name: natural_stop, role: gate, weight: 0.5}, {name: repetition, role: gate}"
DEFAULT = "log_ratio"


def main() -> None:
    given = _arguments()
    out: Path = given.out.resolve()
    out.mkdir(parents=True, exist_ok=True)
    found: dict[tuple[str, int], list[Scored]] = {}
    for seed in given.seeds:
        for shape in given.shapes:
            run = out / f"{shape}-{seed}"
            train(out, run, "quickstart", *_options(out, run, shape, seed, given))
            rows = read_records(run / "samples" / "after.jsonl")
            found[shape, seed] = [Scored.parse(row) for _, row in rows]
            table = {one: _measures(out, one, found) for one in given.shapes if any(s == one for s, _ in found)}
            (out / "shapes.json").write_text(json.dumps({"steps": given.steps, "shapes": table}, indent=2) + "\n")
    for shape, row in sorted(table.items(), key=lambda item: item[1]["abs_relative_deviation"]["value"]):
        told = "  ".join(f"{name} {_told(value)}" for name, value in row.items())
        print(f"{shape:<12} {told}")


def _options(out: Path, run: Path, shape: str, seed: int, given: argparse.Namespace) -> list[str]:
    schedule = f"trainer.lr_scheduler_kwargs={{num_decay_steps: {given.steps // 2}, min_lr_ratio: 0.1}}"
    named = [f"run.dir={out}", f"run.name={run.name}", f"run.seed={seed}"]
    return [*named, f"trainer.max_steps={given.steps}", schedule, f"rewards=[{SHAPES[shape]}, {GATES}]", *given.more]


def _measures(out: Path, shape: str, found: dict[tuple[str, int], list[Scored]]) -> dict[str, Any]:
    """Over the seeds that there are, each with the seeds it has."""
    seeds = sorted(seed for one, seed in found if one == shape)
    rows = [row for seed in seeds for row in found[shape, seed]]
    clusters = [row.prompt_id for row in rows]
    values = {
        "abs_relative_deviation": [abs(row.relative_deviation) for row in rows],
        "fm": [float(row.fm) for row in rows],
        "truncation": [float(row.is_truncated) for row in rows],
        "repetition": [row.repetition for row in rows],
    }
    table: dict[str, Any] = {"seeds": seeds, "completion_tokens": [_tokens(out / f"{shape}-{s}") for s in seeds]}
    for name, column in values.items():
        low, high = mean_interval(column, clusters, 0)
        table[name] = {"value": sum(column) / len(column), "low": low, "high": high}
    both = [seed for seed in seeds if (DEFAULT, seed) in found]
    if shape != DEFAULT and both:
        pairs = [_difference(found[shape, seed], found[DEFAULT, seed]) for seed in both]
        gaps = [gap for pair in pairs for gap in pair]
        low, high = mean_interval([gap for _, gap in gaps], [name for name, _ in gaps], 0)
        table["minus_default"] = {"value": sum(gap for _, gap in gaps) / len(gaps), "low": low, "high": high}
    return table


def _difference(ours: list[Scored], theirs: list[Scored]) -> list[tuple[str, float]]:
    other = {(row.prompt_id, row.target.label): abs(row.relative_deviation) for row in theirs}
    keyed = [((row.prompt_id, row.target.label), abs(row.relative_deviation)) for row in ours]
    return [(key[0], value - other[key]) for key, value in keyed if key in other]


def _tokens(run: Path) -> int:
    return sum(len(row["token_ids"]) for _, row in read_records(run / "samples" / "rollouts.jsonl"))


def _told(value: Any) -> str:
    return f"{value['value']:.3f} [{value['low']:.3f}, {value['high']:.3f}]" if isinstance(value, dict) else str(value)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("more", nargs="*", metavar="KEY=VALUE")
    parser.add_argument("--seeds", nargs="+", type=int, default=[42])
    parser.add_argument("--shapes", nargs="+", choices=list(SHAPES), default=list(SHAPES))
    parser.add_argument("--steps", type=int, default=12)
    return parser.parse_args()


if __name__ == "__main__":
    main()
