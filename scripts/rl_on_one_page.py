"""GRPO for length on one page: what `lengthctl train` does, spelled out over the library's parts.

Command: python scripts/rl_on_one_page.py [STEPS]   (two CPU cores: under a minute a step)
The trainer adds what a real run wants: TRL's options, the correction for the engine's numerics, packed micro-batches,
a choice of each group's members, held-out evaluation, checkpoints and resume, LoRA, several processes.
"""

from __future__ import annotations

import random
import sys
from collections.abc import Sequence
from typing import Any

import torch

from lengthctl.config import Config, ModelConfig, RewardSpec
from lengthctl.length import Target
from lengthctl.models import load_policy, load_tokenizer
from lengthctl.prompt_sources import load_seed_prompts
from lengthctl.prompts import LengthPrompt, build_length_prompts
from lengthctl.records import Completion
from lengthctl.rewards.combine import build_combined
from lengthctl.rollout.backend import Request, Sampling
from lengthctl.rollout.cluster import disconnect
from lengthctl.rollout.open import open_pool
from lengthctl.rollout.weights import checkpoint_state
from lengthctl.scoring import score_text
from lengthctl.train.estimators import survivor_advantages

PROMPTS, GROUP, LIMIT = 4, 4, 128
TARGETS = [Target(10), Target(30), Target(50)]
CONFIG = Config(
    model=ModelConfig(chat_template="chatml"),
    rewards=[RewardSpec(name="log_ratio", args={"factor": 4.5}), RewardSpec(name="natural_stop", role="gate")],
)


def main(steps: int) -> Any:
    """Train, print how far lengths are from their targets at every step, and return the model."""
    tokenizer = load_tokenizer(CONFIG.model)
    seeds = load_seed_prompts(CONFIG.prompts, "train")
    prompts = build_length_prompts(seeds, TARGETS, wordings=None, seed=0)
    reward = build_combined(CONFIG.rewards)
    policy = load_policy(CONFIG.model)  # fp32 weights; the forward below runs in bf16
    optimizer = torch.optim.AdamW(policy.parameters(), lr=6e-5, betas=(0.5, 0.999))
    pool = open_pool(CONFIG, tokenizer, context_tokens=LIMIT + 128)
    draw = random.Random(0)
    try:
        for step in range(1, steps + 1):
            pool.sync_weights(checkpoint_state(policy, torch.bfloat16))

            rows = [prompt for prompt in draw.sample(prompts, PROMPTS) for _ in range(GROUP)]
            completions = pool.generate([as_request(i, row, tokenizer) for i, row in enumerate(rows)])

            rewards = reward(
                [c.text for c in completions],
                target=[row.target for row in rows],
                is_truncated=[c.is_truncated for c in completions],
            )

            advantages: list[list[float]] = []
            for start in range(0, len(rows), GROUP):
                lengths = [len(c.token_ids) for c in completions[start : start + GROUP]]
                advantages += survivor_advantages(rewards[start : start + GROUP], lengths, decay=0.95)

            for row, completion, advantage in zip(rows, completions, advantages, strict=True):
                if completion.token_ids:
                    logps_T = completion_logps(policy, tokenizer.prompt_ids(as_messages(row)), completion)
                    loss = -(logps_T * torch.tensor(advantage)).sum() / (len(rows) * LIMIT)
                    loss.backward()
            optimizer.step()
            optimizer.zero_grad()

            print(f"step {step}  mean abs relative deviation {mean_deviation(rows, completions):.2f}", flush=True)
        return policy
    finally:
        pool.close()
        disconnect()


def as_messages(prompt: LengthPrompt) -> list[dict[str, str]]:
    """As chat templates take them."""
    return [dict(message) for message in prompt.messages]


def as_request(number: int, prompt: LengthPrompt, tokenizer: Any) -> Request:
    """One completion; the target lets the pool start the longest first."""
    ids = tokenizer.prompt_ids(as_messages(prompt))
    return Request(str(number), ids, Sampling(max_tokens=LIMIT), group=str(number // GROUP), target=prompt.target)


def completion_logps(policy: Any, prompt_ids: Sequence[int], completion: Completion) -> torch.Tensor:
    """Log probabilities of a completion's tokens, shape (T,)."""
    ids_1S = torch.tensor([[*prompt_ids, *completion.token_ids]])
    with torch.autocast("cpu", dtype=torch.bfloat16):
        logits_1SV = policy(input_ids=ids_1S).logits
    logps_SV = logits_1SV[0, len(prompt_ids) - 1 : -1].float().log_softmax(dim=-1)
    return logps_SV.gather(1, ids_1S[0, len(prompt_ids) :, None])[:, 0]


def mean_deviation(rows: Sequence[LengthPrompt], completions: Sequence[Completion]) -> float:
    """In the unit of the targets, relative to them."""
    scored = [
        score_text(c.text, row.target, prompt_id=row.seed_id, tokens=len(c.token_ids), is_truncated=c.is_truncated)
        for row, c in zip(rows, completions, strict=True)
    ]
    return sum(abs(s.relative_deviation) for s in scored) / len(scored)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 10)
