"""A whole GRPO step, plain TRL over lengthctl: both draw the same numbers of tokens and train the same completions.

Command: python scripts/bench/step.py OUT.json [CAP ...]   (two CPU cores: about 13 minutes)
32 completions of 8 prompts, recorded once from the untouched model, capped at 64 tokens or at 256 (targets 10 to 150
words). Each side generates as many tokens for each prompt as were recorded (end tokens do not count), throws them away
and trains the recorded ones: its own weight sync, scoring, update and optimizer included. TRL runs with its continuous
batching, without checkpointing, in micro-batches of 8, once in autocast and once in pure bf16; the faster counts. Each
side has a process of its own; of three steps the first is a warm-up. `overlap` draws the next step's completions during
the update, which plain TRL cannot: it is told apart.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from recorded import CAPS, CONFIG, load, make_requests

from lengthctl.models import load_tokenizer

HERE = Path(__file__).parent
SIDES = (
    ("lengthctl", "step_lengthctl.py"),
    ("trl, autocast", "step_trl.py", "autocast"),
    ("trl, pure bf16", "step_trl.py", "bf16"),
    ("lengthctl", "step_lengthctl.py"),
    ("lengthctl, overlap", "step_lengthctl.py", "overlap"),
)
"""In the order of the run: lengthctl stands before and after TRL, as a shared host's speed drifts."""


def measure(cap: int) -> dict[str, Any]:
    """All sides under one cap on completion tokens."""
    steps: dict[str, list[float]] = {}
    parts: list[dict[str, float]] = []
    with tempfile.TemporaryDirectory() as folder:
        recorded, out = Path(folder) / "recorded.json", Path(folder) / "out.json"
        for side, script, *options in SIDES:
            command = [sys.executable, str(HERE / script), str(recorded), str(out), str(cap), *options]
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
            found = json.loads(out.read_text(encoding="utf-8"))
            steps.setdefault(side, []).extend(found["seconds"])
            if shares := found.get("shares"):
                parts.append(shares)
        tokens = sum(len(c.token_ids) for c in load(recorded))
    seconds = {side: statistics.median(found) for side, found in steps.items()}
    best = min(value for side, value in seconds.items() if side.startswith("trl"))
    return {
        "seconds_per_step": {side: round(value, 2) for side, value in seconds.items()},
        "seconds_of_steps": {side: [round(value, 2) for value in found] for side, found in steps.items()},
        "step_time_ratio": round(best / seconds["lengthctl"], 2),
        "step_time_ratio_with_overlap": round(best / seconds["lengthctl, overlap"], 2),
        "shares": {name: round(statistics.mean(part[name] for part in parts), 4) for name in parts[0]},
        "completion_tokens": tokens,
        "prompt_tokens": sum(len(r.prompt_ids) for r in make_requests(load_tokenizer(CONFIG.model), cap)),
    }


def main(out: Path, caps: Sequence[int]) -> None:
    """Write and print one JSON object."""
    results: dict[str, Any] = {}
    for cap in caps:
        results[str(cap)] = measure(cap)
        out.write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")
    print(json.dumps(results))


if __name__ == "__main__":
    main(Path(sys.argv[1]), [int(cap) for cap in sys.argv[2:]] or list(CAPS))
