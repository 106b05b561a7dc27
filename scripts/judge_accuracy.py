"""Accuracy, position bias and length bias of a judge of pairs, on pairs whose better text is known.

Command: python scripts/judge_accuracy.py MODEL PAIRS.jsonl [OUT.json] [key=value ...]
MODEL is a model folder or a hub id, asked on engines of its own; other judges are named by overrides, e.g.
`judge.backend=endpoint`. PAIRS.jsonl is in TRL's preference format, such as `held_out.jsonl` of `lengthctl data judge`.
Each pair is asked in both orders. Hardware: two CPU cores; 200 pairs take a 135M judge some minutes.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lengthctl.cli.named import load_named, model_overrides
from lengthctl.pipelines.pair_judging import measure_pair_judge
from lengthctl.progress import Narrator
from lengthctl.rundir import write_json

VERDICT_TOKENS = 320
"""Room for a critique that copies both texts as it counts."""


def main(model: str, pairs: str, *rest: str) -> None:
    """Prints the measures as JSON, and writes them where a third word says so."""
    out = Path(rest[0]) if rest and "=" not in rest[0] else None
    found = measured(model, pairs, rest[out is not None :])
    if out is not None:
        write_json(out, found)
    print(json.dumps(found, indent=2))


def measured(model: str, pairs: str, overrides: Sequence[str]) -> dict[str, Any]:
    """Accuracy and biases of a model as a judge."""
    name = model_overrides(model, None, None)[0].removeprefix("model.name=")
    judge = ["judge.backend=vllm", f"judge.model={{name: {name}}}", f"judge.max_tokens={VERDICT_TOKENS}"]
    config = load_named("quickstart", ["rollout.reward_stop=off", *judge, *overrides])
    return measure_pair_judge(config, pairs, Narrator())


if __name__ == "__main__":
    main(*sys.argv[1:])
