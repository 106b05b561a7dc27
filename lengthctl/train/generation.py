"""What TRL takes for its vLLM client: two methods over the rollout pool."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any

from lengthctl.errors import EngineError, WeightSyncError
from lengthctl.length import Target
from lengthctl.memory import release_freed_memory
from lengthctl.records import Completion
from lengthctl.rollout.backend import OnCompletion, Request, Sampling, request_seed
from lengthctl.rollout.pool import RolloutPool
from lengthctl.rollout.stopping import StopPolicy, stop_effect
from lengthctl.rollout.weights import ChangeMeter
from lengthctl.train.group_watch import GroupWatch, OnGroup
from lengthctl.train.lookahead import Errand
from lengthctl.train.ranks import from_main, gather_lists, is_main, rank, world_size
from lengthctl.train.trained_state import trained_state

__all__ = ["PoolGeneration"]

_Row = tuple[list[int], Target | None]
"""Prompt ids and what they ask for."""


class PoolGeneration:
    """Stands in for `trl.generation.VLLMGeneration` (TRL 1.16): `sync_weights()` and `generate(...)`.

    After `generate`, `completions` holds the whole records in the order of the prompts. TRL passes no dataset columns
    here: set `targets` before. With several trainer processes the first one has the pool, the others None; each asks
    for its own prompts and gets their completions. With `on_group` a single process is told of each group as soon as
    it is complete; set `rows` before, as `targets`.
    """

    def __init__(
        self,
        pool: RolloutPool | None,
        sampling: Sampling,
        on_completion: OnCompletion | None = None,
        stop: StopPolicy | None = None,
        *,
        reproducible: bool = False,
        release_memory: bool = False,
        on_group: OnGroup | None = None,
    ) -> None:
        self._on_group = on_group
        self._release_memory = release_memory
        self._reproducible = reproducible
        self._stop = stop
        self._pool = pool
        self._sampling = sampling
        self._on_completion = on_completion
        self._trainer: Any = None
        self._calls = 0
        self._errand: Errand[list[Completion]] | None = None
        self._asked: list[list[int]] = []
        self._shares: list[list[_Row]] = []
        self._sync_seconds = 0.0
        self._drawing_seconds = self._waited_seconds = 0.0
        self._meter = ChangeMeter()
        self._changed: float | None = None
        self._effect: dict[str, float] = {}
        self.targets: list[Target | None] = []
        self.rows: Sequence[Mapping[str, Any]] = []
        """The dataset's, of each prompt; needed with `on_group`."""
        self.completions: list[Completion] = []

    def bind(self, trainer: Any) -> None:
        """The trainer whose weights are sent."""
        self._trainer = trainer

    def sync_weights(self) -> None:
        """Send the trainer's weights to every engine."""
        if self._release_memory:
            release_freed_memory()
        self._wait_for_errand()
        started = time.perf_counter()
        state = trained_state(self._trainer, "cpu" if self._pool is None else self._pool.weight_device)
        if self._pool is not None and state is not None:
            self._changed = self._meter.measure(state)
            self._pool.sync_weights(state, self._trainer.state.global_step + 1)
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
        started = time.perf_counter()
        if self._errand is not None and self._asked == prompts:
            everything, shares = from_main(self._errand.wait), self._shares
            self._errand = None
        else:
            self._wait_for_errand()  # an evaluation between: the pool does one thing at a time
            shares = self._gather(prompts, self.targets)
            ask = self._question(shares, num_generations, self.rows, step=self._trainer.state.global_step)
            everything = from_main(ask)
        first = sum(len(share) for share in shares[: rank()])
        self.completions = everything[first : first + len(prompts)]
        self._waited_seconds = time.perf_counter() - started
        # A failed completion keeps its place (its reward is None, so it trains nothing); TRL reads `ids[-1]`.
        filler = self._trainer.eos_token_ids[0]
        ids = [list(c.token_ids) or [filler] for c in self.completions]
        logprobs = [[[value] for value in c.logprobs] or [[0.0]] for c in self.completions]
        return prompts, ids, logprobs, None

    def begin(
        self,
        prompts: list[list[int]],
        targets: Sequence[Target | None],
        num_generations: int,
        rows: Sequence[Mapping[str, Any]] = (),
    ) -> None:
        """Draw the completions of the next training step meanwhile, from the weights in force; `generate` with the same
        prompts returns them."""
        self._asked, self._shares = prompts, self._gather(prompts, targets)
        ask = self._question(self._shares, num_generations, rows, step=self._trainer.state.global_step + 1)
        self._errand = Errand(ask if is_main() else list)

    def finish(self) -> None:
        """End what is still drawn: nobody wants it any more, and what it failed with is of no account."""
        errand, self._errand = self._errand, None
        if errand is None or self._pool is None:
            return
        self._pool.cancelled.set()
        with suppress(Exception):
            errand.wait()
        self._pool.cancelled.clear()

    def _wait_for_errand(self) -> None:
        if self._errand is not None:
            self._errand.wait()

    def _gather(self, prompts: list[list[int]], targets: Sequence[Target | None]) -> list[list[_Row]]:
        return gather_lists(list(zip(prompts, targets or [None] * len(prompts), strict=True)))

    def _question(
        self, shares: Sequence[Sequence[_Row]], group_size: int, rows: Sequence[Mapping[str, Any]], *, step: int
    ) -> Callable[[], list[Completion]]:
        """A call that asks the pool for the rows of all processes."""
        self._calls += 1
        mode = "train" if self._trainer.model.training else "eval"
        requests = [
            Request(
                id=f"{self._calls}-{i}",
                prompt_ids=tuple(ids),
                sampling=self._drawn(f"{mode}|{step}|{i}"),  # not of the call: a resumed run counts those anew
                group=f"{self._calls}-{i // group_size}",
                target=target,
            )
            for i, (ids, target) in enumerate(row for share in shares for row in share)
        ]
        stop = self._stop if mode == "train" else None  # an evaluation wants true lengths
        seen = self._on_completion
        if self._on_group is not None and world_size() == 1 and len(rows) == len(requests):
            seen = _both(seen, GroupWatch(requests, rows, step, self._on_group))
        return functools.partial(self._ask_pool, requests, stop, seen)

    def _ask_pool(
        self, requests: Sequence[Request], stop: StopPolicy | None, seen: OnCompletion | None
    ) -> list[Completion]:
        assert self._pool is not None
        started = time.perf_counter()
        completions = self._pool.generate(requests, seen, stop)
        self._drawing_seconds = time.perf_counter() - started
        self._effect = stop_effect(completions) if stop is not None else {}
        stale = {c.weight_version for c in completions} - {self._pool.version}
        if stale:
            raise WeightSyncError(
                f"completions of weights {sorted(stale)} came back, {self._pool.version} are in force"
            )
        return completions

    def _drawn(self, name: str) -> Sampling:
        if not self._reproducible:
            return self._sampling
        return replace(self._sampling, seed=request_seed(self._trainer.args.seed, name))

    def _lag(self) -> int:
        """Weight versions between drawing and learning: 1 with overlap."""
        assert self._pool is not None
        return max((self._pool.version - c.weight_version for c in self.completions), default=0)

    def speed(self) -> dict[str, float]:
        """Seconds and tokens a second of the last sync and generation, and what the reward-aware stop did to it."""
        tokens = sum(len(c.token_ids) for c in self.completions)
        changed = {} if self._changed is None else {"weights/changed_fraction": self._changed}
        return {
            **changed,
            **{f"reward_stop/{name}": value for name, value in self._effect.items()},
            "rollout/version_lag": float(self._lag()),
            "speed/sync_seconds": self._sync_seconds,
            "speed/rollout_seconds": self._drawing_seconds,
            "speed/rollout_wait_seconds": self._waited_seconds,
            "speed/rollout_tokens_per_second": tokens / self._drawing_seconds if self._drawing_seconds else 0.0,
        }


def _both(first: OnCompletion | None, second: OnCompletion) -> OnCompletion:
    if first is None:
        return second

    def see(completion: Completion) -> None:
        first(completion)
        second(completion)

    return see
