"""Self-Lengthen in one go: rounds in which a model extends its own texts, and a report of the models of all rounds.

Command: python scripts/self_lengthen.py OUT_FOLDER [INSTRUCTIONS.jsonl] [--eval HELD_OUT.jsonl] [--set key=value ...]
Stages:  lengthen   `lengthctl data self-lengthen`: answers, extensions and trainings of each round
         eval       the untouched model and the generator of each round side by side on held-out prompts,
                    OUT_FOLDER/evaluation-SEED/report.html
A stage that was done is not done again, and a killed one goes on. `--set` takes settings of the loop, such as rounds=2,
and keys of the recipe `self_lengthen`, such as trainer.learning_rate=2e-4.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from verbs import lengthctl

STAGES = ("lengthen", "eval")
SHOWN = ("s_l", "mean_length", "seq_rep_4", "truncation", "finished")


def main() -> None:
    """The stages that are named, in order."""
    given = _arguments()
    out: Path = given.out.resolve()
    out.mkdir(parents=True, exist_ok=True)
    for stage in given.only:
        (lengthen if stage == "lengthen" else evaluate)(out, given)


def lengthen(out: Path, given: argparse.Namespace) -> None:
    """The rounds; what they came to is told at the end, and stands in `lengthened/rounds.json`."""
    sources = [] if given.instructions is None else [str(given.instructions.resolve())]
    chosen = ["--profile", given.profile, "--model", given.model, "--seed", str(given.seed)]
    against = [] if given.eval is None else ["--against", str(given.eval.resolve())]
    folder = str(out / "lengthened")
    lengthctl(out, "data", "self-lengthen", *sources, *given.set, *chosen, *against, "--out", folder)


def evaluate(out: Path, given: argparse.Namespace) -> None:
    """All generators, asked for the same lengths."""
    rounds = json.loads((out / "lengthened" / "rounds.json").read_text())["rounds"]
    sides = [given.model, *(str(Path(one["generator"]).parent) for one in rounds[1:])]
    targets = f"prompts.targets=[{','.join(map(str, given.words))}]"
    limits = [f"evaluate.max_tokens={given.tokens}", f"evaluate.limit={given.limit}", f"run.seed={given.seed}"]
    held_out = [] if given.eval is None else [f"prompts.eval_source={given.eval.resolve()}"]
    folder = out / f"evaluation-{given.seed}"
    lengthctl(out, "eval", *sides, targets, *limits, *held_out, "--config", "self_lengthen", "--out", str(folder))
    for name, side in json.loads((folder / "summary.json").read_text())["subjects"].items():
        told = " ".join(f"{key} {side['overall'][key]['value']:.3f}" for key in SHOWN if key in side["overall"])
        print(f"{name}: {told}")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("instructions", type=Path, nargs="?", help="JSONL with a prompt a row; default: built-in ones")
    parser.add_argument("--eval", type=Path, help="JSONL with held-out prompts; default: the built-in ones")
    parser.add_argument("--model", default="smollm2-135m-instruct")
    parser.add_argument("--profile", default="small", choices=("small", "large"))
    parser.add_argument("--seed", type=int, default=42)
    parser.add_argument("--words", type=int, nargs="+", default=[300, 500, 800], help="asked for in the evaluation")
    parser.add_argument("--tokens", type=int, default=1600, help="limit of a text there")
    parser.add_argument("--limit", type=int, default=20, help="held-out prompts there, at most")
    parser.add_argument("--only", nargs="+", choices=STAGES, default=list(STAGES))
    parser.add_argument("--set", nargs="*", default=[], metavar="KEY=VALUE")
    return parser.parse_args()


if __name__ == "__main__":
    main()
