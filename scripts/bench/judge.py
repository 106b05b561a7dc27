"""A step of BRPO whose judge is asked while groups are still drawn, over one that asks it afterwards.

Command: python scripts/bench/judge.py OUT.json     (part of `make bench`; two CPU cores: about 6 minutes)
Policy and judge are the bundled model, each on an engine of its own with one thread. What the untuned judge says is no
verdict: the questions cost what they cost all the same.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median
from typing import Any

STEPS = 4
"""The first one warms up and is left out."""
MODEL = "smollm2-135m-instruct"


def main(out: Path) -> None:
    """Both ways, one after the other."""
    with tempfile.TemporaryDirectory() as folder:
        apart, ahead = (steps_of(Path(folder), concurrent=concurrent) for concurrent in (False, True))
    seconds = {"afterwards": [row["step_time"] for row in apart], "while drawn": [row["step_time"] for row in ahead]}
    estimator = [row["speed/estimator_seconds"] / row["step_time"] for row in ahead]
    result = {
        "ahead_over_afterwards": round(median(seconds["while drawn"]) / median(seconds["afterwards"]), 3),
        "seconds_of_steps": {name: [round(value, 2) for value in values] for name, values in seconds.items()},
        "estimator_share_of_a_step": round(max(estimator), 5),
    }
    out.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")


def steps_of(folder: Path, *, concurrent: bool) -> list[dict[str, Any]]:
    """Metrics of the training steps behind the first."""
    name = f"brpo-{concurrent}"
    judge = [f"judge.concurrent={str(concurrent).lower()}", f"judge.model={{name: {MODEL}}}", "judge.max_tokens=64"]
    silent = ["judge.silent_steps=100", "train.advantage.filter=none", "train.advantage.resample_rounds=0"]
    sizes = [f"trainer.max_steps={STEPS}", "trainer.save_steps=100", "evaluate.limit=1", "trainer.warmup_steps=0"]
    named = [f"run.name={name}", f"run.dir={folder}"]
    command = [sys.executable, "-m", "lengthctl", "train", "brpo", *judge, *silent, *sizes, *named]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    rows = map(json.loads, (folder / name / "metrics.jsonl").read_text(encoding="utf-8").splitlines())
    return [row for row in rows if "step_time" in row and "speed/estimator_seconds" in row][1:]


if __name__ == "__main__":
    main(Path(sys.argv[1]))
