"""`LengthTrainer` against TRL's own path: the same loss and the same gradient, whatever the micro-batches."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from transformers import TrainerCallback

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

        draw = random.Random(str(prompts))
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


def make_trainer(folder: Path, loss_type: str, budget: int | None, *, requests: int = 2, steps: int = 1) -> Any:
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
    rows = [
        {"prompt": [{"role": "user", "content": "a " * i}], "target": target, "prompt_id": str(i)}
        for i in range(1, 5 * requests, 5)
    ]
    values = {**TRAINER_DEFAULTS, "loss_type": loss_type, "num_generations": 4, "per_device_train_batch_size": 8}
    args = GRPOConfig(
        **{**values, "save_steps": 1}, output_dir=str(folder), use_cpu=True, max_steps=steps, bf16=False, seed=3
    )
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


class StopAfterSaving(TrainerCallback):
    """Ctrl-C once the checkpoint of a step is written."""

    def __init__(self, step: int) -> None:
        self.step = step

    def on_save(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        if state.global_step == self.step:
            raise KeyboardInterrupt


def numbers(trainer: Any) -> list[dict[str, float]]:
    """The log of every step, without what a clock tells."""
    clocks = ("time", "runtime", "per_second", "seconds")
    logs = [row for row in trainer.state.log_history if "reward" in row]
    return [{k: v for k, v in row.items() if not any(clock in k for clock in clocks)} for row in logs]


@pytest.mark.parametrize("stops", [(1,), (2, 3), (4,)])
def test_a_resumed_run_ends_as_an_undisturbed_one(tmp_path: Path, stops: tuple[int, ...]) -> None:
    """Five requests in batches of two: the stops fall inside an epoch, and at its boundary."""
    whole = make_trainer(tmp_path / "whole", "dapo", 120, requests=5, steps=5)
    whole.train()
    checkpoint: str | None = None
    for stop in stops:
        cut = make_trainer(tmp_path / "cut", "dapo", 120, requests=5, steps=5)
        cut.add_callback(StopAfterSaving(stop))
        with pytest.raises(KeyboardInterrupt):
            cut.train(resume_from_checkpoint=checkpoint)
        checkpoint = str(tmp_path / "cut" / f"checkpoint-{stop}")
    resumed = make_trainer(tmp_path / "cut", "dapo", 120, requests=5, steps=5)
    resumed.train(resume_from_checkpoint=checkpoint)
    assert numbers(resumed) == numbers(whole)
    for (name, ours), theirs in zip(resumed.model.state_dict().items(), whole.model.state_dict().values(), strict=True):
        assert ours.equal(theirs), name
