"""Long texts in one go: a model's own, written directly and by plan, the best of them learned from, and one report.

Command: python scripts/longwrite_stages.py OUT_FOLDER HELLOBENCH_PROMPTS.jsonl [--seed 42] [--words 300 500 800]
Stages:  prompts    HelloBench's prompts in three parts that share none, by a hash of their ids
         direct     one answer a prompt, as the untouched model gives it
         agentwrite the same prompts, planned and written part by part
         curate     those of both that have the length they were asked for and neither loop nor break off
         mix        with general rows, where --general names some
         sft        `longwriter_sft` on them
         pairs, dpo four answers of the tuned model a prompt, the best chosen by S_l and S_q; `longwriter_dpo` on them
                    (only where --only names them)
         eval       direct, planned and tuned side by side on the development prompts (or --test) in one report,
                    OUT_FOLDER/evaluation-.../report.html
A stage that was done is not done again, and a killed one goes on. Options of training: `--sft key=value ...`.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from verbs import lengthctl, run_stages, train

from lengthctl.data_gen.dev_split import Part, hellobench_prompts
from lengthctl.prompts import stable_hash

BASE = "smollm2-135m-instruct"
STAGES = ("prompts", "direct", "agentwrite", "curate", "mix", "sft", "pairs", "dpo", "eval")
ON_REQUEST = {"pairs", "dpo"}
SHOWN = ("s_l", "seq_rep_4", "truncation", "finished")


def main() -> None:
    run_stages(STAGE, _arguments())


def prompts(out: Path, given: argparse.Namespace) -> None:
    """Those for data with one of the lengths each; those for evaluation without."""
    for part in Part:
        rows = list(hellobench_prompts(given.hellobench, part))[: given.limit]
        if part is Part.DATA:
            for row in rows:
                row["target"] = given.words[stable_hash(f"length|{row['id']}") % len(given.words)]
        path = out / f"prompts-{part}.jsonl"
        path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


def direct(out: Path, given: argparse.Namespace) -> None:
    """As records of `gen`, and those that the model ended itself as rows to learn from."""
    options = ["--control", "plain", *_sampling(given), "--seed", "42"]
    texts = out / "direct.jsonl"
    asked = ["gen", "--in", str(out / "prompts-data.jsonl"), "--max-tokens", str(given.tokens), *_engine(given)]
    lengthctl(out, *asked, *options, "--out", str(texts))
    rows = [json.loads(line) for line in texts.read_text(encoding="utf-8").splitlines()]
    kept = [
        {"id": row["id"], "prompt": row["messages"], "completion": row["text"], "source": "direct"}
        for row in rows
        if row["finish"] == "eos"
    ]
    (out / "direct-rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in kept), encoding="utf-8")


def agentwrite(out: Path, given: argparse.Namespace) -> None:
    """The plan's parts in one text each; the prompts share none with the evaluation's."""
    options = ["--small", *given.agentwrite, *_sampling(given), "--failure-budget", "0.5"]
    folder = str(out / "agentwrite")
    lengthctl(out, "data", "agentwrite", str(out / "prompts-data.jsonl"), *options, *_engine(given), "--out", folder)


def curate(out: Path, given: argparse.Namespace) -> None:
    """By the rules of Minimum Tuning, and our filters."""
    sources = [str(out / "agentwrite" / "train.jsonl")]
    if (out / "direct-rows.jsonl").is_file() and (out / "direct-rows.jsonl").stat().st_size:
        sources.append(str(out / "direct-rows.jsonl"))
    lengthctl(out, "data", "curate", *sources, *given.curate, "--out", str(out / "long"))


def mix(out: Path, given: argparse.Namespace) -> None:
    """All of the long rows; `--general` gives the others."""
    if given.general is not None:
        options = ["--general", str(given.general.resolve()), "--ratio", str(given.ratio)]
        lengthctl(out, "data", "mix", str(out / "long" / "train.jsonl"), *options, "--out", str(out / "mix"))


def sft(out: Path, given: argparse.Namespace) -> None:
    """From the untouched model."""
    rows = out / ("long" if given.general is None else "mix") / "train.jsonl"
    _train(out, given, "longwriter_sft", "sft", f"data.source={rows}", *given.sft)


def pairs(out: Path, given: argparse.Namespace) -> None:
    """Of four answers a prompt."""
    four = out / f"four-{given.seed}.jsonl"
    options = ["--control", "plain", "--n", "4", "--temperature", "0.8", "--seed", str(given.seed)]
    asked = ["gen", "--in", str(out / "prompts-data.jsonl"), "--max-tokens", str(given.tokens)]
    lengthctl(out, *asked, *options, "--model", str(_tuned(out, given, "sft")), "--out", str(four))
    folder = out / f"pairs-{given.seed}"
    lengthctl(out, "data", "pairs", str(four), "--kind", "quality", "--out", str(folder))


def dpo(out: Path, given: argparse.Namespace) -> None:
    """From the tuned model."""
    rows = f"data.source={out / f'pairs-{given.seed}' / 'train.jsonl'}"
    _train(out, given, "longwriter_dpo", "dpo", f"model.name={_tuned(out, given, 'sft') / 'model'}", rows, *given.dpo)


def evaluate(out: Path, given: argparse.Namespace) -> None:
    """The untouched model directly and by plan, and what was tuned."""
    sides = [f"{BASE}@plain", f"{BASE}@{given.control}"]
    sides += [f"{run}@plain" for stage in ("sft", "dpo") if ((run := _tuned(out, given, stage)) / "model").is_dir()]
    part = Part.TEST if given.test else Part.DEVELOPMENT
    asked = [f"prompts.eval_source={out / f'prompts-{part}.jsonl'}", _targets(given), f"run.seed={given.seed}"]
    asked += [f"evaluate.temperature={given.temperature}", f"evaluate.repetition_penalty={given.repetition_penalty}"]
    asked += [f"evaluate.max_tokens={given.tokens}", *given.eval]
    folder = out / f"evaluation-{part}-{given.seed}"
    lengthctl(out, "eval", *sides, *asked, "--config", "longwriter_sft", "--out", str(folder))
    summary = json.loads((folder / "summary.json").read_text(encoding="utf-8"))
    for side, found in summary["subjects"].items():
        print(f"{Path(side).name}: {_told(found['overall'])}")
        if side in summary["differences"]:
            print(f"  minus {Path(sides[0]).name}: {_told(summary['differences'][side])}")


STAGE = dict(zip(STAGES, (prompts, direct, agentwrite, curate, mix, sft, pairs, dpo, evaluate), strict=True))


def _told(level: dict[str, dict[str, float]]) -> str:
    """Percent with 95 % intervals."""
    found = ((name, [100 * level[name][key] for key in ("value", "low", "high")]) for name in SHOWN if name in level)
    return ", ".join(f"{name} {value:.1f} [{low:.1f}, {high:.1f}]" for name, (value, low, high) in found)


def _train(out: Path, given: argparse.Namespace, recipe: str, stage: str, *options: str) -> None:
    """A training job, or the rest of it."""
    run = _tuned(out, given, stage)
    named = [f"run.dir={out}", f"run.name={run.name}", f"run.seed={given.seed}", _targets(given)]
    # the stage `eval` is what counts
    held_out = [f"prompts.eval_source={out / 'prompts-development.jsonl'}", "evaluate.limit=4"]
    train(out, run, recipe, *named, *held_out, f"evaluate.max_tokens={given.tokens}", *options)


def _tuned(out: Path, given: argparse.Namespace, stage: str) -> Path:
    """Folder of a stage's run."""
    return out / f"{stage}-{given.seed}"


def _targets(given: argparse.Namespace) -> str:
    return f"prompts.targets=[{','.join(map(str, given.words))}]"


def _sampling(given: argparse.Namespace) -> list[str]:
    return ["--temperature", str(given.temperature), "--repetition-penalty", str(given.repetition_penalty)]


def _engine(given: argparse.Namespace) -> list[str]:
    return ["--model", BASE, *given.engine]


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("hellobench", type=Path, help="HelloBench's prompts: JSONL with id and instruction")
    parser.add_argument("--words", type=int, nargs="+", default=[300, 500, 800], help="lengths that are asked for")
    parser.add_argument("--general", type=Path, help="JSONL with general rows to mix in")
    parser.add_argument("--ratio", type=float, default=2.0, help="general rows for each long one")
    parser.add_argument("--limit", type=int, help="prompts of each part at most, to try it out")
    parser.add_argument("--tokens", type=int, default=1600, help="limit of a text")
    parser.add_argument("--temperature", type=float, default=0.7)
    parser.add_argument("--repetition-penalty", type=float, default=1.0, help="of all texts, the direct ones too")
    parser.add_argument("--seed", type=int, default=42, help="of training and of the evaluation")
    parser.add_argument("--control", default="agentwrite-small", help="how the second side of the report writes")
    parser.add_argument("--test", action="store_true", help="report on the test part")
    default = [stage for stage in STAGES if stage not in ON_REQUEST]
    parser.add_argument("--only", nargs="+", choices=STAGES, default=default)
    for name in ("engine", "agentwrite", "curate", "sft", "dpo", "eval"):
        parser.add_argument(f"--{name}", nargs="*", default=[], metavar="KEY=VALUE", help=f"settings of {name}")
    return parser.parse_args()


if __name__ == "__main__":
    main()
