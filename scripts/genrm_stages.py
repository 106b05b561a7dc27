"""A judge of pairs and a policy that learns from it: data of known truth, two halves of training, BRPO, what it gains.

Command: python scripts/genrm_stages.py OUT_FOLDER TEXTS [--seed 42] [--only STAGES] [--sft key=value ...]
Stages:  data   pairs whose better text a program knows, in both orders, from any instruction data (TEXTS)
         sft    `genrm_sft`: verdicts that a program wrote, as principles, critique and two scores
         rl     `genrm_rl`: GRPO on whether the better text is named
         judge  accuracy on held-out pairs of the untouched model and after each half: OUT_FOLDER/judge-SEED.json
         brpo   `brpo`: the bundled model learns from that judge (the one of --judge: sft or rl)
         eval   the policy beside its start on held-out prompts: OUT_FOLDER/brpo-SEED.json
A stage that was done is not done again, and a killed one goes on. Options of a stage: `--rl key=value ...`.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from judge_accuracy import VERDICT_TOKENS, measured
from verbs import lengthctl, run_stages, train

from lengthctl.evaluate.bootstrap import mean_interval
from lengthctl.records import read_records
from lengthctl.rundir import write_json
from lengthctl.scoring import Scored

BASE = "smollm2-135m-instruct"
STAGES = ("data", "sft", "rl", "judge", "brpo", "eval")


def main() -> None:
    run_stages(STAGE, _arguments())


def data(out: Path, given: argparse.Namespace) -> None:
    """The same data for every seed of training."""
    truths = [word for truth in ("length", "repetition", "keyword") for word in ("--truth", truth)]
    size = ["--n", str(given.pairs), "--held-out", "0.2"]
    lengthctl(out, "data", "judge", str(given.texts.resolve()), *truths, *size, "--out", str(out / "data"))


def sft(out: Path, given: argparse.Namespace) -> None:
    """From the untouched model."""
    _train(out, given, "genrm_sft", "sft", f"data.source={out / 'data' / 'sft.jsonl'}", "evaluate.limit=4", *given.sft)


def rl(out: Path, given: argparse.Namespace) -> None:
    """From the tuned one."""
    named = [f"model.name={_run(out, given, 'sft') / 'model'}", f"prompts.source={out / 'data' / 'rl.jsonl'}"]
    _train(out, given, "genrm_rl", "rl", *named, "evaluate.problem_limit=4", *given.rl)


def judge(out: Path, given: argparse.Namespace) -> None:
    """Each judge on the same pairs, in both orders; what was measured is kept."""
    kept = out / f"judge-{given.seed}.json"
    found: dict[str, Any] = json.loads(kept.read_text(encoding="utf-8")) if kept.is_file() else {}
    models = {"untouched": BASE, **{half: str(_run(out, given, half) / "model") for half in ("sft", "rl")}}
    for name, model in models.items():
        if name in found or (name != "untouched" and not Path(model).is_dir()):
            continue
        asked = [f"judge.cache={out / f'verdicts-{name}-{given.seed}.jsonl'}", f"run.seed={given.seed}"]
        pairs = str(out / "data" / "held_out.jsonl")
        found[name] = measured(model, pairs, ["judge.attempts=1", *asked, *given.engine])
        write_json(kept, found)
    for name, row in found.items():
        print(f"{name}: {_told(row)}  by kind: {_told(row['accuracy_by_kind'])}")


def brpo(out: Path, given: argparse.Namespace) -> None:
    """The policy starts untouched."""
    named = [f"judge.model={{name: {_run(out, given, given.judge) / 'model'}}}", f"judge.max_tokens={VERDICT_TOKENS}"]
    _train(out, given, "brpo", "brpo", *named, "evaluate.limit=4", *given.brpo)


def evaluate(out: Path, given: argparse.Namespace) -> None:
    """How often the text after training is the better one by the truth: closer to its length."""
    run, folder = _run(out, given, "brpo"), out / f"evaluation-{given.seed}"
    asked = [f"run.seed={given.seed}", "evaluate.samples=2", "evaluate.max_tokens=256"]
    lengthctl(out, "eval", BASE, str(run), *asked, "--config", "brpo", "--out", str(folder), *given.engine)
    sides = sorted((folder / "samples").glob("*.jsonl"), key=lambda path: run.name in path.name)
    before, after = ({row["id"]: Scored.parse(row) for _, row in read_records(side)} for side in sides)
    pairs = [(one, before[name]) for name, one in after.items() if name in before]
    summary = json.loads((folder / "summary.json").read_text(encoding="utf-8"))
    result = {
        "seed": given.seed,
        "pairs": len(pairs),
        "preferred": _mean([(one.prompt_id, _wins(one, other)) for one, other in pairs]),
        "longer": _mean([(one.prompt_id, float(one.length > other.length)) for one, other in pairs]),
        "sides": {Path(name).name: side["overall"] for name, side in summary["subjects"].items()},
        "differences": summary["differences"],
        "versions": summary["versions"],
    }
    write_json(out / f"brpo-{given.seed}.json", result)
    print(f"preferred after training: {_told(result)}")


def _wins(one: Scored, other: Scored) -> float:
    """1 where it is closer to its target, half where both are as close."""
    mine, theirs = abs(one.relative_deviation), abs(other.relative_deviation)
    return 0.5 if mine == theirs else float(mine < theirs)


def _mean(values: list[tuple[str, float]]) -> dict[str, float]:
    hits = [value for _, value in values]
    low, high = mean_interval(hits, [name for name, _ in values], 0)
    return {"value": sum(hits) / len(hits), "low": low, "high": high, "n": len(hits)}


def _told(row: dict[str, Any]) -> str:
    """Percent with 95 % intervals."""
    found = ((name, value) for name, value in row.items() if isinstance(value, dict) and "value" in value)
    return ", ".join(f"{k} {100 * v['value']:.1f} [{100 * v['low']:.1f}, {100 * v['high']:.1f}]" for k, v in found)


STAGE = dict(zip(STAGES, (data, sft, rl, judge, brpo, evaluate), strict=True))


def _train(out: Path, given: argparse.Namespace, recipe: str, stage: str, *options: str) -> None:
    run = _run(out, given, stage)
    train(out, run, recipe, f"run.dir={out}", f"run.name={run.name}", f"run.seed={given.seed}", *options)


def _run(out: Path, given: argparse.Namespace, stage: str) -> Path:
    return out / f"{stage}-{given.seed}"


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("texts", type=Path, help="instruction data: JSONL, CSV or Parquet")
    parser.add_argument("--seed", type=int, default=42)
    parser.add_argument("--pairs", type=int, default=900, help="pairs for training")
    parser.add_argument("--judge", choices=("sft", "rl"), default="rl", help="which half judges the policy")
    parser.add_argument("--only", nargs="+", choices=STAGES, default=list(STAGES))
    for name in ("sft", "rl", "brpo", "engine"):
        parser.add_argument(f"--{name}", nargs="*", default=[], metavar="KEY=VALUE", help=f"settings of {name}")
    return parser.parse_args()


if __name__ == "__main__":
    main()
