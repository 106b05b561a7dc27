"""A step's rows become metrics and records: own draw and resampled ones, groups, advantages, what rewards told."""

from __future__ import annotations

import json
from collections import defaultdict
from pathlib import Path
from typing import Any

from lengthctl.length import Target, Unit
from lengthctl.records import Completion, FinishReason
from lengthctl.train.rollout_log import RolloutLog
from lengthctl.train.step_log import StepLog


def completion(words: int) -> Completion:
    ids = tuple(range(words))
    return Completion(
        request_id="1",
        token_ids=ids,
        logprobs=(-1.0,) * words,
        text=" ".join("w" for _ in ids),
        finish=FinishReason.EOS,
        engine="none",
        weight_version=1,
    )


def rows(count: int) -> list[dict[str, Any]]:
    target = Target(10, unit=Unit.WORDS).to_row()
    return [{"prompt": "p", "prompt_id": str(place), "target": target, "level": "short"} for place in range(count)]


def test_rows_are_recorded_with_what_became_of_them(tmp_path: Path) -> None:
    log, metrics = StepLog(None, RolloutLog(tmp_path / "rollouts.jsonl")), defaultdict[str, list[float]](list)
    log.add(
        rows(4),
        [completion(10)] * 4,
        [0.0, 1.0, None, 0.5],
        [True, False, None, True],
        {"reward_parts/a": [1, 2, 3, 4]},
    )
    log.add(rows(2), [completion(2)] * 2, [0.25, 0.75])
    assert len(log) == 6
    log.write(metrics, own=4, group_size=2, step=3, advantages={0: -0.5, 1: 0.5, 5: 0.25})
    found = [json.loads(line) for line in (tmp_path / "rollouts.jsonl").read_text().splitlines()]
    assert [row["step"] for row in found] == [3] * 6
    assert [row["group"] for row in found] == [0, 0, 1, 1, 2, 2]
    assert [row["reward"] for row in found] == [0.0, 1.0, None, 0.5, 0.25, 0.75]
    assert [row["advantage"] for row in found] == [-0.5, 0.5, None, None, None, 0.25]
    assert [row["is_resampled"] for row in found] == [False] * 4 + [True] * 2
    assert [row["is_correct"] for row in found] == [True, False, None, True, None, None]
    assert found[3]["parts"] == {"a": 4}
    assert metrics["adherence/words/mean_length"] == [10.0]  # of the step's own draw
    assert len(log) == 0


def test_an_evaluation_is_measured_and_not_recorded(tmp_path: Path) -> None:
    log, metrics = StepLog(None, RolloutLog(tmp_path / "rollouts.jsonl")), defaultdict[str, list[float]](list)
    log.add(rows(1), [completion(5)], [0.5])
    log.write(metrics, own=1, group_size=1, step=None, advantages={})
    assert metrics["adherence/words/mean_length"] == [5.0]
    path = tmp_path / "rollouts.jsonl"
    assert not path.exists() or not path.read_text()
