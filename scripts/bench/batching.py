"""Supervised batches without padding, and by length, against padded ones: tokens a second and loss at equal tokens.

Command: python scripts/bench/batching.py OUT.json   (two CPU cores: about 10 minutes)
The bundled model learns worked arithmetic of 1 to 12 steps in three verbosities, rows of 60 to 1,000 tokens. `padded`
takes 8 rows a step and pads them to the longest, as TRL does without flash attention; `packed` the same rows in one
flat row; `buckets` rows of one power of two, padding and all as many tokens a step. One process, the same rows,
learning rate and number of steps.
"""

from __future__ import annotations

import json
import statistics
import sys
import tempfile
from pathlib import Path
from typing import Any

from datasets import Dataset
from trl import SFTConfig

from lengthctl.config import ModelConfig
from lengthctl.data_gen.checkable import Verbosity, make_tasks
from lengthctl.models import LoadedTokenizer, load_policy, load_tokenizer
from lengthctl.problem_sources import ask_problem
from lengthctl.train.sft import LengthSFTTrainer
from lengthctl.train.supervised_rows import CompletionCollator, build_row
from lengthctl.trl_fields import trainer_defaults

ROWS, BATCH, STEPS, SEED = 256, 8, 8, 3
MODEL = ModelConfig(chat_template="chatml")


def make_rows(tokenizer: LoadedTokenizer) -> Dataset:
    """Rows whose lengths differ by a factor of twenty."""
    verbosities = list(Verbosity)
    rows = []
    for place, task in enumerate(make_tasks(ROWS, SEED, steps=(1, 12))):
        messages = [{"role": "user", "content": ask_problem(task.question)}]
        row = build_row(tokenizer, messages, task.worked[verbosities[place % 3]])
        rows.append({"prompt_ids": list(row.prompt_ids), "completion_ids": list(row.completion_ids)})
    return Dataset.from_list(rows)


def run(mode: Any, rows: Dataset, tokenizer: LoadedTokenizer, batch_tokens: int, folder: str) -> dict[str, float]:
    """Train so many steps; speed without the first, which warms up."""
    values = {
        **trainer_defaults("sft"),
        "per_device_train_batch_size": BATCH,
        "max_steps": STEPS,
        "save_strategy": "no",
    }
    values |= {"lr_scheduler_type": "constant", "warmup_steps": 0, "dataset_kwargs": {"skip_prepare_dataset": True}}
    trainer = LengthSFTTrainer(
        model=load_policy(MODEL),
        args=SFTConfig(**values, output_dir=folder, use_cpu=True, seed=SEED),
        train_dataset=rows,
        processing_class=tokenizer.tokenizer,
        collator=CompletionCollator(),
        batching=mode,
        batch_tokens=batch_tokens,
        micro_batch_tokens=None if mode == "padded" else 4096,
    )
    trainer.train()
    logs = [row for row in trainer.state.log_history if "loss" in row][1:]
    return {
        "tokens_per_second": statistics.fmean(row["speed/train_tokens_per_second"] for row in logs),
        "padding_fraction": statistics.fmean(row["speed/train_padding_fraction"] for row in logs),
        "loss_of_the_last_half": statistics.fmean(row["nats/text"] for row in logs[len(logs) // 2 :]),
        "tokens": float(logs[-1]["num_tokens"]),
    }


def main(out: Path) -> None:
    tokenizer = load_tokenizer(MODEL)
    rows = make_rows(tokenizer)
    lengths = [len(row["prompt_ids"]) + len(row["completion_ids"]) for row in rows]
    budget = round(BATCH * statistics.fmean(lengths))
    with tempfile.TemporaryDirectory() as folder:
        found = {mode: run(mode, rows, tokenizer, budget, folder) for mode in ("padded", "packed", "buckets")}
    speed = {mode: side["tokens_per_second"] for mode, side in found.items()}
    ratios = {f"{mode}_over_padded": speed[mode] / speed["padded"] for mode in ("packed", "buckets")}
    ratios["buckets_over_packed"] = speed["buckets"] / speed["packed"]
    result = {"row_tokens": {"mean": statistics.fmean(lengths), "longest": max(lengths)}, **ratios, "modes": found}
    out.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
