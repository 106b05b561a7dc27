"""README's table of accuracy and tokens, and a file in docs/results, from evaluations on problems with several seeds.

Command: python scripts/problems_table.py OUT.json EVALUATION_FOLDER... [--share TITLE OTHER]
A folder is one that the stage `eval` of `surrogate_stages.py` or `tldr_stages.py` wrote; its first side is the start.
Runs that are named by their seeds, `surrogate-1` and `surrogate-2`, may stand in one folder too.
The answers of all seeds are pooled; intervals are over problems, differences from the start paired by problem.
`--share`: which part of OTHER's gain in accuracy by the last number TITLE has.
"""

from __future__ import annotations

import argparse
import json
import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from statistics import mean
from typing import Any

import numpy as np
from pooled import seed_of

from lengthctl.config import Config
from lengthctl.evaluate.bootstrap import interval, resampled
from lengthctl.pipelines.problem_bench import Answered, read_answers
from lengthctl.pipelines.problem_prompts import PLAIN, evaluation_problems
from lengthctl.pipelines.problem_results import compare_answers, summarise_answers
from lengthctl.rundir import write_json

KEPT = ("accuracy", "accuracy_last_number", "format", "mean_total_tokens", "truncation")
Sides = dict[str, list[Answered]]


def main() -> None:
    given = _arguments()
    sides: Sides = {}
    by_seed: dict[str, dict[str, Any]] = {}
    versions: dict[str, Any] = {}
    counted: Counter[str] = Counter()
    for folder in given.folders:
        summary = json.loads((folder / "summary.json").read_text(encoding="utf-8"))
        versions = summary["versions"]
        for name, answers in _answers(folder, summary).items():
            title = _title(name)
            number = counted[title] = counted[title] + 1
            sides.setdefault(title, []).extend(_of_seed(answers, number))
            seeds = by_seed.setdefault(title, {})
            seeds[seed_of(name, summary, seeds)] = _short(summarise_answers(answers, 0)["overall"])
    first = next(iter(sides))
    found: dict[str, Any] = {}
    for title, answers in sides.items():
        found[title] = _short(summarise_answers(answers, 0)["overall"])
        if title != first:
            found[title]["change"] = _short(compare_answers(sides[first], answers, 0))
    result = {"versions": versions, "sides": found, "by_seed": by_seed}
    if given.share:
        result["share"] = {"of": given.share, **_share(sides[first], *(sides[title] for title in given.share))}
    write_json(given.out, result)
    _print(result)


def _answers(folder: Path, summary: Mapping[str, Any]) -> Sides:
    config = Config.model_validate(summary["config"])
    problems = evaluation_problems(config)
    files = {name: folder / "problems" / Path(side["samples"]).name for name, side in summary["subjects"].items()}
    return {name: read_answers(config, problems, [PLAIN], file) for name, file in files.items()}


def _of_seed(answers: list[Answered], number: int) -> list[Answered]:
    """Their samples numbered apart from those of other seeds."""
    numbered = []
    for one in answers:
        sample = 1000 * number + one.attempt.sample
        attempts = (replace(attempt, sample=sample) for attempt in (one.attempt, one.by_last_number))
        numbered.append(Answered(*attempts, one.label))
    return numbered


def _title(name: str) -> str:
    """What a side is called, whatever its seed: its run and how it was asked."""
    path, _, control = name.partition("@")
    run = Path(path).parent.name if Path(path).name == "model" else Path(path).name
    level = re.search(r"name=(\w+)", control)
    return re.sub(r"-\d+$", "", run) + (f", told {level[1]}" if level else "")


def _short(level: Mapping[str, Any]) -> dict[str, Any]:
    return {key: level[key] for key in KEPT if key in level}


def _share(start: list[Answered], one: list[Answered], other: list[Answered]) -> dict[str, float]:
    """Of gains, with a 95 % interval over problems."""
    means = [_by_problem(side) for side in (start, one, other)]
    problems = sorted(set.intersection(*(set(side) for side in means)))
    base, ours, theirs = (np.array([side[name] for name in problems]) for side in means)
    weights = resampled(len(problems), 0)
    low, high = interval((weights @ (ours - base)) / (weights @ (theirs - base)))
    return {"value": float((ours - base).sum() / (theirs - base).sum()), "low": low, "high": high, "n": len(problems)}


def _by_problem(answers: list[Answered]) -> dict[str, float]:
    found: dict[str, list[float]] = {}
    for one in answers:
        found.setdefault(one.attempt.problem_id, []).append(float(one.by_last_number.is_correct))
    return {name: mean(values) for name, values in found.items()}


def _print(result: Mapping[str, Any]) -> None:
    head = ["", "right, marked %", "right, last number %", "change", "marked %", "tokens"]
    print("| " + " | ".join(head) + " |\n|" + " --- |" * len(head))
    for title, side in result["sides"].items():
        change = side.get("change")
        told = [_cell(side["accuracy"]), _cell(side["accuracy_last_number"])]
        told += ["" if change is None else _cell(change["accuracy_last_number"], sign="+"), _cell(side["format"])]
        print("| " + " | ".join([title, *told, _cell(side["mean_total_tokens"], scale=1)]) + " |")
    for title, seeds in result["by_seed"].items():
        print(f"{title}: " + ", ".join(f"{100 * row['accuracy_last_number']['value']:.1f}" for row in seeds.values()))
    if "share" in result:
        print(f"share: {_cell(result['share'])} %")


def _cell(metric: Mapping[str, float], *, sign: str = "", scale: float = 100) -> str:
    value, low, high = (f"{scale * metric[key]:{sign}.1f}" for key in ("value", "low", "high"))
    return f"{value} [{low}, {high}]"


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("folders", type=Path, nargs="+")
    parser.add_argument("--share", nargs=2, metavar=("TITLE", "OTHER"))
    return parser.parse_args()


if __name__ == "__main__":
    main()
