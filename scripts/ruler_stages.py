"""Ruler in one go: a model's own texts, data with meta length tokens, tuning, what comes on top, and one report.

Command: python scripts/ruler_stages.py OUT_FOLDER PROMPTS.jsonl [--eval HELD_OUT.jsonl] [--seed 42]
Stages:  texts    one answer a prompt, by the untouched model
         data     each text and its openings behind the token of its length; the same rows without tokens
         sft      `ruler`: tuned with tokens              vanilla  on the same rows without them
         rl       `ruler_rl`: GRPO on top of sft          dpo      `ruler_dpo`: hindsight pairs on top of sft
         eval     all of them beside the untouched model in one report, OUT_FOLDER/evaluation/report.html
A stage that was done is not done again, and a killed one goes on; with other options than it was begun with it is
refused. `--only` names some of them. Options of a stage:
`--sft key=value ...`, as `lengthctl train` takes them.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import verbs
from verbs import lengthctl, run_stages

from lengthctl.cli.data_results import kept_out
from lengthctl.prompt_sources import as_messages
from lengthctl.records import read_records
from lengthctl.rundir import write_atomic

BASE = "smollm2-135m-instruct"
STAGES = ("texts", "data", "sft", "vanilla", "rl", "dpo", "eval")
TARGETS = "prompts.targets=[10,30,50,80,150]"


def main() -> None:
    run_stages(STAGE, _arguments())


def texts(out: Path, given: argparse.Namespace) -> None:
    """One answer a prompt, long enough to have openings of all lengths."""
    command = ["gen", "--in", str(given.prompts.resolve()), "--words", "200", "--control", "plain"]
    options = ["--temperature", "0.7", "--max-tokens", str(given.tokens), "--seed", "42"]
    lengthctl(out, *command, *options, "--out", str(out / "texts.jsonl"))


def data(out: Path, given: argparse.Namespace) -> None:
    """The same data for every seed of training: what is compared is tuning."""
    files = [str(out / "texts.jsonl"), "--hindsight", "--openings"]
    against = [] if given.eval is None else ["--against", str(given.eval.resolve())]
    lengthctl(out, "data", "ruler", *files, *against, "--cap", str(given.cap), "--controls", "--out", str(out / "data"))
    pairs = [str(out / "texts.jsonl"), "--openings", "--mlt", "ruler", "--per-prompt", "1"]
    lengthctl(out, "data", "pairs", *pairs, *against, "--out", str(out / "pairs"))


def sft(out: Path, given: argparse.Namespace) -> None:
    """With tokens."""
    train(out, given, "ruler", "sft", f"data.source={out / 'data' / 'train.jsonl'}", *given.sft)


def vanilla(out: Path, given: argparse.Namespace) -> None:
    """The same rows and settings without tokens: what the texts alone do."""
    rows = f"data.source={out / 'data' / 'vanilla.jsonl'}"
    train(out, given, "ruler", "vanilla", rows, *given.sft, "data.mlt=null", "train.mlt_rate=1")


def rl(out: Path, given: argparse.Namespace) -> None:
    """GRPO from the tuned model, on prompts that the evaluation does not hold."""
    source = f"prompts.source={rl_prompts(out, given)}"
    train(out, given, "ruler_rl", "rl", f"model.name={tuned(out, given, 'sft') / 'model'}", source, *given.rl)


def dpo(out: Path, given: argparse.Namespace) -> None:
    """Hindsight pairs from the tuned model."""
    pairs = f"data.source={out / 'pairs' / 'train.jsonl'}"
    train(out, given, "ruler_dpo", "dpo", f"model.name={tuned(out, given, 'sft') / 'model'}", pairs, *given.dpo)


def evaluate(out: Path, given: argparse.Namespace) -> None:
    """Every stage, asked as it was tuned; `forced` writes its own token."""
    sides = [f"{BASE}@plain"]
    for stage, control in (("vanilla", "plain"), ("sft", "mlt"), ("rl", "mlt"), ("dpo", "mlt")):
        if (tuned(out, given, stage) / "model").is_dir():
            sides.append(f"{tuned(out, given, stage)}@{control}")
    sides.append(f"{tuned(out, given, 'sft')}@mlt:mode=forced")
    asked = [TARGETS, f"run.seed={given.seed}", f"evaluate.temperature={given.temperature}"]
    if given.eval is not None:
        asked.append(f"prompts.eval_source={given.eval.resolve()}")
    folder = out / f"evaluation-{given.name}{given.seed}"
    lengthctl(out, "eval", *sides, *asked, "--config", "ruler", "--out", str(folder))
    summary = json.loads((folder / "summary.json").read_text())
    for side, found in summary["subjects"].items():
        rates = " ".join(f"{key} {100 * found['overall'][key]['value']:.1f} %" for key in ("pm", "fm"))
        own = found.get("own_token")
        kept = f", {100 * own['fm']['value']:.1f} % in the FM band of their own token" if own is not None else ""
        print(f"{Path(side).name}: {rates}{kept}")


def rl_prompts(out: Path, given: argparse.Namespace) -> Path:
    """Those of the file that neither the evaluation's nor the built-in held-out ones stand in."""
    evaluated = kept_out([] if given.eval is None else [str(given.eval.resolve())])
    found = list(read_records(given.prompts.resolve()))
    asked = [(row, as_messages(row.get("prompt"), f"{given.prompts}:{line}")) for line, row in found]
    rows = [row for row, messages in asked if not any(evaluated.hit(turn["content"]) for turn in messages)]
    file = out / f"rl-prompts-{evaluated.digest[:8]}.jsonl"  # with another evaluation another file, so other options
    write_atomic(file, "".join(json.dumps(row) + "\n" for row in rows))
    print(f"rl: {len(found) - len(rows)} of {len(found)} prompts are left out, which the evaluation holds")
    return file


STAGE = dict(zip(STAGES, (texts, data, sft, vanilla, rl, dpo, evaluate), strict=True))


def train(out: Path, given: argparse.Namespace, recipe: str, stage: str, *options: str) -> None:
    """A training job, or the rest of it."""
    folder = tuned(out, given, stage)
    named = [f"run.dir={out}", f"run.name={folder.name}", f"run.seed={given.seed}", TARGETS]
    held_out = [f"prompts.source={given.prompts.resolve()}", "evaluate.limit=4"]  # the stage `eval` is what counts
    verbs.train(out, folder, recipe, *named, *held_out, *options)


def tuned(out: Path, given: argparse.Namespace, stage: str) -> Path:
    """Folder of a stage's run."""
    return out / f"{stage}-{given.seed}"


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("prompts", type=Path, help="JSONL with a prompt a row")
    parser.add_argument("--eval", type=Path, help="JSONL with held-out prompts; default: the built-in ones")
    parser.add_argument("--name", default="", help="of the evaluation, where there are several")
    parser.add_argument("--seed", type=int, default=42, help="of training and of the evaluation")
    parser.add_argument("--tokens", type=int, default=320, help="limit of a text of the model's own")
    parser.add_argument("--cap", type=int, default=500, help="rows of a token at most")
    parser.add_argument("--temperature", type=float, default=0.0, help="of the evaluation; Ruler's is 0")
    parser.add_argument("--only", nargs="+", choices=STAGES, default=list(STAGES))
    for stage in ("sft", "rl", "dpo"):
        parser.add_argument(f"--{stage}", nargs="*", default=[], metavar="KEY=VALUE")
    return parser.parse_args()


if __name__ == "__main__":
    main()
