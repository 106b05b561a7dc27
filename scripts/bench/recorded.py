"""What both sides of the step benchmark share: requests, recorded completions, the clock and TRL's options."""

from __future__ import annotations

import itertools
import json
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from transformers import TrainerCallback
from trl import GRPOConfig

from lengthctl.config import Config, ModelConfig, RewardSpec
from lengthctl.length import Target, Unit
from lengthctl.models import LoadedTokenizer
from lengthctl.prompt_sources import load_seed_prompts
from lengthctl.prompts import build_length_prompts
from lengthctl.records import Completion, FinishReason
from lengthctl.rollout.backend import Request, Sampling
from lengthctl.trl_fields import trainer_defaults

PROMPTS, MEMBERS, STEPS = 8, 4, 3
CAPS = {64: (10, 30, 50), 256: (10, 30, 50, 80, 150)}
"""Targets in words, by the cap on completion tokens."""
CONFIG = Config(
    rewards=[RewardSpec(name="log_ratio"), RewardSpec(name="natural_stop", role="gate")],
    model=ModelConfig(chat_template="chatml"),
)


def make_rows(cap: int) -> list[dict[str, Any]]:
    """Built-in requests with a target, messages as TRL takes them."""
    seeds = load_seed_prompts(CONFIG.prompts, "train")[:PROMPTS]
    targets = [Target(words, unit=Unit.WORDS) for words in CAPS[cap]]
    prompts = [
        build_length_prompts([item], [targets[i % len(targets)]], wordings=None, seed=0)[0]
        for i, item in enumerate(seeds)
    ]
    return [
        {"prompt": [dict(m) for m in p.messages], "target": p.target.to_row(), "prompt_id": p.seed_id} for p in prompts
    ]


def make_requests(tokenizer: LoadedTokenizer, cap: int) -> list[Request]:
    """Every group of a step."""
    prompts = [tokenizer.prompt_ids(row["prompt"]) for row in make_rows(cap) for _ in range(MEMBERS)]
    return [Request(str(i), ids, Sampling(max_tokens=cap)) for i, ids in enumerate(prompts)]


def save(completions: Sequence[Completion], file: Path) -> None:
    """As JSON."""
    file.write_text(json.dumps([asdict(c) for c in completions]), encoding="utf-8")


def load(file: Path) -> list[Completion]:
    """What `save` wrote."""
    rows = json.loads(file.read_text(encoding="utf-8"))
    return [
        Completion(
            **{
                **row,
                "token_ids": tuple(row["token_ids"]),
                "logprobs": tuple(row["logprobs"]),
                "finish": FinishReason(row["finish"]),
            }
        )
        for row in rows
    ]


def trainer_args(folder: str, cap: int, **more: Any) -> GRPOConfig:
    """Of both sides."""
    values = {**trainer_defaults("grpo"), "num_generations": MEMBERS, "max_completion_length": cap, "max_steps": STEPS}
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
