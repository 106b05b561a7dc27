"""C3oT on a model that reasons at length: short forms of its data, tuning under conditions, both modes beside it.

Command: python scripts/c3ot_stages.py OUT_FOLDER BASE_MODEL ROWS.jsonl [--seed 42] [--ablation NAME ...]
Stages:  data  `data c3ot`: the long rows that BASE_MODEL was tuned on, and short forms of them
         sft   `c3ot` on them
         eval  the base, and the tuned model under both conditions, on the same problems: OUT_FOLDER/c3ot-SEED.json
BASE_MODEL is the tuned long-form base, such as `arithmetic_base.py` makes, ROWS its training data. Each ablation adds a
side: data and tuning of its own, asked as it was trained. A stage that was done is not done again, and a killed one
goes on.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from verbs import lengthctl, same_options, train

STAGES = ("data", "sft", "eval")
MODES = {
    "none": ("c3ot:condition=short", "c3ot:condition=long"),
    "short_only": ("plain",),
    "long_only": ("plain",),
    "no_condition": ("plain",),
}
KEPT = ("accuracy", "mean_total_tokens", "median_total_tokens", "truncation", "no_answer")
CHANGES = ("accuracy", "mean_total_tokens", "relative_total_tokens", "aes_1_3_5")
MARGIN, LEAST_SAVED = 0.02, 0.5
PROBLEMS = 2000


def main() -> None:
    given = _arguments()
    out: Path = given.out.resolve()
    out.mkdir(parents=True, exist_ok=True)
    for ablation in given.ablation:
        if "data" in given.only:
            data(out, given, ablation)
        if "sft" in given.only:
            sft(out, given, ablation)
    if "eval" in given.only:
        evaluate(out, given)


def data(out: Path, given: argparse.Namespace, ablation: str) -> None:
    """The same for every seed of training."""
    folder = out / f"data-{ablation}"
    is_done = (folder / "stats.json").is_file()
    asked = ["--compressor", given.compressor, "--ablation", ablation, "--tokens-of", given.base, *given.data]
    kept = [f"rows={given.rows}", f"--compressor={given.compressor}", f"--tokens-of={given.base}", *given.data]
    same_options(out, folder, kept, is_begun=is_done)
    if not is_done:
        lengthctl(out, "data", "c3ot", given.rows, *asked, "--out", str(folder))


def sft(out: Path, given: argparse.Namespace, ablation: str) -> None:
    """From the base."""
    run = _run(out, given, ablation)
    named = [f"run.dir={out}", f"run.name={run.name}", f"run.seed={given.seed}", f"model.name={given.base}"]
    rows = [f"data.source={out / f'data-{ablation}' / 'train.jsonl'}", "evaluate.limit=4"]  # `eval` is what counts
    train(out, run, "c3ot", *named, *rows, *given.sft)


def evaluate(out: Path, given: argparse.Namespace) -> None:
    """Accuracy and tokens of each side, and differences from the base paired by problem."""
    sides = {"base": f"{given.base}@plain"}
    for ablation in given.ablation:
        for control in MODES[ablation]:
            mode = "plain" if ":" not in control else control.partition("=")[2]
            sides[f"{ablation} {mode}"] = f"{_run(out, given, ablation)}@{control}"
    folder = out / f"evaluation-{given.seed}"
    asked = ["evaluate.problems=builtin", f"evaluate.problem_limit={given.problems}", f"run.seed={given.seed}"]
    options = ["evaluate.limit=2", *given.eval, "--config", "c3ot", "--out", str(folder)]
    lengthctl(out, "eval", *sides.values(), *asked, *options)
    summary = json.loads((folder / "summary.json").read_text(encoding="utf-8"))
    found = {name: _side(summary, side) for name, side in sides.items()}
    stats = {name: _measured(out / f"data-{name}" / "stats.json") for name in given.ablation}
    result = {"seed": given.seed, "versions": summary["versions"], "data": stats, "sides": found}
    (out / f"c3ot-{given.seed}.json").write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    for name, side in found.items():
        print(_told(name, side))


def _side(summary: dict[str, Any], name: str) -> dict[str, Any]:
    problems = summary["problems"][name]
    kept = {key: problems["overall"][key] for key in KEPT}
    by_difficulty = {
        label: {key: level[key] for key in ("accuracy", "mean_total_tokens")}
        for label, level in problems["by_difficulty"].items()
    }
    change = summary["problem_differences"].get(name)
    if change is None:
        return {**kept, "by_difficulty": by_difficulty}
    saved, accuracy = change["relative_total_tokens"], change["accuracy"]
    return {
        **kept,
        "by_difficulty": by_difficulty,
        "change": {key: change[key] for key in CHANGES if key in change},
        "compression": None if saved is None else -saved["value"],
        "is_not_inferior": accuracy["low"] > -MARGIN,
        "saves_half": saved is not None and -saved["value"] >= LEAST_SAVED,
    }


def _measured(path: Path) -> dict[str, Any] | None:
    if not path.is_file():
        return None
    measured: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))["measured"]
    return measured


def _told(name: str, side: dict[str, Any]) -> str:
    text = f"{name}: {100 * side['accuracy']['value']:.1f} %, {side['mean_total_tokens']['value']:.0f} tokens"
    if "change" not in side:
        return text
    accuracy = side["change"]["accuracy"]
    text += f"; accuracy {100 * accuracy['value']:+.1f} [{100 * accuracy['low']:+.1f}, {100 * accuracy['high']:+.1f}]"
    verdict = "not inferior" if side["is_not_inferior"] else "not shown to be as good"
    return f"{text}, {100 * (side['compression'] or 0):.0f} % of the tokens saved, {verdict}"


def _run(out: Path, given: argparse.Namespace, ablation: str) -> Path:
    return out / f"c3ot-{ablation}-{given.seed}"


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("base", type=lambda path: str(Path(path).resolve()), help="the model folder of the base")
    parser.add_argument("rows", type=lambda path: str(Path(path).resolve()), help="JSONL that it was tuned on")
    parser.add_argument("--seed", type=int, default=42, help="of training and of the evaluation")
    parser.add_argument("--compressor", choices=("model", "endpoint", "equations"), default="equations")
    parser.add_argument("--ablation", nargs="+", choices=list(MODES), default=["none"])
    parser.add_argument("--problems", type=int, default=PROBLEMS)
    parser.add_argument("--only", nargs="+", choices=STAGES, default=list(STAGES))
    for name in ("data", "sft", "eval"):
        parser.add_argument(f"--{name}", nargs="*", default=[], metavar="OPTION", help=f"further options of {name}")
    return parser.parse_args()


if __name__ == "__main__":
    main()
