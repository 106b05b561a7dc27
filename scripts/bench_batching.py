"""What length-sorted, trimmed micro-batches save in an update, as a ratio in one run.

Command: make bench   (two CPU cores: about 3 minutes)
Lengths are drawn from 8 to 120 tokens, prompts from 20 to 50; each way runs forward and backward over the same rows.
"""

from __future__ import annotations

import json
import random
import statistics
import time

import torch

from lengthctl.config import ModelConfig
from lengthctl.models import load_policy
from lengthctl.train.batching import plan_micro_batches, take_rows

ROWS, MICRO_ROWS, BUDGET, REPEATS = 32, 8, 1024, 3


def make_batch(seed: int) -> dict[str, torch.Tensor]:
    """Random token rows, padded as TRL pads a generation batch: to its longest prompt and completion."""
    rng = random.Random(seed)
    prompts, completions = ([rng.randint(low, high) for _ in range(ROWS)] for low, high in ((20, 50), (8, 120)))
    columns_p, columns_c = torch.arange(max(prompts)), torch.arange(max(completions))
    prompt_mask = (columns_p >= max(prompts) - torch.tensor(prompts)[:, None]).long()
    completion_mask = (columns_c < torch.tensor(completions)[:, None]).long()
    generator = torch.Generator().manual_seed(seed)
    return {
        "prompt_ids": torch.randint(100, 40_000, prompt_mask.shape, generator=generator),
        "prompt_mask": prompt_mask,
        "completion_ids": torch.randint(100, 40_000, completion_mask.shape, generator=generator),
        "completion_mask": completion_mask,
    }


def update_seconds(model: torch.nn.Module, micro_batches: list[dict[str, torch.Tensor]]) -> float:
    """One forward and backward over all of them, in autocast."""
    started = time.perf_counter()
    for batch in micro_batches:
        ids = torch.cat([batch["prompt_ids"], batch["completion_ids"]], dim=1)
        mask = torch.cat([batch["prompt_mask"], batch["completion_mask"]], dim=1)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            model(input_ids=ids, attention_mask=mask, labels=ids.masked_fill(mask == 0, -100)).loss.backward()
    model.zero_grad()
    return time.perf_counter() - started


def main() -> None:
    """Print one JSON object."""
    model = load_policy(ModelConfig())
    model.train()
    batch = make_batch(0)
    padded = [{k: v[i : i + MICRO_ROWS] for k, v in batch.items()} for i in range(0, ROWS, MICRO_ROWS)]
    lengths = [batch[name].sum(dim=1).tolist() for name in ("prompt_mask", "completion_mask")]
    trimmed = [take_rows(batch, rows) for rows in plan_micro_batches(*lengths, BUDGET)]
    update_seconds(model, trimmed)
    times = [(update_seconds(model, padded), update_seconds(model, trimmed)) for _ in range(REPEATS)]
    ratios = [a / b for a, b in times]
    tokens = sum(sum(column) for column in lengths)
    result = {
        "padded_seconds": statistics.median(a for a, _ in times),
        "trimmed_seconds": statistics.median(b for _, b in times),
        "speedup": {"median": statistics.median(ratios), "low": min(ratios), "high": max(ratios)},
        "real_tokens": tokens,
        "padded_tokens": batch["prompt_mask"].numel() + batch["completion_mask"].numel(),
        "threads": torch.get_num_threads(),
    }
    print(json.dumps(result))


if __name__ == "__main__":
    main()
