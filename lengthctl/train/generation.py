"""What TRL takes for its vLLM client: two methods over the rollout pool."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

from lengthctl.errors import EngineError, WeightSyncError
from lengthctl.length import Target
from lengthctl.memory import release_freed_memory
from lengthctl.records import Completion
from lengthctl.rollout.backend import OnCompletion, Request, Sampling
from lengthctl.rollout.pool import RolloutPool
from lengthctl.rollout.stopping import StopPolicy, stop_effect
from lengthctl.rollout.weights import ChangeMeter, checkpoint_state

__all__ = ["PoolGeneration"]


class PoolGeneration:
    """Stands in for `trl.generation.VLLMGeneration` (TRL 1.16): `sync_weights()` and `generate(...)`.

    After `generate`, `completions` holds the whole records in the order of the prompts. TRL passes no dataset columns
    here: set `targets` before.
    """

    def __init__(
        self,
        pool: RolloutPool,
        sampling: Sampling,
        on_completion: OnCompletion | None = None,
        stop: StopPolicy | None = None,
    ) -> None:
        self._stop = stop
        self._pool = pool
        self._sampling = sampling
        self._on_completion = on_completion
        self._trainer: Any = None
        self._calls = 0
        self._sync_seconds = 0.0
        self._seconds = 0.0
        self._meter = ChangeMeter()
        self._changed: float | None = None
        self._effect: dict[str, float] = {}
        self.targets: list[Target | None] = []
        self.completions: list[Completion] = []

    def bind(self, trainer: Any) -> None:
        """The trainer whose weights are sent."""
        self._trainer = trainer

    def sync_weights(self) -> None:
        """Send the trainer's weights to every engine (bf16: what engines run in)."""
        import torch

        started = time.perf_counter()
        release_freed_memory()
        model = self._trainer.accelerator.unwrap_model(self._trainer.model)
        state = checkpoint_state(model, torch.bfloat16)
        self._changed = self._meter.measure(state)
        self._pool.sync_weights(state)
        self._sync_seconds = time.perf_counter() - started

    def generate(
        self, prompts: list[list[int]], images: Any, num_generations: int, profiler: Any = None
    ) -> tuple[list[list[int]], list[list[int]], list[list[list[float]]], None]:
        """One completion a prompt; TRL repeats each prompt of a group already.

        Returns:
            prompt ids, completion ids, logprobs of shape [prompt][token][1], None.
        """
        if images is not None:
            raise EngineError("images are not supported by the rollout pool")
        self._calls += 1
        targets: Sequence[Target | None] = self.targets or [None] * len(prompts)
        requests = [
            Request(
                id=f"{self._calls}-{i}",
                prompt_ids=tuple(ids),
                sampling=self._sampling,
                group=f"{self._calls}-{i // num_generations}",
                target=target,
            )
            for i, (ids, target) in enumerate(zip(prompts, targets, strict=True))
        ]
        started = time.perf_counter()
        stop = self._stop if self._trainer.model.training else None  # an evaluation wants true lengths
        self.completions = self._pool.generate(requests, self._on_completion, stop)
        self._effect = stop_effect(self.completions) if stop is not None else {}
        self._seconds = time.perf_counter() - started
        stale = {c.weight_version for c in self.completions} - {self._pool.version}
        if stale:
            raise WeightSyncError(
                f"completions of weights {sorted(stale)} came back, {self._pool.version} are in force"
            )
        # A failed completion keeps its place (its reward is None, so it trains nothing); TRL reads `ids[-1]`.
        filler = self._trainer.eos_token_ids[0]
        ids = [list(c.token_ids) or [filler] for c in self.completions]
        logprobs = [[[value] for value in c.logprobs] or [[0.0]] for c in self.completions]
        return prompts, ids, logprobs, None

    def speed(self) -> dict[str, float]:
        """Seconds and tokens a second of the last sync and generation, and what the reward-aware stop did to it."""
        tokens = sum(len(c.token_ids) for c in self.completions)
        changed = {} if self._changed is None else {"weights/changed_fraction": self._changed}
        return {
            **changed,
            **{f"reward_stop/{name}": value for name, value in self._effect.items()},
            "speed/sync_seconds": self._sync_seconds,
            "speed/rollout_seconds": self._seconds,
            "speed/rollout_tokens_per_second": tokens / self._seconds if self._seconds else 0.0,
        }
