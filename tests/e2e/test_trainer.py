"""`LengthTrainer` against TRL's own path: the same loss and the same gradient, whatever the micro-batches."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from lengthctl.length import Target, Unit
from lengthctl.records import Completion, FinishReason

pytestmark = pytest.mark.e2e


class FixedGeneration:
    """Completions of 3 to 24 random tokens, with sampler logprobs a little off."""

    def __init__(self) -> None:
        self.targets: list[Target | None] = []
        self.completions: list[Completion] = []

    def bind(self, trainer: Any) -> None:
        self.eos = trainer.eos_token_ids[0]

    def sync_weights(self) -> None:
        pass

    def speed(self) -> dict[str, float]:
        return {}

    def generate(self, prompts: list[list[int]], images: Any, num_generations: int, profiler: Any = None) -> Any:
        import random

        draw = random.Random(0)
        ids = [[draw.randrange(100, 400) for _ in range(draw.randint(3, 24))] + [self.eos] for _ in prompts]
        logprobs = [[-6.0 - draw.random() * 0.5 for _ in row] for row in ids]
        self.completions = [
            Completion(
                request_id=str(i),
                token_ids=tuple(row),
                logprobs=tuple(values),
                text=" ".join("w" for _ in row),
                finish=FinishReason.EOS,
                engine="fixed",
            )
            for i, (row, values) in enumerate(zip(ids, logprobs, strict=True))
        ]
        return prompts, ids, [[[v] for v in row] for row in logprobs], None


def make_trainer(folder: Path, loss_type: str, budget: int | None) -> Any:
    import torch
    from datasets import Dataset
    from transformers import LlamaConfig, LlamaForCausalLM
    from trl import GRPOConfig

    from lengthctl.config import ModelConfig, RewardSpec
    from lengthctl.models import BUNDLED, load_tokenizer
    from lengthctl.rewards.combine import build_combined
    from lengthctl.train.rl import LengthTrainer
    from lengthctl.trl_fields import TRAINER_DEFAULTS

    torch.manual_seed(0)
    tokenizer = load_tokenizer(ModelConfig(name=BUNDLED)).tokenizer
    size = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2}
    model = LlamaForCausalLM(LlamaConfig(vocab_size=len(tokenizer), num_key_value_heads=2, **size))
    target = Target(10, unit=Unit.WORDS).to_row()
    rows = [{"prompt": [{"role": "user", "content": "a " * i}], "target": target, "prompt_id": str(i)} for i in (1, 9)]
    values = {**TRAINER_DEFAULTS, "loss_type": loss_type, "num_generations": 4, "per_device_train_batch_size": 8}
    args = GRPOConfig(**values, output_dir=str(folder), use_cpu=True, max_steps=1, bf16=False)
    return LengthTrainer(
        model=model,
        args=args,
        train_dataset=Dataset.from_list(rows),
        processing_class=tokenizer,
        generation=FixedGeneration(),
        reward=build_combined([RewardSpec(name="log_ratio")]),
        keep_best=None,
        keep_worst=None,
        micro_batch_tokens=budget,
    )


def gradient(trainer: Any) -> Any:
    import torch

    return torch.cat([p.grad.flatten() for p in trainer.model.parameters() if p.grad is not None])


@pytest.mark.parametrize("loss_type", ["dapo", "grpo", "bnpo", "dr_grpo"])
def test_loss_and_gradient_are_those_of_trl(tmp_path: Path, loss_type: str) -> None:
    torch = pytest.importorskip("torch")
    from trl import GRPOTrainer

    ours = make_trainer(tmp_path / "ours", loss_type, budget=120)
    rows = next(iter(ours.get_train_dataloader()))
    ours.current_gradient_accumulation_steps = 1
    ours.model.train()
    loss = ours.training_step(ours.model, rows)

    theirs = make_trainer(tmp_path / "theirs", loss_type, budget=None)
    theirs._ratio_in_forward = False  # TRL then spends a forward of its own on the old logprobs
    theirs.current_gradient_accumulation_steps = 1
    theirs.model.train()
    batch = theirs._generate_and_score_completions(rows)
    expected = GRPOTrainer._compute_loss(theirs, theirs.model, batch)
    expected.backward()

    assert loss.item() == pytest.approx(expected.item(), rel=1e-4, abs=1e-6)
    assert gradient(theirs).norm() > 0
    torch.testing.assert_close(gradient(ours), gradient(theirs), rtol=1e-3, atol=1e-6)
