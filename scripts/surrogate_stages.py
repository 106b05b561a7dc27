"""Label-free GRPO beside labels and beside nothing: what a surrogate of form and length keeps of what labels gain.

Command: python scripts/surrogate_stages.py OUT_FOLDER BASE_MODEL [--seed 42] [--only STAGES] [--rl key=value ...]
Stages:  label      `arithmetic_rl`: right answers are paid
         surrogate  `surrogate`: the form and the length of answers are, and no answer is looked at
         random     `arithmetic_rl` with a random reward: what training by itself does
         eval       all three beside the base on the same problems: OUT_FOLDER/surrogate-SEED.json
BASE_MODEL is a tuned model, such as `arithmetic_base.py` makes. A stage that was done is not done again, and a killed
one goes on.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from verbs import lengthctl, train

STAGES = ("label", "surrogate", "random", "eval")
RECIPES = {
    "label": ("arithmetic_rl",),
    "surrogate": ("surrogate",),
    "random": ("arithmetic_rl", "rewards=[{name: random}]"),
}
KEPT = ("accuracy", "accuracy_last_number", "format", "mean_total_tokens", "truncation")
PROBLEMS = 500


def main() -> None:
    given = _arguments()
    out: Path = given.out.resolve()
    out.mkdir(parents=True, exist_ok=True)
    for stage, (recipe, *own) in RECIPES.items():
        if stage in given.only:
            named = [f"model.name={given.base}", f"run.dir={out}", f"run.name={stage}-{given.seed}"]
            fast = [f"run.seed={given.seed}", "evaluate.problem_limit=20"]  # the stage `eval` is what counts
            train(out, out / f"{stage}-{given.seed}", recipe, *named, *fast, *own, *given.rl)
    if "eval" in given.only:
        evaluate(out, given)


def evaluate(out: Path, given: argparse.Namespace) -> None:
    """Accuracy, form and tokens of each, and differences from the base paired by problem."""
    folder = out / f"evaluation-{given.seed}"
    runs = {stage: str(out / f"{stage}-{given.seed}") for stage in RECIPES}
    asked = ["evaluate.problems=builtin", f"evaluate.problem_limit={given.problems}", f"run.seed={given.seed}"]
    lengthctl(out, "eval", given.base, *runs.values(), *asked, "--config", "arithmetic_rl", "--out", str(folder))
    summary = json.loads((folder / "summary.json").read_text())
    sides = {"base": given.base, **runs}
    found = {stage: _side(summary, name) for stage, name in sides.items()}
    gains = {stage: found[stage].get("change", {}).get("accuracy_last_number", {}).get("value") for stage in RECIPES}
    share = gains["surrogate"] / gains["label"] if gains["surrogate"] is not None and gains["label"] else None
    result = {"seed": given.seed, "versions": summary["versions"], "sides": found, "share_of_labels_gain": share}
    (out / f"surrogate-{given.seed}.json").write_text(json.dumps(result, indent=2) + "\n")
    for stage, side in found.items():
        told = " ".join(f"{key} {side[key]['value']:.3f}" for key in KEPT if key in side)
        print(f"{stage}: {told}")
    print(f"share of the gain of labels that the surrogate keeps: {share}")


def _side(summary: dict[str, Any], name: str) -> dict[str, Any]:
    overall = summary["problems"][name]["overall"]
    change = summary["problem_differences"].get(name, {})
    kept = {key: overall[key] for key in KEPT if key in overall}
    return kept if not change else {**kept, "change": {key: change[key] for key in KEPT if key in change}}


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("base", type=lambda path: str(Path(path).resolve()))
    parser.add_argument("--seed", type=int, default=42)
    parser.add_argument("--problems", type=int, default=PROBLEMS)
    parser.add_argument("--only", nargs="+", choices=STAGES, default=list(STAGES))
    parser.add_argument("--rl", nargs="*", default=[], metavar="KEY=VALUE", help="for all three")
    return parser.parse_args()


if __name__ == "__main__":
    main()
