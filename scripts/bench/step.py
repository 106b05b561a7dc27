"""A whole GRPO step, plain TRL over lengthctl: both draw the same numbers of tokens and train the same completions.

Command: python scripts/bench/step.py OUT.json [CAP ...]   (two CPU cores: about 15 minutes)
32 completions of 8 prompts, recorded once from the untouched model, capped at 64 tokens or at 256 (targets 10 to 150
words). Each side generates as many tokens for each prompt as were recorded (end tokens do not count), throws them away
and trains the recorded ones: its own weight sync, scoring, update and optimizer included. TRL runs with its continuous
batching, without checkpointing, in micro-batches of 8, once in autocast and once in pure bf16; the faster counts. Of
three steps the first is a warm-up.
"""

from __future__ import annotations

import itertools
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset
from transformers import TrainerCallback
from transformers.generation.continuous_batching import ContinuousBatchingManager
from trl import GRPOConfig, GRPOTrainer

from lengthctl.config import Config, ModelConfig, RewardSpec
from lengthctl.length import Target, Unit
from lengthctl.models import load_policy, load_tokenizer
from lengthctl.prompt_sources import load_seed_prompts
from lengthctl.prompts import build_length_prompts
from lengthctl.records import Completion
from lengthctl.rewards.combine import build_combined
from lengthctl.rollout.backend import Request, Sampling
from lengthctl.rollout.cluster import disconnect
from lengthctl.rollout.open import open_pool
from lengthctl.train.generation import PoolGeneration
from lengthctl.train.rl import LengthTrainer
from lengthctl.trl_fields import TRAINER_DEFAULTS

PROMPTS, MEMBERS, STEPS = 8, 4, 3
CAPS = {64: (10, 30, 50), 256: (10, 30, 50, 80, 150)}
REWARDS = [RewardSpec(name="log_ratio"), RewardSpec(name="natural_stop", role="gate")]


@dataclass(frozen=True)
class Forced(Sampling):
    """Exactly so many tokens."""

    min_tokens: int = 0

    def __post_init__(self) -> None:  # a request that lost its engine goes on with a smaller limit
        object.__setattr__(self, "min_tokens", min(self.min_tokens, self.max_tokens))


class Replayed:
    """A pool that draws as many tokens as were recorded, and hands out the recorded completions."""

    weight_device = "cpu"

    def __init__(self, pool: Any, recorded: Sequence[Completion]) -> None:
        self._pool = pool
        self._recorded = recorded
        self.drawn: list[int] = []

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
            replace(r, sampling=Forced(max_tokens=n, min_tokens=n)) for r, n in zip(requests, lengths, strict=True)
        ]
        self.drawn = [len(c.token_ids) for c in self._pool.generate(forced)]
        return [
            replace(c, request_id=r.id, weight_version=self.version)
            for c, r in zip(self._recorded, requests, strict=True)
        ]


class PlainTRL(GRPOTrainer):  # type: ignore[misc]  # TRL is untyped
    """TRL as it is, but for the lengths it draws and the completions it then trains."""

    recorded: Sequence[Completion] = ()

    def _generate_single_turn(self, prompt_ids: Any, *args: Any, **kwargs: Any) -> Any:
        lengths = [len(c.token_ids) for c in self.recorded]

        def add_requests(manager: Any, inputs: Any, **_: Any) -> list[str]:
            names = [f"req_{i}" for i in range(len(inputs))]
            for name, ids, length in zip(names, inputs, lengths, strict=True):
                manager.add_request(ids, request_id=name, max_new_tokens=length, eos_token_id=-1)
            return names

        ContinuousBatchingManager.add_requests = add_requests
        drawn, logprobs = super()._generate_single_turn(prompt_ids, *args, **kwargs)
        assert [len(ids) for ids in drawn] == lengths, "TRL drew other numbers of tokens"
        return [list(c.token_ids) for c in self.recorded], logprobs


def make_rows(cap: int, count: int) -> list[dict[str, Any]]:
    """So many built-in requests with a target, messages as TRL takes them."""
    config = Config(rewards=REWARDS).prompts
    seeds = load_seed_prompts(config, "train")[:count]
    targets = [Target(words, unit=Unit.WORDS) for words in CAPS[cap]]
    prompts = [
        build_length_prompts([item], [targets[i % len(targets)]], wordings=None, seed=0)[0]
        for i, item in enumerate(seeds)
    ]
    return [
        {"prompt": [dict(m) for m in p.messages], "target": p.target.to_row(), "prompt_id": p.seed_id} for p in prompts
    ]


def trainer_args(folder: str, cap: int, **more: Any) -> GRPOConfig:
    """Of both sides."""
    values = {**TRAINER_DEFAULTS, "num_generations": MEMBERS, "max_completion_length": cap, "max_steps": STEPS}
    values |= {"save_strategy": "no", "learning_rate": 1e-6, "shuffle_dataset": False}
    return GRPOConfig(**{**values, **more}, output_dir=folder, use_cpu=True, dataloader_pin_memory=False)


class Clock(TrainerCallback):  # type: ignore[misc]  # transformers is untyped
    """When each step ended, and how long its optimizer took."""

    def __init__(self) -> None:
        self.ends: list[float] = []
        self.optimizer: list[float] = []
        self._began = 0.0

    def on_pre_optimizer_step(self, *_: Any, **__: Any) -> None:
        self._began = time.perf_counter()

    def on_optimizer_step(self, *_: Any, **__: Any) -> None:
        self.optimizer.append(time.perf_counter() - self._began)

    def on_step_end(self, *_: Any, **__: Any) -> None:
        self.ends.append(time.perf_counter())

    def steps(self) -> list[float]:
        """Seconds from one step's end to the next; the first step has none."""
        return [b - a for a, b in itertools.pairwise(self.ends)]


def run(trainer: Any) -> Clock:
    """Train, timed."""
    clock = Clock()
    trainer.add_callback(clock)
    trainer.train()
    return clock


def shares(trainer: Any, clock: Clock) -> dict[str, float]:
    """Where our steps went, the first left out; `idle` is what is none of the others: data, callbacks, logs."""
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
    return {**{name: round(value / whole, 4) for name, value in parts.items()}, "padding_share": round(padding, 4)}


def run_ours(config: Config, rows: list[dict[str, Any]], pool: Any, cap: int) -> tuple[Clock, dict[str, float]]:
    """lengthctl over the recorded completions that `pool` replays."""
    tokenizer = load_tokenizer(config.model)
    with tempfile.TemporaryDirectory() as folder:
        trainer = LengthTrainer(
            model=load_policy(config.model, context_tokens=512),
            args=trainer_args(folder, cap, per_device_train_batch_size=PROMPTS * MEMBERS),
            train_dataset=Dataset.from_list(rows * STEPS),
            processing_class=tokenizer.tokenizer,
            generation=PoolGeneration(pool, Sampling(max_tokens=cap)),
            reward=build_combined(config.rewards, tokenizer.tokenizer),
            keep_best=None,
            keep_worst=None,
            micro_batch_tokens=1024,
        )
        clock = run(trainer)
        return clock, shares(trainer, clock)


def run_trl(config: Config, rows: list[dict[str, Any]], recorded: Sequence[Completion], cap: int, half: bool) -> Clock:
    """Plain TRL over the same; `half` keeps its weights in bf16, else autocast."""
    tokenizer = load_tokenizer(config.model)
    micro_batches = PROMPTS * MEMBERS // 8
    model = load_policy(config.model)
    with tempfile.TemporaryDirectory() as folder:
        trainer = PlainTRL(
            model=model.to(torch.bfloat16) if half else model,
            reward_funcs=[build_combined(config.rewards, tokenizer.tokenizer)],
            args=trainer_args(
                folder,
                cap,
                per_device_train_batch_size=8,
                gradient_accumulation_steps=micro_batches,
                steps_per_generation=micro_batches,
                bf16=not half,
                use_transformers_continuous_batching=True,
            ),
            train_dataset=Dataset.from_list(rows * STEPS),
            processing_class=tokenizer.tokenizer,
        )
        trainer.recorded = recorded
        return run(trainer)


def measure(config: Config, cap: int) -> dict[str, Any]:
    """Both sides under one cap on completion tokens."""
    rows = make_rows(cap, PROMPTS)
    tokenizer = load_tokenizer(config.model)
    prompts = [tokenizer.prompt_ids(row["prompt"]) for row in rows for _ in range(MEMBERS)]
    pool = open_pool(config, tokenizer, context_tokens=512)
    recorded = pool.generate([Request(str(i), ids, Sampling(max_tokens=cap)) for i, ids in enumerate(prompts)])
    ours, parts = run_ours(config, rows, Replayed(pool, recorded), cap)
    pool.close()
    disconnect()
    seconds = {"lengthctl": statistics.median(ours.steps())}
    for name, half in (("trl, autocast", False), ("trl, pure bf16", True)):
        seconds[name] = statistics.median(run_trl(config, rows, recorded, cap, half).steps())
    best = min(value for name, value in seconds.items() if name != "lengthctl")
    return {
        "seconds_per_step": {name: round(value, 2) for name, value in seconds.items()},
        "step_time_ratio": round(best / seconds["lengthctl"], 2),
        "shares": parts,
        "completion_tokens": sum(len(c.token_ids) for c in recorded),
        "prompt_tokens": sum(len(ids) for ids in prompts),
    }


def main(out: Path, caps: Sequence[int]) -> None:
    """Write and print one JSON object."""
    config = Config(rewards=REWARDS, model=ModelConfig(chat_template="chatml"))
    results: dict[str, Any] = {}
    for cap in caps:
        results[str(cap)] = measure(config, cap)
        out.write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")
    print(json.dumps(results))


if __name__ == "__main__":
    main(Path(sys.argv[1]), [int(cap) for cap in sys.argv[2:]] or list(CAPS))
