"""Supervised batches without padding, and by length, against padded ones: tokens a second and loss at equal tokens.

Command: python scripts/bench/batching.py OUT.json   (two CPU cores: about 10 minutes)
The bundled model learns worked arithmetic of 1 to 12 steps in three verbosities, rows of 60 to 1,000 tokens. `padded`
takes 8 rows a step and pads them to the longest, as TRL does without flash attention; `packed` the same rows in one
flat row; `buckets` rows of one power of two, padding and all as many tokens a step. One process, the same rows and
learning rate; each ends with the step that brings it to the same number of tokens, and is measured on the same held-out
rows.
"""

from __future__ import annotations

import json
import statistics
import sys
import tempfile
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset
from transformers import TrainerCallback
from trl import SFTConfig

from lengthctl.config import ModelConfig
from lengthctl.data_gen.checkable import Verbosity, make_tasks
from lengthctl.models import LoadedTokenizer, load_policy, load_tokenizer
from lengthctl.problem_sources import ask_problem
from lengthctl.train.sft import LengthSFTTrainer
from lengthctl.train.supervised_rows import CompletionCollator, build_row
from lengthctl.trl_fields import trainer_defaults

ROWS, BATCH, SEED = 256, 8, 3
TOKENS = 19_000
"""Learned from by each: eight steps of rows as they come."""
HELD_OUT, HELD_OUT_SEED = 48, 4
MODEL = ModelConfig(chat_template="chatml")


class EndAtTokens(TrainerCallback):  # type: ignore[misc]
    """Ends a training with the step that reaches `TOKENS`."""

    def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, Any] | None = None, **_: Any) -> None:
        """By what the trainer counts itself."""
        if logs is not None and logs.get("num_tokens", 0) >= TOKENS:
            control.should_training_stop = True


def make_rows(tokenizer: LoadedTokenizer, count: int, seed: int) -> Dataset:
    """Rows whose lengths differ by a factor of twenty."""
    verbosities = list(Verbosity)
    rows = []
    for place, task in enumerate(make_tasks(count, seed, steps=(1, 12))):
        messages = [{"role": "user", "content": ask_problem(task.question)}]
        row = build_row(tokenizer, messages, task.worked[verbosities[place % 3]])
        rows.append({"prompt_ids": list(row.prompt_ids), "completion_ids": list(row.completion_ids)})
    return Dataset.from_list(rows)


def held_out_loss(model: Any, rows: Dataset) -> float:
    """Nats a token of the completions, each token alike."""
    total, tokens = 0.0, 0
    model.eval()
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        for row in rows:
            ids = torch.tensor([row["prompt_ids"] + row["completion_ids"]])
            written = len(row["completion_ids"])
            logits = model(input_ids=ids).logits[0, -written - 1 : -1].float()
            total += float(torch.nn.functional.cross_entropy(logits, ids[0, -written:], reduction="sum"))
            tokens += written
    return total / tokens


def run(
    mode: Any, rows: Dataset, held_out: Dataset, tokenizer: LoadedTokenizer, batch_tokens: int, folder: str
) -> dict[str, float]:
    """Train up to `TOKENS`; speed without the first step, which warms up."""
    values = {
        **trainer_defaults("sft"),
        "per_device_train_batch_size": BATCH,
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
        callbacks=[EndAtTokens()],
    )
    trainer.train()
    logs = [row for row in trainer.state.log_history if "loss" in row][1:]
    return {
        "tokens_per_second": statistics.fmean(row["speed/train_tokens_per_second"] for row in logs),
        "padding_fraction": statistics.fmean(row["speed/train_padding_fraction"] for row in logs),
        "held_out_loss": held_out_loss(trainer.model, held_out),
        "tokens": float(logs[-1]["num_tokens"]),
        "steps": float(trainer.state.global_step),
    }


def main(out: Path) -> None:
    tokenizer = load_tokenizer(MODEL)
    rows, held_out = make_rows(tokenizer, ROWS, SEED), make_rows(tokenizer, HELD_OUT, HELD_OUT_SEED)
    untouched = held_out_loss(load_policy(MODEL), held_out)
    lengths = [len(row["prompt_ids"]) + len(row["completion_ids"]) for row in rows]
    budget = round(BATCH * statistics.fmean(lengths))
    with tempfile.TemporaryDirectory() as folder:
        modes = ("padded", "packed", "buckets")
        found = {mode: run(mode, rows, held_out, tokenizer, budget, folder) for mode in modes}
    speed = {mode: side["tokens_per_second"] for mode, side in found.items()}
    ratios = {f"{mode}_over_padded": speed[mode] / speed["padded"] for mode in ("packed", "buckets")}
    ratios["buckets_over_packed"] = speed["buckets"] / speed["packed"]
    result = {"row_tokens": {"mean": statistics.fmean(lengths), "longest": max(lengths)}, **ratios, "modes": found}
    result["held_out_loss_untouched"] = untouched
    out.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
