"""The trainer's weights, whole and under their checkpoint names, from however many processes hold them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lengthctl.errors import WeightSyncError
from lengthctl.rollout.weights import checkpoint_state
from lengthctl.train.ranks import is_main

if TYPE_CHECKING:
    import torch

__all__ = ["trained_state"]

_SHARDED = ("FSDP", "DEEPSPEED")


def trained_state(trainer: Any, device: str | None = "cpu") -> dict[str, torch.Tensor] | None:
    """`checkpoint_state` of the trained model in the first process, None in the others; every process calls it. In
    bf16: what engines run in, and what leaves a run; `device` None leaves them where they are.

    Where the weights are sharded (FSDP, ZeRO-3) accelerate gathers them.

    Raises:
        WeightSyncError: LoRA weights are sharded, which cannot be merged piecewise.
    """
    import torch

    model = trainer.accelerator.unwrap_model(trainer.model)
    if trainer.accelerator.distributed_type not in _SHARDED:
        return checkpoint_state(model, torch.bfloat16, device=device) if is_main() else None
    if hasattr(model, "peft_config"):
        raise WeightSyncError("LoRA weights that are sharded over processes cannot be merged", "Train LoRA under DDP")
    gathered = trainer.accelerator.get_state_dict(trainer.model_wrapped)
    return checkpoint_state(model, torch.bfloat16, gathered, device) if is_main() else None
