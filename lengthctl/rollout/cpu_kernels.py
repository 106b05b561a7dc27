"""vLLM's fused RMS norms on a CPU: its CPU build has the kernels but serves its GPU platforms alone (vLLM 0.31).

Without them a norm is eight small torch operations, and an engine runs two a layer and step: 42 to 64 us a norm against
4 to 8 us for 1 to 32 sequences (hidden size 576, two AVX512 cores).
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

__all__ = ["FUSED_NORMS", "register_fused_norms"]

_PROVIDER = "lengthctl_cpu"

FUSED_NORMS = {"rms_norm": [_PROVIDER], "fused_add_rms_norm": [_PROVIDER]}
"""`ir_op_priority` of an engine that takes them; arguments that they do not serve go to vLLM's own."""


def register_fused_norms() -> bool:
    """Offer the kernels to vLLM in this process; call before the engine is built. False: this build has none."""
    from vllm import ir
    from vllm.platforms import current_platform

    current_platform.import_kernels()
    kernels: Any = torch.ops._C
    if not (hasattr(kernels, "rms_norm") and hasattr(kernels, "fused_add_rms_norm")):
        return False
    ir.ops.rms_norm.register_impl(_PROVIDER, supports_args=_serves)(_rms_norm)
    ir.ops.fused_add_rms_norm.register_impl(_PROVIDER, supports_args=_serves_sum, inplace=True)(_fused_add_rms_norm)
    return True


def _rms_norm(x: Tensor, weight: Tensor | None, epsilon: float, variance_size: int | None = None) -> Tensor:
    out = torch.empty_like(x)
    torch.ops._C.rms_norm(out, x, weight, epsilon)
    return out


def _fused_add_rms_norm(
    x: Tensor, x_residual: Tensor, weight: Tensor | None, epsilon: float, variance_size: int | None = None
) -> tuple[Tensor, Tensor]:
    torch.ops._C.fused_add_rms_norm(x, x_residual, weight, epsilon)
    return x, x_residual


def _serves(x: Tensor, weight: Tensor | None, epsilon: float, variance_size: int | None = None) -> bool:
    fits = variance_size is None and weight is not None and weight.dtype == x.dtype
    return fits and x.is_contiguous()


def _serves_sum(
    x: Tensor, x_residual: Tensor, weight: Tensor | None, epsilon: float, variance_size: int | None = None
) -> bool:
    return _serves(x, weight, epsilon, variance_size) and x_residual.is_contiguous()
