"""The correction for the engine's numerics: trainer over sampler probability, clipped as TRL's options say. Pure."""

from __future__ import annotations

import math

import torch

__all__ = ["importance_ratio"]


def importance_ratio(
    trainer_logps_BT: torch.Tensor,
    sampler_logps_BT: torch.Tensor,
    mask_BT: torch.Tensor,
    *,
    mode: str,
    low: float | None,
    high: float | None,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Weights of the loss.

    Args:
        trainer_logps_BT, sampler_logps_BT: of the same tokens, padded on the right; NaN where the sampler told none.
        mask_BT: 1 where there is a token.
        mode: `vllm_importance_sampling_mode` of TRL 1.16: `token` or `sequence`, `truncate` (to the clips) or `mask`
            (0 outside them). A product over a whole sequence leaves the clips sooner the longer it is, which biases
            length; a ratio a token does not.
        low, high: the clips; None leaves that side open.

    Returns:
        The clipped ratio, (B, T) or (B, 1) by the mode, and the unclipped ones that count, flat.
    """
    level, action = mode.split("_")
    high = math.inf if high is None else high
    gap = torch.nan_to_num((trainer_logps_BT - sampler_logps_BT) * mask_BT, nan=0.0)
    ratio = torch.exp(gap.sum(dim=-1, keepdim=True) if level == "sequence" else gap)
    if action == "truncate":
        clipped = torch.clamp(ratio, min=low, max=high)
    else:
        outside = (ratio > high) | (ratio < (0.0 if low is None else low))
        clipped = ratio.masked_fill(outside, 0.0)
    return clipped, ratio[mask_BT.bool()] if level == "token" else ratio.flatten()
