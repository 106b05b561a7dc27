"""Plain TRL's side of the step benchmark, in a process of its own.

Command: python scripts/bench/step_trl.py RECORDED.json OUT.json CAP autocast|bf16
"""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset
from recorded import CONFIG, MEMBERS, PROMPTS, STEPS, Clock, load, make_rows, trainer_args
from transformers.generation.continuous_batching import ContinuousBatchingManager
from trl import GRPOTrainer

from lengthctl.models import load_policy, load_tokenizer
from lengthctl.records import Completion
from lengthctl.rewards.combine import build_combined


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


def main(recorded_file: Path, out: Path, cap: int, half: bool) -> None:
    """Train, and write seconds of each step; `half` keeps the weights in bf16, else autocast."""
    tokenizer = load_tokenizer(CONFIG.model)
    micro_batches = PROMPTS * MEMBERS // 8
    model = load_policy(CONFIG.model)
    with tempfile.TemporaryDirectory() as folder:
        trainer = PlainTRL(
            model=model.to(torch.bfloat16) if half else model,
            reward_funcs=[build_combined(CONFIG.rewards, tokenizer.tokenizer)],
            args=trainer_args(
                folder,
                cap,
                per_device_train_batch_size=8,
                gradient_accumulation_steps=micro_batches,
                steps_per_generation=micro_batches,
                bf16=not half,
                use_transformers_continuous_batching=True,
            ),
            train_dataset=Dataset.from_list(make_rows(cap) * STEPS),
            processing_class=tokenizer.tokenizer,
        )
        trainer.recorded = load(recorded_file)
        clock = Clock()
        trainer.add_callback(clock)
        trainer.train()
    out.write_text(json.dumps({"seconds": clock.steps()}), encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]), sys.argv[4] == "bf16")
