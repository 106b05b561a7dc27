"""Label-free GRPO beside labels and beside nothing: what a surrogate of form and length keeps of what labels gain.

Command: python scripts/surrogate_stages.py OUT_FOLDER SKILLED_MODEL [--seed 42] [--only STAGES] [--rl key=value ...]
Stages:  base       SKILLED_MODEL learns to answer in three forms by chance: the base of the other stages, once for all
                    seeds
         label      `arithmetic_rl`: right answers are paid
         surrogate  `surrogate`: the form and the length of answers are, and no answer is looked at
         random     `arithmetic_rl` with a random reward: what training by itself does
         eval       all three beside the base on the same problems: OUT_FOLDER/surrogate-SEED.json
SKILLED_MODEL works out the built-in arithmetic, such as `arithmetic_base.py OUT plain` makes. The surrogate teaches no
arithmetic: it can only bring out what a model can do and does not always show, as a pretrained model does not. So the
base marks its answers or not, and goes on with the next task behind them or ends. A stage that was done is
not done again, and a killed one goes on.
"""

from __future__ import annotations

import argparse
import json
import random
from pathlib import Path
from typing import Any

from verbs import lengthctl, train

from lengthctl.records import read_records

STAGES = ("base", "label", "surrogate", "random", "eval")
RECIPES = {
    "label": ("arithmetic_rl",),
    "surrogate": ("surrogate",),
    "random": ("arithmetic_rl", "rewards=[{name: random}]"),
}
KEPT = ("accuracy", "accuracy_last_number", "format", "mean_total_tokens", "truncation")
PROBLEMS = 500
TASKS = 512
FORMS = {"marked": 0.4, "unmarked": 0.2, "runs on": 0.4}
"""How often the base answers in each form."""


def main() -> None:
    given = _arguments()
    out: Path = given.out.resolve()
    out.mkdir(parents=True, exist_ok=True)
    base = out / "base"
    if "base" in given.only:
        make_base(out, base, given.skilled)
    for stage, (recipe, *own) in RECIPES.items():
        if stage in given.only:
            named = [f"model.name={base / 'model'}", f"run.dir={out}", f"run.name={stage}-{given.seed}"]
            fast = [f"run.seed={given.seed}", "evaluate.problem_limit=20"]  # the stage `eval` is what counts
            limit = [f"trainer.max_completion_length={given.limit}", *own]
            if stage == "surrogate":
                limit.append(f"rewards.surrogate.args.max_tokens={given.limit}")
            train(out, out / f"{stage}-{given.seed}", recipe, *named, *fast, *limit, *given.rl)
    if "eval" in given.only:
        evaluate(out, given)


def make_base(out: Path, base: Path, skilled: str) -> None:
    """Tune the skilled model on worked tasks of which each stands in a form drawn for it."""
    data = out / "data"
    lengthctl(out, "data", "problems", "--n", str(TASKS), "--seed", "1", "--out", str(data))
    rng = random.Random(1)
    rows = [row for _, row in read_records(data / "train.jsonl")]
    drawn = rng.choices(list(FORMS), list(FORMS.values()), k=len(rows))
    after = [*rows[1:], rows[0]]
    with (out / "forms.jsonl").open("w", encoding="utf-8") as file:
        for row, form, following in zip(rows, drawn, after, strict=True):
            text = in_form(row["completion"][0]["content"], form, following["prompt"][0]["content"])
            file.write(json.dumps({**row, "completion": [{"role": "assistant", "content": text}]}) + "\n")
    named = [f"model.name={skilled}", f"data.source={out / 'forms.jsonl'}", f"run.dir={out}", f"run.name={base.name}"]
    train(out, base, "arithmetic", *named, "trainer.learning_rate=1.0e-4", "run.seed=1", "evaluate.limit=2")


def in_form(worked: str, form: str, following: str) -> str:
    """A worked solution, which ends in `#### ANSWER`, in one of the forms."""
    steps, _, answer = worked.rpartition("#### ")
    match form:
        case "unmarked":
            return f"{steps}So it is {answer}."
        case "runs on":
            return f"{worked}\n{following}"
    return worked


def evaluate(out: Path, given: argparse.Namespace) -> None:
    """Accuracy, form and tokens of each, and differences from the base paired by problem."""
    folder = out / f"evaluation-{given.seed}"
    runs = {stage: str(out / f"{stage}-{given.seed}") for stage in RECIPES}
    asked = ["evaluate.problems=builtin", f"evaluate.problem_limit={given.problems}", f"run.seed={given.seed}"]
    base = str(out / "base" / "model")
    lengthctl(out, "eval", base, *runs.values(), *asked, "--config", "arithmetic_rl", "--out", str(folder))
    summary = json.loads((folder / "summary.json").read_text())
    sides = {"base": base, **runs}
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
    parser.add_argument("skilled", type=lambda path: str(Path(path).resolve()))
    parser.add_argument("--seed", type=int, default=42)
    parser.add_argument("--problems", type=int, default=PROBLEMS)
    parser.add_argument(
        "--limit", type=int, default=96, help="tokens of an answer in training: about thrice a worked one"
    )
    parser.add_argument("--only", nargs="+", choices=STAGES, default=list(STAGES))
    parser.add_argument("--rl", nargs="*", default=[], metavar="KEY=VALUE", help="for all three")
    return parser.parse_args()


if __name__ == "__main__":
    main()
