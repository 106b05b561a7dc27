"""Rewards that remember go on with what they knew at the checkpoint."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

pytest.importorskip("transformers", reason="callbacks build on transformers")

from lengthctl.rewards.combine import Combined, Part
from lengthctl.train.checkpoints import last_checkpoint
from lengthctl.train.reward_state import REWARDS_FILE, RewardState, stateful_rewards


class Counting:
    """A user's reward whose value follows from how often it was asked."""

    def __init__(self) -> None:
        self.asked = 0

    def __call__(self, completions: Any, **_: Any) -> list[float]:
        self.asked += 1
        return [float(self.asked)] * len(completions)

    def state_dict(self) -> dict[str, Any]:
        return {"asked": self.asked}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.asked = state["asked"]


def combined() -> Combined:
    return Combined((Part("counting", Counting(), 1.0, "reward"),))


def test_it_is_saved_and_restored(tmp_path: Path) -> None:
    reward = combined()
    reward(["a b"])
    reward(["a b"])
    keep = RewardState(reward)
    assert list(stateful_rewards(reward)) == ["counting"]
    folder = tmp_path / "checkpoint-2"
    folder.mkdir()
    (folder / "trainer_state.json").write_text("{}")
    assert last_checkpoint(tmp_path, {REWARDS_FILE: 0}) is None
    keep.on_save(SimpleNamespace(output_dir=tmp_path), SimpleNamespace(global_step=2, is_world_process_zero=True), None)
    assert last_checkpoint(tmp_path, {REWARDS_FILE: 0}) == folder
    again = combined()
    RewardState(again, folder)
    assert again(["a b"]) == [3.0]


def test_rewards_without_state_need_no_file(tmp_path: Path) -> None:
    plain = Combined((Part("plain", lambda completions, **_: [1.0] * len(completions), 1.0, "reward"),))
    assert not stateful_rewards(plain)


def test_the_newest_whole_checkpoint_counts(tmp_path: Path) -> None:
    for step, names in (
        (8, ["trainer_state.json"]),
        (10, ["trainer_state.json", "tail"]),
        (12, ["trainer_state.json"]),
    ):
        (tmp_path / f"checkpoint-{step}").mkdir()
        for name in names:
            (tmp_path / f"checkpoint-{step}" / name).touch()
    (tmp_path / "checkpoint-20").mkdir()
    assert last_checkpoint(tmp_path) == tmp_path / "checkpoint-12"
    assert last_checkpoint(tmp_path, {"tail": 9}) == tmp_path / "checkpoint-10"
    assert last_checkpoint(tmp_path, {"tail": 11}) == tmp_path / "checkpoint-10"
    assert last_checkpoint(tmp_path, {"other": 9}) == tmp_path / "checkpoint-8"


def test_an_interrupted_step_is_learned_once(tmp_path: Path) -> None:
    reward = combined()
    keep = RewardState(reward)
    folder = tmp_path / "checkpoint-1"
    folder.mkdir()
    args, state = SimpleNamespace(output_dir=tmp_path), SimpleNamespace(global_step=1, is_world_process_zero=True)
    for _ in range(2):  # the second step is interrupted after its reward, before its update
        keep.on_step_begin(args, state, None)
        reward(["a b"])
        if reward.parts[0].reward.asked == 1:  # type: ignore[attr-defined]
            keep.on_step_end(args, state, None)
    keep.on_save(args, state, None)
    resumed = combined()
    RewardState(resumed, folder)
    assert resumed.parts[0].reward.asked == 1  # type: ignore[attr-defined]
