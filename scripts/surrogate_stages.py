"""Label-free GRPO beside labels and beside nothing: what a surrogate of form and length keeps of what labels gain.

Command: python scripts/surrogate_stages.py OUT_FOLDER [--seed 42] [--only STAGES] [--rl key=value ...]
Stages:  base       the bundled model is tuned on worked tasks in three forms, one drawn for each: marked, unmarked, or
                    going on with another task; where the other stages begin, once for all seeds
         label      `arithmetic_rl`: right answers are paid
         surrogate  `surrogate`: the form and the length of answers are, and no answer is looked at
         random     `arithmetic_rl` with a random reward: what training by itself does
         eval       all three beside the base on the same problems, greedy as the paper does it, and at the temperature
                    of training: OUT_FOLDER/evaluation-SEED-0 and -1
A surrogate teaches no arithmetic: it can only bring out what a model can do and does not always show. A pretrained
model is so by itself; the base stands in for one. A stage that was done is not done again, and a killed one goes on;
`problems_table.py` makes a table of the evaluations.
"""

from __future__ import annotations

import argparse
import json
import random
from pathlib import Path

from verbs import lengthctl, train

from lengthctl.records import read_records

STAGES = ("base", "label", "surrogate", "random", "eval")
RECIPES = {
    "label": ("arithmetic_rl",),
    "surrogate": ("surrogate",),
    "random": ("arithmetic_rl", "rewards=[{name: random}]"),
}
PROBLEMS = 500
TASKS = 2000
FORMS = {"marked": 0.3, "unmarked": 0.2, "runs on": 0.5}
"""How often the base answers in each form."""


def main() -> None:
    given = _arguments()
    out: Path = given.out.resolve()
    out.mkdir(parents=True, exist_ok=True)
    base = out / "base"
    if "base" in given.only:
        make_base(out, base)
    for stage, (recipe, *own) in RECIPES.items():
        if stage in given.only:
            named = [f"model.name={base / 'model'}", f"run.dir={out}", f"run.name={stage}-{given.seed}"]
            fast = [f"run.seed={given.seed}", "evaluate.problem_limit=40"]  # the stage `eval` is what counts
            limit = [f"trainer.max_completion_length={given.limit}", *own]
            if stage == "surrogate":
                limit.append(f"rewards.surrogate.args.max_tokens={given.limit}")
            train(out, out / f"{stage}-{given.seed}", recipe, *named, *fast, *limit, *given.rl)
    if "eval" in given.only:
        evaluate(out, given)


def make_base(out: Path, base: Path) -> None:
    """Tune the bundled model on worked tasks, each in a form drawn for it."""
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
    named = [f"data.source={out / 'forms.jsonl'}", f"run.dir={out}", f"run.name={base.name}"]
    train(out, base, "arithmetic", *named, "run.seed=1", "evaluate.limit=2")


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
    sides = [str(out / "base" / "model"), *(str(out / f"{stage}-{given.seed}") for stage in RECIPES)]
    asked = ["evaluate.problems=builtin", f"evaluate.problem_limit={given.problems}", f"run.seed={given.seed}"]
    for temperature in (0, 1):
        folder = out / f"evaluation-{given.seed}-{temperature}"
        drawn = f"evaluate.temperature={temperature}"
        lengthctl(out, "eval", *sides, *asked, drawn, "--config", "arithmetic_rl", "--out", str(folder))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
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
