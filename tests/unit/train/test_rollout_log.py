"""Records of training completions: what they hold, and what a user's reward may tell without stopping the run."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from lengthctl.length import Target
from lengthctl.records import Completion, FinishReason
from lengthctl.train.rollout_log import RolloutLog
from lengthctl.train.step_row import StepRow

COMPLETION = Completion("1", "two words", (5, 6, 2), (-1.0, -0.5, -0.123456), FinishReason.EOS, 4, "engine 0")


def written(path: Path, row: StepRow) -> dict[str, Any]:
    RolloutLog(path).write(7, [row])
    (line,) = path.read_text().splitlines()
    record: dict[str, Any] = json.loads(line)
    return record


def test_a_record_holds_what_was_asked_earned_and_moved(tmp_path: Path) -> None:
    row = StepRow(
        COMPLETION,
        0.5,
        group=3,
        prompt_id="p9",
        prompt=[{"role": "user", "content": "Write."}],
        target=Target(2).to_row(),
        level="short",
        is_correct=True,
        columns={"reward_parts/length": 0.25, "reward_parts/style": None, "pairs": [{"won": True}]},
        advantage=-0.5,
    )
    record = written(tmp_path / "a.jsonl", row)
    assert (record["step"], record["group"], record["prompt_id"], record["level"]) == (7, 3, "p9", "short")
    assert record["prompt"] == [{"role": "user", "content": "Write."}]
    assert Target.parse(record["target"]) == Target(2)
    assert (record["text"], record["token_ids"], record["finish"]) == ("two words", [5, 6, 2], "eos")
    assert (record["reward"], record["advantage"]) == (0.5, -0.5)
    assert record["parts"] == {"length": 0.25, "style": None}
    assert record["told"] == {"pairs": [{"won": True}]}
    assert (record["is_trained"], record["is_resampled"], record["is_correct"]) == (True, False, True)


def test_what_was_dropped_says_so(tmp_path: Path) -> None:
    record = written(tmp_path / "a.jsonl", StepRow(COMPLETION, None, group=0))
    assert (record["is_trained"], record["advantage"], record["reward"]) == (False, None, None)
    assert record["parts"] == {}
    assert "told" not in record


def test_what_json_cannot_hold_is_printed(tmp_path: Path) -> None:
    columns = {
        "object": object(),
        "nan": float("nan"),
        "set": {1},
        "reward_parts/odd": "text",
        "long": {2: {*range(999)}},
    }
    record = written(tmp_path / "a.jsonl", StepRow(COMPLETION, 1.0, group=0, columns=columns))
    assert record["told"]["nan"] == "nan"
    assert record["told"]["set"] == "{1}"
    assert record["told"]["object"].startswith("<object object")
    assert len(record["told"]["long"]) == 200
    assert record["parts"] == {"odd": None}
