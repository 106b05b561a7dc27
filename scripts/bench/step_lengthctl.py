"""lengthctl's side of the step benchmark, in a process of its own, as its command line sets one up.

Command: python scripts/bench/step_lengthctl.py RECORDED.json OUT.json CAP [overlap]
Records the completions first where RECORDED.json is not there yet.
"""

from __future__ import annotations

from lengthctl.memory import keep_freed_memory

keep_freed_memory()  # as the command line does, before torch is there

import json  # noqa: E402
import statistics  # noqa: E402
import sys  # noqa: E402
import tempfile  # noqa: E402
from collections.abc import Sequence  # noqa: E402
from dataclasses import replace  # noqa: E402
from pathlib import Path  # noqa: E402
from typing import Any  # noqa: E402

from datasets import Dataset  # noqa: E402
from recorded import CONFIG, MEMBERS, PROMPTS, STEPS, Clock, load, make_requests, make_rows, save, trainer_args  # noqa: E402

from lengthctl.models import load_policy, load_tokenizer  # noqa: E402
from lengthctl.records import Completion  # noqa: E402
from lengthctl.rewards.combine import build_combined  # noqa: E402
from lengthctl.rollout.backend import Request, Sampling  # noqa: E402
from lengthctl.rollout.cluster import disconnect  # noqa: E402
from lengthctl.rollout.open import open_pool  # noqa: E402
from lengthctl.train.generation import PoolGeneration  # noqa: E402
from lengthctl.train.rl import LengthTrainer  # noqa: E402


class Replayed:
    """A pool that draws as many tokens as were recorded, and hands out the recorded completions."""

    weight_device = "cpu"

    def __init__(self, pool: Any, recorded: Sequence[Completion]) -> None:
        self._pool = pool
        self._recorded = recorded
        self.cancelled = pool.cancelled

    @property
    def version(self) -> int:
        """Of the pool's weights."""
        return int(self._pool.version)

    def sync_weights(self, state: Any, version: int = 0) -> int:
        """As the pool does it."""
        return int(self._pool.sync_weights(state, version))

    def generate(self, requests: Sequence[Request], *_: Any) -> list[Completion]:
        """Tokens drawn are counted and dropped."""
        lengths = [len(c.token_ids) for c in self._recorded]
        forced = [
            replace(r, sampling=Sampling(max_tokens=n, min_tokens=n)) for r, n in zip(requests, lengths, strict=True)
        ]
        version = self.version
        drawn = [len(c.token_ids) for c in self._pool.generate(forced)]
        assert drawn == lengths, "the pool drew other numbers of tokens"
        return [
            replace(c, request_id=r.id, weight_version=version) for c, r in zip(self._recorded, requests, strict=True)
        ]


def shares(trainer: Any, clock: Clock) -> dict[str, float]:
    """Where the steps went, the first left out; `idle` is what is none of the others: data, callbacks, logs."""
    logs = [row for row in trainer.state.log_history if "reward" in row][1:]
    parts = {
        "generation": sum(row["speed/rollout_seconds"] for row in logs),
        "sync": sum(row["speed/sync_seconds"] for row in logs),
        "update": sum(row["speed/train_seconds"] for row in logs) + sum(clock.optimizer[1:]),
    }
    inside = sum(row["step_time"] for row in logs)
    parts["scoring"] = inside + sum(clock.optimizer[1:]) - sum(parts.values())
    whole = sum(clock.steps())
    parts["idle"] = whole - sum(parts.values())
    padding = statistics.mean(row["speed/train_padding_fraction"] for row in logs)
    return {**{name: value / whole for name, value in parts.items()}, "padding_share": padding}


def main(recorded_file: Path, out: Path, cap: int, overlap: bool) -> None:
    """Train, and write seconds of each step and where they went."""
    tokenizer = load_tokenizer(CONFIG.model)
    pool = open_pool(CONFIG, tokenizer, context_tokens=512)
    if not recorded_file.is_file():
        save(pool.generate(make_requests(tokenizer, cap)), recorded_file)
    recorded = load(recorded_file)
    with tempfile.TemporaryDirectory() as folder:
        trainer = LengthTrainer(
            model=load_policy(CONFIG.model),
            args=trainer_args(folder, cap, per_device_train_batch_size=PROMPTS * MEMBERS, max_steps=STEPS + overlap),
            train_dataset=Dataset.from_list(make_rows(cap) * (STEPS + overlap)),
            processing_class=tokenizer.tokenizer,
            generation=PoolGeneration(Replayed(pool, recorded), Sampling(max_tokens=cap)),  # type: ignore[arg-type]
            reward=build_combined(CONFIG.rewards, tokenizer.tokenizer),
            keep_best=None,
            keep_worst=None,
            micro_batch_tokens=CONFIG.train.micro_batch_tokens,
            overlap=overlap,
        )
        clock = Clock()
        trainer.add_callback(clock)
        trainer.train()
    pool.close()
    disconnect()
    result = {"seconds": clock.steps()[overlap:], "shares": {} if overlap else shares(trainer, clock)}
    out.write_text(json.dumps(result), encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]), "overlap" in sys.argv[4:])
