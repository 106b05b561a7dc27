"""`LengthTrainer` over a model of a few thousand weights and a pool of random completions: seconds, not minutes."""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lengthctl.length import Target, Unit
from lengthctl.records import Completion, FinishReason
from lengthctl.rollout.backend import Request, Sampling

EOS = 2


class RandomPool:
    """Completions of 3 to 24 random tokens by the number of their request, with sampler logprobs a little off. With
    `flat`, those of prompts whose tokens are a multiple of three earn the same."""

    version = 0
    flat = False
    weight_device = "cpu"

    def sync_weights(self, state: Any, version: int = 0) -> None:
        self.version = max(self.version + 1, version)

    def generate(self, requests: Sequence[Request], on_completion: Any = None, stop: Any = None) -> list[Completion]:
        return [self._complete(request) for request in requests]

    def _complete(self, request: Request) -> Completion:
        place = request.id.partition("-")[2]  # of the call, whose number a resumed run counts anew
        draw = random.Random(f"{place} {request.prompt_ids}")
        ids = [draw.randrange(100, 400) for _ in range(draw.randint(3, 24))] + [EOS]
        return Completion(
            request_id=request.id,
            token_ids=tuple(ids),
            logprobs=tuple(-6.0 - draw.random() * 0.5 for _ in ids),
            text=" ".join("w" for _ in ids) if not self.flat or len(request.prompt_ids) % 3 else "w w w",
            finish=FinishReason.EOS,
            engine="random",
            weight_version=self.version,
        )


def make_trainer(
    folder: Path,
    loss_type: str,
    budget: int | None,
    *,
    requests: int = 2,
    steps: int = 1,
    batch: int = 8,
    keep: int | None = None,
    overlap: bool = False,
    survivor_decay: float | None = None,
    flat: bool = False,
    advantage: dict[str, Any] | None = None,
    **options: Any,
) -> Any:
    """A trainer whose groups have four members, of which the `keep` best and worst are trained."""
    import torch
    from datasets import Dataset
    from transformers import LlamaConfig, LlamaForCausalLM
    from trl import GRPOConfig

    from lengthctl.config import ModelConfig, RewardSpec
    from lengthctl.config.advantage import AdvantageConfig
    from lengthctl.models import BUNDLED, load_tokenizer
    from lengthctl.rewards.combine import build_combined
    from lengthctl.train.generation import PoolGeneration
    from lengthctl.train.ranks import is_main
    from lengthctl.train.rl import LengthTrainer
    from lengthctl.trl_fields import trainer_defaults

    torch.manual_seed(0)
    tokenizer = load_tokenizer(ModelConfig(name=BUNDLED)).tokenizer
    size = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2}
    model = LlamaForCausalLM(LlamaConfig(vocab_size=len(tokenizer), num_key_value_heads=2, **size))
    target = Target(10, unit=Unit.WORDS).to_row()
    rows = [
        {"prompt": [{"role": "user", "content": "a " * i}], "target": target, "prompt_id": str(i)}
        for i in range(1, 5 * requests, 5)
    ]
    values = {**trainer_defaults("grpo"), "loss_type": loss_type, "num_generations": 4}
    values["per_device_train_batch_size"] = batch
    values.update({"save_steps": 1, "seed": 3, "bf16": False, "max_steps": steps, **options})
    pool: Any = RandomPool() if is_main() else None
    if pool is not None:
        pool.flat = flat
    return LengthTrainer(
        model=model,
        args=GRPOConfig(**values, output_dir=str(folder), use_cpu=True),
        train_dataset=Dataset.from_list(rows),
        processing_class=tokenizer,
        generation=PoolGeneration(pool, Sampling(max_tokens=32)),
        reward=build_combined([RewardSpec(name="log_ratio")]),
        keep_best=keep,
        keep_worst=keep,
        micro_batch_tokens=budget,
        overlap=overlap,
        survivor_decay=survivor_decay,
        advantage=AdvantageConfig(**(advantage or {})),
    )


def numbers(trainer: Any) -> list[dict[str, float]]:
    """The log of every step, without what a clock tells."""
    clocks = ("time", "runtime", "per_second", "seconds", "changed_fraction")  # the last: since this process began
    logs = [row for row in trainer.state.log_history if "reward" in row]
    return [{k: v for k, v in row.items() if not any(clock in k for clock in clocks)} for row in logs]
