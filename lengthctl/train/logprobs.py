"""Logprob and entropy of chosen tokens, without the fp32 copies of the logits that plain autograd keeps.

Over N tokens and V words of the vocabulary, `log_softmax` and `gather` hold three (N, V) tensors in fp32 besides the
logits. Here the logits are kept in their own precision, and both passes work on slices that stay in the cache.
"""

from __future__ import annotations

from typing import Any

import torch

__all__ = ["token_logprobs"]

_SLICE_ROWS = 32


def token_logprobs(
    logits: torch.Tensor, targets: torch.Tensor, temperature: float = 1.0
) -> tuple[torch.Tensor, torch.Tensor]:
    """Logprob of each target and entropy of each distribution, in nats and fp32.

    Args:
        logits: (N, V), any floating precision; statistics are computed in fp32.
        targets: (N,) token ids.
        temperature: the logits are divided by it.

    Returns:
        (N,) logprobs, differentiable, and (N,) entropies, which carry no gradient.
    """
    logps, entropies = _TokenLogprobs.apply(logits, targets, temperature)
    return logps, entropies


class _TokenLogprobs(torch.autograd.Function):  # type: ignore[misc]  # torch is skipped by mypy here
    @staticmethod
    def forward(
        ctx: Any, logits: torch.Tensor, targets: torch.Tensor, temperature: float
    ) -> tuple[torch.Tensor, torch.Tensor]:
        log_z, entropies = (torch.empty(len(targets), device=logits.device) for _ in range(2))
        for rows in _slices(len(targets)):
            scaled = _copy(logits[rows]).div_(temperature)
            log_z[rows] = torch.logsumexp(scaled, dim=-1)
            probabilities = torch.exp(scaled - log_z[rows, None])
            # a word masked to -inf has probability 0 and adds nothing
            entropies[rows] = log_z[rows] - (probabilities * scaled.clamp_min(torch.finfo(torch.float32).min)).sum(-1)
        chosen = logits.gather(1, targets[:, None]).squeeze(1).float().div(temperature)
        ctx.save_for_backward(logits, targets, log_z)
        ctx.temperature = temperature
        ctx.mark_non_differentiable(entropies)
        return chosen - log_z, entropies

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[torch.Tensor, None, None]:
        logits, targets, log_z = ctx.saved_tensors
        gradient = gradients[0].float() / ctx.temperature
        out = torch.empty_like(logits)
        for rows in _slices(len(targets)):
            part = _copy(logits[rows]).div_(ctx.temperature).sub_(log_z[rows, None]).exp_().mul_(-gradient[rows, None])
            part.scatter_add_(1, targets[rows, None], gradient[rows, None])
            out[rows] = part.to(out.dtype)
        return out, None, None


def _copy(part: torch.Tensor) -> torch.Tensor:
    return part.to(torch.float32, copy=True)  # the caller changes it in place


def _slices(count: int) -> list[slice]:
    return [slice(start, start + _SLICE_ROWS) for start in range(0, count, _SLICE_ROWS)]
