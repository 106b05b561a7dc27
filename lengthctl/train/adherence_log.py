"""How the completions of one step kept their targets, as numbers for the log."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from lengthctl.evaluate.metrics import adherence, reward_correlation
from lengthctl.length import Target
from lengthctl.records import Completion, FinishReason
from lengthctl.scoring import score_text

__all__ = ["TrainedRow", "step_adherence"]

TrainedRow = tuple[Any, Mapping[str, Any] | None, Completion, float | None]
"""Prompt id, target (`Target.to_row`), completion, reward (None: it does not count)."""


def step_adherence(rows: Sequence[TrainedRow], tokenizer: Any) -> dict[str, float]:
    """`adherence/...` metrics over the rows that have a target and did not fail; empty without such rows.

    Args:
        rows: of one step, all processes together.
        tokenizer: counts where a target is in tokens.
    """
    scored, rewards = [], []
    for place, (prompt_id, target, completion, reward) in enumerate(rows):
        if not target or completion.finish is FinishReason.ERROR:
            continue
        rewards.append(reward)
        scored.append(
            score_text(
                completion.text,
                Target.parse(target),
                prompt_id=str(place if prompt_id is None else prompt_id),
                tokens=len(completion.token_ids),
                is_truncated=completion.is_truncated,
                tokenizer=tokenizer,
            )
        )
    if not scored:
        return {}
    correlation = reward_correlation(scored, rewards)
    told = {} if correlation is None else {"adherence/reward_correlation": correlation}
    return {**told, **adherence(scored)}
