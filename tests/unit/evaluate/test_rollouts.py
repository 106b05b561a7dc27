"""Recorded completions of training: the last steps, one group, older and torn files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from learning_run import rollout_records, write_learning

from lengthctl.errors import DataError
from lengthctl.evaluate import rollouts
from lengthctl.evaluate.rollouts import ROLLOUTS, last_rollouts, read_group, telling_group


@pytest.fixture
def run(tmp_path: Path) -> Path:
    write_learning(tmp_path)
    return tmp_path


def test_the_last_steps_in_their_order(run: Path) -> None:
    rows = last_rollouts(run, 2)
    assert [(row.step, row.group) for row in rows[::4]] == [(7, 0), (7, 1), (7, 2), (8, 0), (8, 1), (8, 2)]
    first = rows[0]
    assert (first.tokens, first.target, first.is_trained, first.is_correct) == (5, "10 words", False, True)
    assert first.prompt.startswith("Write about 0.")
    assert rows[3].is_truncated


def test_of_a_long_file_only_the_end_is_read(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    line = len((run / ROLLOUTS).read_bytes()) // 96
    monkeypatch.setattr(rollouts, "_TAIL_BYTES", 30 * line)
    assert {row.step for row in last_rollouts(run, 9)} == {7, 8}  # of step 6 some lines are missing
    monkeypatch.setattr(rollouts, "_TAIL_BYTES", 5 * line)
    assert {row.step for row in last_rollouts(run, 9)} == {8}  # better a part of a step than nothing


def test_a_torn_or_odd_line_is_passed_over(run: Path) -> None:
    odd: list[Any] = [[], 3, {"step": 9}, {"step": "9", "group": 0, "text": ""}, {"step": 9, "group": 0, "text": None}]
    with (run / ROLLOUTS).open("a") as file:
        file.write("".join(json.dumps(line) + "\n" for line in odd) + '{"step": 9, "gro')
    assert {row.step for row in last_rollouts(run, 1)} == {8}


@pytest.mark.parametrize(
    "change",
    [{"reward": "high"}, {"advantage": float("nan")}, {"parts": 3}, {"target": {"value": 0}}, {"prompt": {"a": 1}}],
)
def test_a_field_of_another_type_is_empty(run: Path, change: dict[str, Any]) -> None:
    (run / ROLLOUTS).write_text(json.dumps({**rollout_records()[0], **change}) + "\n")
    (row,) = last_rollouts(run, 1)
    assert (row.text, row.group) == (rollout_records()[0]["text"], 0)


def test_a_run_without_records_or_of_an_older_version(tmp_path: Path) -> None:
    assert last_rollouts(tmp_path, 3) == []
    with pytest.raises(DataError, match=r"rollouts\.jsonl does not exist.*train\.method = grpo"):
        read_group(tmp_path, None, None)
    write_learning(tmp_path)
    (tmp_path / ROLLOUTS).write_text('{"step": 1, "text": "without a group", "reward": 0.5}\n')
    assert last_rollouts(tmp_path, 3) == []
    with pytest.raises(DataError, match="holds no groups"):
        read_group(tmp_path, None, None)


def test_one_group_by_its_step_and_number(run: Path) -> None:
    rows = read_group(run, 3, 1)
    assert [(row.step, row.group) for row in rows] == [(3, 1)] * 4
    assert [row.reward for row in rows] == pytest.approx([0.4, 0.3, 0.2, None])


def test_the_group_that_tells_most_comes_unasked(run: Path) -> None:
    assert {(row.step, row.group) for row in read_group(run, None, None)} == {(8, 2)}
    assert {(row.step, row.group) for row in read_group(run, 4, None)} == {(4, 2)}
    assert telling_group([]) == []
    dropped = [row for row in last_rollouts(run, 1) if row.group == 0]
    assert telling_group(dropped) == dropped  # nothing was trained, so one that was not is shown


def test_what_is_not_there_is_named(run: Path) -> None:
    with pytest.raises(DataError, match=r"no group 7.*from 0 to 2"):
        read_group(run, 3, 7)
    with pytest.raises(DataError, match="no groups of step 99"):
        read_group(run, 99, None)
