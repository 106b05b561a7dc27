"""Reward-aware stop: end a completion whose reward can no longer change, and count what that saves.

Every reward stays what it was (tested). The loss is not quite the same: the tokens after the stop drop out of its sum,
where their expected gradient is zero, and a loss that divides by tokens divides by fewer. Both are logged, and with
`measure` they are computed on whole completions without stopping any. Ours.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from lengthctl.length import Target
from lengthctl.records import Completion, FinishReason

__all__ = ["StopPolicy", "stop_effect"]


@dataclass(frozen=True)
class StopPolicy:
    """When a running completion is over.

    Args:
        is_spent: whether nothing that the text goes on with can change its reward.
        only_measure: note where it would be stopped, and let it run.
    """

    is_spent: Callable[[str, Target], bool]
    only_measure: bool = False


def stop_effect(completions: Sequence[Completion]) -> dict[str, float]:
    """What stopping did, or would have done, to one batch.

    Returns:
        `stopped_fraction` of the completions; of whole completions also `saved_token_fraction` (generated tokens that
        a stop spares) and `normaliser_ratio` (tokens that a token-mean loss divides by, with the stop over without).
    """
    marked = [c for c in completions if c.stopped_at is not None]
    out = {"stopped_fraction": len(marked) / len(completions) if completions else 0.0}
    whole = sum(len(c.token_ids) for c in completions)
    if whole and not any(c.finish is FinishReason.REWARD_CEILING for c in completions):
        saved = sum(len(c.token_ids) - c.stopped_at for c in marked if c.stopped_at is not None)
        out["saved_token_fraction"] = saved / whole
        out["normaliser_ratio"] = (whole - saved) / whole
    return out
