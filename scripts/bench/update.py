"""What packed micro-batches without padding save in an update against TRL's own, as a ratio in one run.

Command: python scripts/bench/update.py OUT.json   (two CPU cores: about 3 minutes)
8 prompts of 20 to 50 tokens with 4 completions of 8 to 120 tokens each; both ways compute logprobs, entropies and
gradients of the same tokens, in autocast. TRL's way: sdpa, rows padded to the longest of all, in micro-batches of 8.
"""

from __future__ import annotations

import json
import random
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from trl.trainer.utils import add_fused_lm_head

from lengthctl.config import ModelConfig
from lengthctl.models import load_policy
from lengthctl.train.batching import pack_micro_batches, row_lengths, take_rows
from lengthctl.train.packed_head import add_packed_head, batch_logprobs, packing_obstacle

PROMPTS, MEMBERS, MICRO_ROWS, BUDGET, REPEATS = 8, 4, 8, 4096, 3


def make_batch(seed: int) -> dict[str, torch.Tensor]:
    """Random tokens, padded as TRL pads a generation batch: to its longest prompt and completion."""
    rng = random.Random(seed)
    prompts = [length for _ in range(PROMPTS) for length in [rng.randint(20, 50)] * MEMBERS]
    completions = [rng.randint(8, 120) for _ in prompts]
    columns_p, columns_c = torch.arange(max(prompts)), torch.arange(max(completions))
    generator = torch.Generator().manual_seed(seed)
    texts = torch.randint(100, 40_000, (PROMPTS, max(prompts)), generator=generator)
    return {
        "prompt_ids": texts.repeat_interleave(MEMBERS, dim=0),
        "prompt_mask": (columns_p >= max(prompts) - torch.tensor(prompts)[:, None]).long(),
        "completion_ids": torch.randint(100, 40_000, (len(prompts), max(completions)), generator=generator),
        "completion_mask": (columns_c < torch.tensor(completions)[:, None]).long(),
    }


def trl_update(model: Any, batch: dict[str, torch.Tensor]) -> None:
    """Forward and backward as `GRPOTrainer` does them."""
    for start in range(0, len(batch["prompt_ids"]), MICRO_ROWS):
        part = {key: value[start : start + MICRO_ROWS] for key, value in batch.items()}
        ids = torch.cat([part["prompt_ids"], part["completion_ids"]], dim=1)
        mask = torch.cat([part["prompt_mask"], part["completion_mask"]], dim=1)
        labels = ids.masked_fill(mask == 0, -100)
        labels[:, : part["prompt_ids"].size(1)] = -100
        with torch.autocast("cpu", dtype=torch.bfloat16):
            model(input_ids=ids, attention_mask=mask, labels=labels, fused_lm_head=True).log_probs.sum().backward()


def packed_update(model: Any, batch: dict[str, torch.Tensor]) -> None:
    """The same over packs."""
    prompts, completions = row_lengths(batch["prompt_mask"]), row_lengths(batch["completion_mask"])
    keys = [row // MEMBERS for row in range(len(prompts))]
    for plan in pack_micro_batches(keys, prompts, completions, BUDGET):
        part = take_rows(batch, plan.rows)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            batch_logprobs(model, part, plan.places)[0].sum().backward()


def seconds(
    update: Callable[[Any, dict[str, torch.Tensor]], None], model: Any, batch: dict[str, torch.Tensor]
) -> float:
    """Of one update; gradients are dropped."""
    started = time.perf_counter()
    update(model, batch)
    model.zero_grad()
    return time.perf_counter() - started


def main(out: Path) -> None:
    """Write and print one JSON object."""
    plain, packed = load_policy(ModelConfig()).train(), load_policy(ModelConfig()).train()
    add_fused_lm_head(plain, outputs=("log_probs", "entropy"))
    add_packed_head(packed, 1.0)
    if obstacle := packing_obstacle(packed, 1.0):
        raise SystemExit(obstacle)
    batch = make_batch(0)
    ways = ((trl_update, plain), (packed_update, packed))
    for update, model in ways:
        seconds(update, model, batch)
    times = [[seconds(update, model, batch) for update, model in ways] for _ in range(REPEATS)]
    ratios = [before / after for before, after in times]
    result = {
        "trl_seconds": statistics.median(before for before, _ in times),
        "packed_seconds": statistics.median(after for _, after in times),
        "speedup": {"median": statistics.median(ratios), "low": min(ratios), "high": max(ratios)},
        "tokens": int(batch["prompt_mask"].sum() + batch["completion_mask"].sum()),
        "threads": torch.get_num_threads(),
    }
    out.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    print(json.dumps(result))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
