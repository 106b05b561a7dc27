"""How the completions of one step kept their targets, as numbers for the log."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from lengthctl.evaluate.metrics import adherence, reward_correlation
from lengthctl.length import Target
from lengthctl.scoring import score_text
from lengthctl.train.step_row import StepRow

__all__ = ["step_adherence"]


def step_adherence(rows: Sequence[StepRow], tokenizer: Any) -> dict[str, float]:
    """`adherence/...` metrics over the rows that have a target and did not fail; empty without such rows.

    Args:
        rows: of one step, all processes together.
        tokenizer: counts where a target is in tokens.
    """
    scored, rewards = [], []
    for place, row in enumerate(rows):
        if not row.target or row.is_failed:
            continue
        rewards.append(row.reward)
        scored.append(
            score_text(
                row.completion.text,
                Target.parse(row.target),
                prompt_id=str(place if row.prompt_id is None else row.prompt_id),
                tokens=len(row.completion.token_ids),
                is_truncated=row.completion.is_truncated,
                tokenizer=tokenizer,
            )
        )
    if not scored:
        return {}
    correlation = reward_correlation(scored, rewards)
    told = {} if correlation is None else {"adherence/reward_correlation": correlation}
    return {**told, **adherence(scored)}
