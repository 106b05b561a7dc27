"""The files that a training run leaves for the report's part about learning, made up."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

from lengthctl.length import Target

HOSTILE = "<script>alert(1)</script> \x1b[31m \u202e"


def learning_records(steps: int = 40, *, gamed: bool = False) -> list[dict[str, Any]]:
    """`metrics.jsonl` of a run whose lengths come closer to two targets; `gamed`: by repetition."""
    draw = random.Random(0)
    records: list[dict[str, Any]] = []
    for step in range(1, steps + 1):
        done = step / steps
        spread = 1 - 0.5 * done
        records.append(
            {
                "schema": 1,
                "step": step,
                "split": "train",
                "reward": 0.2 + 0.6 * done + draw.gauss(0, 0.02),
                "reward_parts/length": 0.1 + 0.7 * done,
                "reward_parts/length_std": 0.2,
                "reward_parts/style": 0.5,
                "completions/mean_length": 200 - 100 * done,
                "tokens/correct": 150 - 60 * done,
                "tokens/wrong": 250 - 120 * done,
                "answers/correct_fraction": 0.3 + 0.1 * done,
                "adherence/words/mean_abs_relative_deviation": 0.8 - 0.6 * done,
                "adherence/words/target_10/mean_abs_relative_deviation": 0.9 - 0.6 * done,
                "adherence/words/target_80/mean_abs_relative_deviation": 0.7 - 0.6 * done,
                **{f"advantages/p{p}": spread * (p - 50) / 25 for p in (5, 25, 50, 75, 95)},
                "advantages/zero_fraction": 0.1,
                "groups/silent_fraction": 0.4 * done,
                "groups/target_10/silent_fraction": 0.5 * done,
                "entropy": 2 - done,
                "kl": 0.1 * done,
                "text/repetition": 0.02 + (0.5 * done if gamed else 0.0),
            }
        )
        if step % 10 == 0:
            records.append({"schema": 1, "step": step, "split": "eval", "reward": 0.5 * done})
    return records


def rollout_records(steps: int = 8, groups: int = 3, size: int = 4) -> list[dict[str, Any]]:
    """`samples/rollouts.jsonl`: in each step, the last group's rewards differ most, and the first is not trained."""
    return [
        {
            "schema": 1,
            "step": step,
            "group": group,
            "prompt_id": f"p{group}",
            "prompt": [{"role": "user", "content": f"Write about {group}. {HOSTILE}"}],
            "target": Target(10).to_row(),
            "level": None,
            "text": f"member {member} of group {group}. {HOSTILE}",
            "token_ids": list(range(5 + 10 * member)),
            "logprobs": [],
            "finish": "limit" if member == 3 else "eos",
            "reward": None if (group, member) == (1, 3) else group * (size - member) / 10,
            "parts": {"length": group * (size - member) / 10, HOSTILE: None},
            "advantage": None if group == 0 else 1.0 - member,
            "is_trained": group > 0,
            "is_resampled": False,
            "is_correct": None if member == 2 else member == 0,
        }
        for step in range(1, steps + 1)
        for group in range(groups)
        for member in range(size)
    ]


def write_learning(folder: Path, *, gamed: bool = False) -> None:
    """Both files, in a run folder."""
    (folder / "samples").mkdir(exist_ok=True, parents=True)
    for path, records in (
        (folder / "metrics.jsonl", learning_records(gamed=gamed)),
        (folder / "samples" / "rollouts.jsonl", rollout_records()),
    ):
        path.write_text("".join(json.dumps(record) + "\n" for record in records))
