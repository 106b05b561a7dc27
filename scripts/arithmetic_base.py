"""The long-form base of the arithmetic tasks: the bundled model tuned on worked steps, one model a verbosity.

Command: python scripts/arithmetic_base.py OUT_FOLDER [VERBOSITY...]     (two CPU cores: about 15 minutes a verbosity)
Writes OUT_FOLDER/arithmetic.json: accuracy and tokens by verbosity and difficulty, beside the untouched model's, on
problems that no training task is among. What is done is not done again.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from verbs import lengthctl, train

from lengthctl.data_gen.checkable import Verbosity

TASKS, PROBLEMS = 2000, 500
KEPT = ("accuracy", "mean_total_tokens", "median_total_tokens", "truncation", "no_answer")


def main() -> None:
    folder = Path(sys.argv[1]).resolve()
    names = [Verbosity(name) for name in sys.argv[2:]] or list(Verbosity)
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        data, run = folder / f"data-{name}", folder / f"base-{name}"
        lengthctl(folder, "data", "problems", "--verbosity", name, "--n", str(TASKS), "--out", str(data))
        options = [f"data.source={data / 'train.jsonl'}", f"run.dir={folder}", f"run.name=base-{name}"]
        train(folder, run, "arithmetic", *options)
    sides = ["smollm2-135m-instruct", *(str(folder / f"base-{name}") for name in names)]
    measured = ["evaluate.problems=builtin", f"evaluate.problem_limit={PROBLEMS}", "evaluate.limit=2"]
    options = ["prompts.targets=[30]", "evaluate.max_tokens=512", "evaluate.samples=1", "--config", "arithmetic"]
    lengthctl(folder, "eval", *sides, *measured, *options, "--out", str(folder / "evaluation"))
    summary = json.loads((folder / "evaluation" / "summary.json").read_text())
    found = {Path(name).name: _short(side) for name, side in summary["problems"].items()}
    command = summary["command"].replace(f"{folder}/", "")
    text = json.dumps({"command": command, "versions": summary["versions"], "sides": found}, indent=2)
    (folder / "arithmetic.json").write_text(text + "\n")
    for name, side in found.items():
        accuracy, tokens = (side["overall"][key]["value"] for key in ("accuracy", "mean_total_tokens"))
        print(f"{name}: {100 * accuracy:.1f} % of {PROBLEMS}, {tokens:.0f} tokens")


def _short(side: dict[str, Any]) -> dict[str, Any]:
    levels = {"overall": side["overall"], **side["by_difficulty"]}
    return {label: {key: level[key] for key in KEPT} for label, level in levels.items()}


if __name__ == "__main__":
    main()
