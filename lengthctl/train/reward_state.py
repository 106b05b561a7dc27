"""What rewards remember over a run, kept beside each checkpoint."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from transformers import TrainerCallback

from lengthctl.rewards.combine import Combined
from lengthctl.rundir import write_json

__all__ = ["REWARDS_FILE", "RewardState", "stateful_rewards"]

REWARDS_FILE = "rewards.json"


def stateful_rewards(reward: Combined) -> dict[str, Any]:
    """By name, what remembers: rewards with memory, and multipliers of constraints."""
    return reward.stateful()


class RewardState(TrainerCallback):  # type: ignore[misc]  # transformers is untyped here
    """Saves and restores the stateful rewards of a run. With several trainer processes the first one's state is kept.

    Args:
        reward: of the run.
        checkpoint: a resumed run's.
    """

    def __init__(self, reward: Combined, checkpoint: Path | None = None) -> None:
        self._stateful = stateful_rewards(reward)
        if self._stateful and checkpoint is not None:
            saved = json.loads((checkpoint / REWARDS_FILE).read_text(encoding="utf-8"))
            for name, part in self._stateful.items():
                part.load_state_dict(saved[name])
        self._kept: dict[str, Any] | None = None

    def on_step_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """What an interrupted step learns is not kept: a resumed run does that step again."""
        self._kept = self._states()

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """The step is done."""
        self._kept = self._states()

    def _states(self) -> dict[str, Any]:
        return {name: part.state_dict() for name, part in self._stateful.items()}

    def on_save(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Write it beside the checkpoint."""
        if self._stateful and state.is_world_process_zero:
            folder = Path(args.output_dir) / f"checkpoint-{state.global_step}"
            write_json(folder / REWARDS_FILE, self._states() if self._kept is None else self._kept)
