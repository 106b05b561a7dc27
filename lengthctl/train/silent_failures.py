"""What makes a run learn nothing without an error: named two steps after it began, with what to do."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from transformers import TrainerCallback

if TYPE_CHECKING:
    from lengthctl.progress import Narrator

__all__ = ["SilentFailures"]

_STEPS = 2
_TRUNCATED = 0.95
_FLAT = 0.8
"""Share of groups without spread of rewards: some are to be expected once lengths are kept."""
_AGAINST = -0.1
"""Correlation of reward and adherence below which the reward pulls the wrong way."""
_FEW_GROUPS = 0.1
"""Share of groups that a filter keeps."""
_RATIO = (0.5, 2.0)
"""Median of trainer over sampler probability, of tokens or whole sequences: lower precision stays well inside."""


class SilentFailures(TrainerCallback):  # type: ignore[misc]  # transformers is untyped here
    """Warns once a cause, at the second step in a row for which it holds."""

    def __init__(self, narrator: Narrator) -> None:
        self._narrator = narrator
        self._streak: dict[str, int] = {}

    def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, Any] | None = None, **_: Any) -> None:
        """Look at the numbers of one step."""
        if not logs or "reward" not in logs:
            return
        for cause, holds in _causes(logs).items():
            self._streak[cause] = self._streak.get(cause, 0) + 1 if holds else 0
            if self._streak[cause] == _STEPS:
                self._narrator.say(f"warning, step {state.global_step}: {cause}")


def _is_number(value: float | None) -> bool:
    """TRL (1.16) logs None where a mean had no value."""
    return value is not None and math.isfinite(value)


def _causes(logs: Mapping[str, float | None]) -> dict[str, bool]:
    told = {name: value for name, value in logs.items() if value is not None}
    return {
        "in nearly every group all rewards are equal, so next to nothing is learned; raise trainer.temperature or "
        "trainer.num_generations, or take a reward that still falls far from the target (log_ratio)": told.get(
            "frac_reward_zero_std", 0
        )
        >= _FLAT,
        "nearly every completion is cut by the limit; raise trainer.max_completion_length": told.get(
            "completions/clipped_ratio", 0
        )
        >= _TRUNCATED,
        "the gradient is zero; check the rewards and the learning rate": told.get("grad_norm", 1) == 0,
        "the reward or the loss is not a number, so this step trains nothing; lower trainer.learning_rate, and go on "
        "from an earlier checkpoint": not all(
            _is_number(logs.get(key, 0.0)) for key in ("reward", "loss", "grad_norm")
        ),
        "the reward falls as lengths come closer to their targets; check the sign of its weight": told.get(
            "adherence/reward_correlation", 1
        )
        < _AGAINST,
        "the filter keeps next to no group, so a step learns from a few completions; set "
        "train.advantage.resample_rounds, or take prompts that are neither always nor never answered well": told.get(
            "groups/kept_fraction", 1
        )
        <= _FEW_GROUPS,
        "no answer was right, so rewards for right answers teach nothing; take easier prompts, or check that the "
        "prompt says how to mark an answer": told.get("answers/correct_fraction", 1) == 0,
        "engines and trainer give the same token other probabilities, so the correction clips most of what is learned; "
        "check that both load the same weights, template and precision": not _RATIO[0]
        <= told.get("sampling/importance_sampling_ratio/p50", 1)
        <= _RATIO[1],
        "no weight has changed in the engines' precision, so the updates are lost in rounding; raise "
        "trainer.learning_rate": told.get("weights/changed_fraction", 1) == 0,
    }
