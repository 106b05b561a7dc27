"""The mean of the weights after each of the last steps: lengths that swing around their targets settle between.

Tail averaging (Polyak and Juditsky, SIAM J. Control Optim. 30, 1992; for networks arXiv 1803.05407). Rollouts and
checkpoints keep the weights of the step; only what leaves the run is averaged.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from transformers import TrainerCallback

__all__ = ["TAIL_FILE", "TailAverage", "first_averaged_step"]

TAIL_FILE = "tail_average.safetensors"
"""Beside a checkpoint; written after it, so a checkpoint of the tail without it was cut short."""


def first_averaged_step(max_steps: int, averaged: int) -> int:
    """The first of the last `averaged` steps of a run of `max_steps`; steps are counted from 1."""
    return max(1, max_steps - averaged + 1)


class TailAverage(TrainerCallback):  # type: ignore[misc]  # transformers is untyped here
    """Sums the trained weights over the last `steps` steps of a run; `apply` puts their mean in place.

    Args:
        steps: how many; a shorter run is averaged whole.
        checkpoint: a resumed run's, where the sum so far lies.
    """

    def __init__(self, steps: int, checkpoint: Path | None = None) -> None:
        self._steps = steps
        self._checkpoint = checkpoint
        self._sums: dict[str, torch.Tensor] = {}
        self._summed: list[int] = []

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Take up the sum of a resumed run, unless more steps are to follow now than when it was begun."""
        file = self._checkpoint / TAIL_FILE if self._checkpoint is not None else None
        if file is None or not file.is_file():
            return
        from safetensors import safe_open

        with safe_open(file, "pt") as stored:
            summed = [int(step) for step in stored.metadata()["steps"].split()]
            if summed[0] == first_averaged_step(state.max_steps, self._steps):
                self._summed = summed
                self._sums = {name: stored.get_tensor(name) for name in stored.keys()}  # noqa: SIM118

    def on_step_end(self, args: Any, state: Any, control: Any, model: Any = None, **_: Any) -> None:
        """Add the weights of a step that counts."""
        if state.global_step < first_averaged_step(state.max_steps, self._steps):
            return
        self._summed.append(state.global_step)
        for name, parameter in _trained(model).items():
            value = parameter.detach()
            earlier = self._sums.get(name)
            self._sums[name] = value.clone() if earlier is None else earlier.to(value.device).add_(value)

    def on_save(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Keep the sum beside the checkpoint."""
        if self._summed and state.is_world_process_zero:
            from safetensors.torch import save_file

            folder = Path(args.output_dir) / f"checkpoint-{state.global_step}"
            save_file(self._sums, folder / TAIL_FILE, metadata={"steps": " ".join(map(str, self._summed))})

    def apply(self, model: Any) -> int:
        """Put the mean in place of the model's weights; returns over how many steps."""
        with torch.no_grad():
            for name, parameter in _trained(model).items():
                if name in self._sums:
                    parameter.copy_(self._sums[name].to(parameter.device) / len(self._summed))
        self._sums = {}
        return len(self._summed)


def _trained(model: Any) -> dict[str, torch.Tensor]:
    """By the names of the unwrapped model; tied weights once."""
    return {name.removeprefix("module."): p for name, p in model.named_parameters() if p.requires_grad}
