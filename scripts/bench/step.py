"""A whole GRPO step, plain TRL over lengthctl: both draw the same numbers of tokens and train the same completions.

Command: python scripts/bench/step.py OUT.json   (two CPU cores: about 25 minutes)
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


class Replayed:
    """A pool that draws as many tokens as were recorded, and hands out the recorded completions."""

    def __init__(self, pool: Any, recorded: Sequence[Completion]) -> None:
        self._pool = pool
        self._recorded = recorded
        self.drawn: list[int] = []

    @property
    def version(self) -> int:
        """Of the pool's weights."""
        return int(self._pool.version)

    def sync_weights(self, state: Any) -> int:
        """As the pool does it."""
        return int(self._pool.sync_weights(state))

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


def timed_steps(trainer: Any) -> float:
    """Seconds of a step, the first left out: from one step's end to the next."""
    ends: list[float] = []
    from transformers import TrainerCallback

    class Clock(TrainerCallback):  # type: ignore[misc]
        def on_step_end(self, *_: Any, **__: Any) -> None:
            ends.append(time.perf_counter())

    trainer.add_callback(Clock())
    trainer.train()
    return statistics.median(b - a for a, b in itertools.pairwise(ends))


def main(out: Path) -> None:
    """Write and print one JSON object."""
    config = Config(rewards=REWARDS, model=ModelConfig(chat_template="chatml"))
    tokenizer = load_tokenizer(config.model)
    reward = build_combined(config.rewards, tokenizer.tokenizer)
    results: dict[str, Any] = {}
    for cap in CAPS:
        rows = make_rows(cap, PROMPTS)
        group = [row for row in rows for _ in range(MEMBERS)]
        pool = open_pool(config, tokenizer, context_tokens=512)
        requests = [
            Request(str(i), tokenizer.prompt_ids(row["prompt"]), Sampling(max_tokens=cap))
            for i, row in enumerate(group)
        ]
        recorded = pool.generate(requests)
        with tempfile.TemporaryDirectory() as folder:
            ours = LengthTrainer(
                model=load_policy(config.model, context_tokens=512),
                args=trainer_args(folder, cap, per_device_train_batch_size=PROMPTS * MEMBERS),
                train_dataset=Dataset.from_list(rows * STEPS),
                processing_class=tokenizer.tokenizer,
                generation=PoolGeneration(Replayed(pool, recorded), Sampling(max_tokens=cap)),  # type: ignore[arg-type]
                reward=reward,
                keep_best=None,
                keep_worst=None,
                micro_batch_tokens=1024,
            )
            seconds = {"lengthctl": timed_steps(ours)}
            del ours
            pool.close()
            disconnect()
            for name, half in (("trl, autocast", False), ("trl, pure bf16", True)):
                model = load_policy(config.model)
                plain = PlainTRL(
                    model=model.to(torch.bfloat16) if half else model,
                    reward_funcs=[reward],
                    args=trainer_args(
                        folder,
                        cap,
                        per_device_train_batch_size=8,
                        gradient_accumulation_steps=PROMPTS * MEMBERS // 8,
                        steps_per_generation=PROMPTS * MEMBERS // 8,
                        bf16=not half,
                        use_transformers_continuous_batching=True,
                    ),
                    train_dataset=Dataset.from_list(rows * STEPS),
                    processing_class=tokenizer.tokenizer,
                )
                plain.recorded = recorded
                seconds[name] = timed_steps(plain)
                del plain, model
        best = min(value for name, value in seconds.items() if name != "lengthctl")
        results[str(cap)] = {
            "seconds_per_step": {name: round(value, 2) for name, value in seconds.items()},
            "step_time_ratio": round(best / seconds["lengthctl"], 2),
            "completion_tokens": sum(len(c.token_ids) for c in recorded),
            "prompt_tokens": sum(len(r.prompt_ids) for r in requests),
        }
        out.write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")
        print(json.dumps({cap: results[str(cap)]}))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
