"""Levels of length after TLDR: a model that writes at three lengths by chance learns to write at the one it is told.

Command: python scripts/tldr_stages.py OUT_FOLDER SKILLED_MODEL [--seed 42] [--only STAGES] [--rl key=value ...]
Stages:  base  SKILLED_MODEL learns to work tasks out tersely, plainly and at length, a third each, and to be told
               nothing of it: where the other stages begin, once for all seeds
         rl    `tldr`: GRPO with a price on length by level
         eval  the base, untold and told to be short, beside the three levels on the same problems:
               OUT_FOLDER/tldr-SEED.json
SKILLED_MODEL works out the built-in arithmetic, such as `arithmetic_base.py OUT plain` makes. A stage that was done is
not done again, and a killed one goes on.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from verbs import lengthctl, train

from lengthctl.data_gen.checkable import Verbosity
from lengthctl.levels import LEVELS

STAGES = ("base", "rl", "eval")
KEPT = ("accuracy", "mean_total_tokens", "median_total_tokens", "truncation")
TASKS = 900


def main() -> None:
    given = _arguments()
    out: Path = given.out.resolve()
    out.mkdir(parents=True, exist_ok=True)
    base, run = out / "base", out / f"rl-{given.seed}"
    if "base" in given.only:
        make_base(out, base, given)
    if "rl" in given.only:
        named = [f"model.name={base / 'model'}", f"run.dir={out}", f"run.name={run.name}", f"run.seed={given.seed}"]
        limit = [f"trainer.max_completion_length={given.limit}", _steps(given), "evaluate.problem_limit=10"]
        train(out, run, "tldr", *named, *limit, *given.rl)
    if "eval" in given.only:
        evaluate(out, str(base / "model"), str(run), given)


def make_base(out: Path, base: Path, given: argparse.Namespace) -> None:
    """Every third task in each verbosity."""
    lines = []
    for verbosity in Verbosity:
        data = out / f"data-{verbosity}"
        size = ["--n", str(TASKS), "--steps", str(given.steps), "--seed", "1"]
        lengthctl(out, "data", "problems", "--verbosity", verbosity, *size, "--out", str(data))
        lines.append((data / "train.jsonl").read_text(encoding="utf-8").splitlines(keepends=True))
    mixed = [of_task[n % len(lines)] for n, of_task in enumerate(zip(*lines, strict=True))]
    (out / "mixed.jsonl").write_text("".join(mixed), encoding="utf-8")
    named = [f"model.name={given.skilled}", f"data.source={out / 'mixed.jsonl'}", f"run.dir={out}", "run.name=base"]
    train(out, base, "arithmetic", *named, "trainer.learning_rate=1.0e-4", "run.seed=1", "evaluate.limit=2")


def evaluate(out: Path, base: str, run: str, given: argparse.Namespace) -> None:
    """Accuracy and tokens by level, and accuracy minus the untold base's, paired by problem."""
    folder = out / f"evaluation-{given.seed}"
    sides = {"base": f"{base}@plain", "base told short": f"{base}@level:name=short"}
    sides |= {level: f"{run}@level:name={level}" for level in LEVELS}
    asked = ["evaluate.problems=builtin", f"evaluate.problem_limit={given.problems}", f"run.seed={given.seed}"]
    asked += [f"evaluate.max_tokens={given.limit}", _steps(given)]
    lengthctl(out, "eval", *sides.values(), *asked, "--config", "tldr", "--out", str(folder))
    summary = json.loads((folder / "summary.json").read_text(encoding="utf-8"))
    found = {name: _side(summary, side) for name, side in sides.items()}
    result = {"seed": given.seed, "versions": summary["versions"], "sides": found}
    (out / f"tldr-{given.seed}.json").write_text(json.dumps(result, indent=2) + "\n")
    for name, row in found.items():
        print(f"{name}: " + " ".join(f"{key} {row[key]['value']:.3f}" for key in KEPT))


def _steps(given: argparse.Namespace) -> str:
    return f"prompts.problem_steps=[1,{given.steps}]"


def _side(summary: dict[str, Any], name: str) -> dict[str, Any]:
    overall = summary["problems"][name]["overall"]
    change = summary["problem_differences"].get(name, {})
    return {**{key: overall[key] for key in KEPT}, "change": {key: change[key] for key in KEPT if key in change}}


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("skilled", type=lambda path: str(Path(path).resolve()))
    parser.add_argument("--seed", type=int, default=42)
    parser.add_argument("--problems", type=int, default=500)
    parser.add_argument("--steps", type=int, default=3, help="most steps of a task")
    parser.add_argument("--limit", type=int, default=288, help="tokens of an answer")
    parser.add_argument("--only", nargs="+", choices=STAGES, default=list(STAGES))
    parser.add_argument("--rl", nargs="*", default=[], metavar="KEY=VALUE")
    return parser.parse_args()


if __name__ == "__main__":
    main()
