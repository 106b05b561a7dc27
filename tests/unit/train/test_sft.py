"""Supervised training on a model of a few thousand weights: the loss, its weights, the batches, an exact resume."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest
import torch
from datasets import Dataset
from transformers import LlamaConfig, LlamaForCausalLM
from trl import SFTConfig

from lengthctl.models import BUNDLED, LoadedTokenizer, load_tokenizer
from lengthctl.train.sft import LengthSFTTrainer
from lengthctl.train.supervised_rows import CompletionCollator, Weighting, build_row
from lengthctl.trl_fields import trainer_defaults

LEAD = 500


@pytest.fixture(scope="module")
def tokenizer() -> LoadedTokenizer:
    from lengthctl.config import ModelConfig

    return load_tokenizer(ModelConfig(name=BUNDLED, chat_template="chatml"))


def rows(count: int) -> Dataset:
    draw = random.Random(5)

    def ids(low: int, high: int) -> list[int]:
        return [draw.randrange(100, 400) for _ in range(draw.randint(low, high))]

    return Dataset.from_list(
        [{"prompt_ids": ids(2, 9), "completion_ids": [LEAD, *ids(1, 20), 2]} for _ in range(count)]
    )


def make(folder: Path, tokenizer: LoadedTokenizer, **changes: Any) -> LengthSFTTrainer:
    torch.manual_seed(0)
    size = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2}
    model = LlamaForCausalLM(LlamaConfig(vocab_size=600, num_key_value_heads=2, **size))
    ours = {"collator", "batching", "batch_tokens", "micro_batch_tokens", "train_dataset"}
    options = {key: value for key, value in changes.items() if key not in ours}
    values = {**trainer_defaults("sft"), "per_device_train_batch_size": 8, "save_steps": 1, "seed": 3, "bf16": False}
    values |= {"dataset_kwargs": {"skip_prepare_dataset": True}, "max_steps": 2, **options}
    return LengthSFTTrainer(
        model=model,
        args=SFTConfig(**values, output_dir=str(folder), use_cpu=True),
        processing_class=tokenizer.tokenizer,
        **{
            "train_dataset": rows(8),
            "collator": CompletionCollator(),
            **{key: value for key, value in changes.items() if key in ours},
        },
    )


def loss_and_gradient(trainer: LengthSFTTrainer) -> tuple[float, torch.Tensor]:
    batch = trainer.data_collator([trainer.train_dataset[i] for i in range(8)])
    trainer.current_gradient_accumulation_steps = 1  # set by the loop
    loss = trainer.training_step(trainer.model, batch)
    return float(loss), torch.cat([p.grad.flatten() for p in trainer.model.parameters()])


def by_hand(trainer: LengthSFTTrainer, lead_weight: float, by_sequence: bool) -> float:
    total, weight = 0.0, 0.0
    for row in trainer.train_dataset:
        ids = torch.tensor([row["prompt_ids"] + row["completion_ids"]])
        with torch.no_grad():
            scores = torch.log_softmax(trainer.model(input_ids=ids).logits[0].float(), dim=-1)
        start = len(row["prompt_ids"])
        nats = [-float(scores[i - 1, ids[0, i]]) for i in range(start, ids.size(1))]
        weights = [lead_weight] + [1.0] * (len(nats) - 1)
        scale = 1 / sum(weights) if by_sequence else 1.0
        total += scale * sum(n * w for n, w in zip(nats, weights, strict=True))
        weight += scale * sum(weights)
    return total / weight


@pytest.mark.parametrize(("lead_weight", "by_sequence"), [(1.0, False), (3.0, False), (0.0, True)])
def test_the_loss_is_the_weighted_mean_however_it_is_computed(
    tmp_path: Path, tokenizer: LoadedTokenizer, lead_weight: float, by_sequence: bool
) -> None:
    collator = CompletionCollator(frozenset({LEAD}), lead_weight, "sequences" if by_sequence else "tokens")
    found = {}
    for batching in ("packed", "padded"):
        for budget in (None, 40):
            trainer = make(tmp_path, tokenizer, collator=collator, batching=batching, micro_batch_tokens=budget)
            assert (trainer.packing_obstacle is None) == (batching == "packed")
            found[batching, budget] = loss_and_gradient(trainer)
    expected = by_hand(make(tmp_path, tokenizer), lead_weight, by_sequence)
    gradient = found["padded", None][1]
    for loss, grad in found.values():
        assert loss == pytest.approx(expected, abs=1e-4)
        assert torch.allclose(grad, gradient, atol=1e-5)


def test_the_loss_is_that_of_trl(tmp_path: Path, tokenizer: LoadedTokenizer) -> None:
    """On the same rows, with labels on completions only."""
    from trl import SFTTrainer

    ours = make(tmp_path, tokenizer)
    loss, _ = loss_and_gradient(ours)
    labelled = [
        {
            "input_ids": row["prompt_ids"] + row["completion_ids"],
            "labels": [-100] * len(row["prompt_ids"]) + row["completion_ids"],
        }
        for row in ours.train_dataset
    ]
    plain = make(tmp_path, tokenizer)
    theirs = SFTTrainer(
        model=plain.model,
        args=SFTConfig(
            output_dir=str(tmp_path), use_cpu=True, bf16=False, dataset_kwargs={"skip_prepare_dataset": True}
        ),
        train_dataset=Dataset.from_list(labelled),
        processing_class=tokenizer.tokenizer,
    )
    assert float(theirs.compute_loss(theirs.model, theirs.data_collator(labelled))) == pytest.approx(loss, abs=1e-4)


@pytest.mark.parametrize("batching", ["packed", "padded", "buckets"])
def test_a_resumed_training_is_the_same(tmp_path: Path, tokenizer: LoadedTokenizer, batching: str) -> None:
    changes = {"batching": batching, "train_dataset": rows(40), "max_steps": 9, "batch_tokens": 96}
    changes |= {"max_steps": 14} if batching == "buckets" else {}
    changes |= {"save_steps": 7}
    whole = make(tmp_path / "whole", tokenizer, save_total_limit=None, **changes)
    whole.train()
    assert whole.state.epoch > 1  # the second epoch has an order of its own
    resumed = make(tmp_path / "resumed", tokenizer, save_total_limit=None, **changes)
    resumed.train(resume_from_checkpoint=str(tmp_path / "whole" / "checkpoint-7"))

    def steps(trainer: LengthSFTTrainer) -> list[tuple[int, float, float]]:
        return [(r["step"], r["loss"], r["grad_norm"]) for r in trainer.state.log_history if "loss" in r]

    assert steps(whole) == steps(resumed)
    pairs = zip(whole.model.parameters(), resumed.model.parameters(), strict=True)
    assert all(torch.equal(a, b) for a, b in pairs)


def test_learning_lowers_the_loss_and_tells_lead_and_text_apart(tmp_path: Path, tokenizer: LoadedTokenizer) -> None:
    collator = CompletionCollator(frozenset({LEAD}))
    trainer = make(tmp_path, tokenizer, collator=collator, max_steps=20, learning_rate=0.05, save_steps=20)
    trainer.train()
    logs = [row for row in trainer.state.log_history if "loss" in row]
    assert logs[-1]["nats/lead"] < 1 < 4 < logs[0]["nats/lead"]
    assert logs[-1]["nats/text"] < logs[0]["nats/text"]
    assert all(0 <= row["speed/train_padding_fraction"] < 1 for row in logs)


def test_a_row_is_what_the_model_sees_when_it_writes(tokenizer: LoadedTokenizer) -> None:
    asked = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hello?"}]
    row = build_row(tokenizer, asked, "Yes. <|im_end|> no", lead_id=LEAD)
    assert row.prompt_ids == tokenizer.prompt_ids(asked)
    assert row.completion_ids[0] == LEAD
    assert row.completion_ids[-1] in tokenizer.stop_token_ids
    assert sum(i in tokenizer.stop_token_ids for i in row.completion_ids) == 1
    plain = build_row(tokenizer, asked, "Yes.")
    assert tokenizer.decode(plain.completion_ids) == "Yes."
    assert plain.completion_ids[-1] in tokenizer.stop_token_ids


def test_greedy_texts_end_where_the_model_ends_them_and_leave_its_mode(
    tmp_path: Path, tokenizer: LoadedTokenizer
) -> None:
    from lengthctl.train.greedy import continue_greedily

    model = make(tmp_path, tokenizer).model.train()
    prompts = [[101, 102, 103], [104]]
    both = continue_greedily(model, prompts, [2], 12)
    assert model.training
    assert [len(row) <= 12 for row in both] == [True, True]
    assert both == [continue_greedily(model, [prompt], [2], 12)[0] for prompt in prompts]
    stop = both[0][3]
    assert continue_greedily(model, prompts[:1], [stop], 12)[0] == both[0][: both[0].index(stop)]


def test_hyperfitting_is_watched_and_ends_by_its_rule(tmp_path: Path, tokenizer: LoadedTokenizer) -> None:
    from lengthctl.train.greedy import continue_greedily
    from lengthctl.train.hyperfitting import HyperfitProbe, StopReason, StopRule, build_callback

    trainer = make(tmp_path, tokenizer, max_steps=40, learning_rate=0.05, save_steps=40)

    def continued(_: object) -> list[list[int]]:
        return continue_greedily(trainer.model, [[101, 102]], [2], 16)

    probe = HyperfitProbe(["p"], continued, trainer.log, every=4, rule=StopRule(4.0, 2, None))
    trainer.add_callback(build_callback(probe))
    trainer.train()
    assert probe.stop_reason is StopReason.LOSS
    assert trainer.state.global_step < 40
    looked = [row["step"] for row in trainer.state.log_history if "hyperfit/ttr" in row]
    assert looked[:2] == [0, 4]


GOLDEN_LOSS = json.loads((Path(__file__).parents[2] / "golden" / "long_texts.json").read_text())["loss"]


@pytest.mark.parametrize("weighting", ["tokens", "sequences", "longwriter"])
def test_the_three_weightings_by_hand(weighting: Weighting) -> None:
    rows = [{"prompt_ids": [1], "completion_ids": [2] * tokens} for tokens, _ in GOLDEN_LOSS["rows"]]
    collator = CompletionCollator(weighting=weighting)
    weights = collator(rows)["loss_weights"]
    summed = sum(float(weight.sum()) * nats for weight, (_, nats) in zip(weights, GOLDEN_LOSS["rows"], strict=True))
    divisor = 1.0 if collator.is_scaled else float(weights.sum())
    assert summed / divisor == pytest.approx(GOLDEN_LOSS[weighting], rel=1e-5)


def test_the_loss_of_longwriters_code_is_the_token_mean_scaled(tmp_path: Path, tokenizer: LoadedTokenizer) -> None:
    losses = {}
    weightings: list[Weighting] = ["tokens", "longwriter"]
    for weighting in weightings:
        trainer = make(tmp_path, tokenizer, collator=CompletionCollator(weighting=weighting), micro_batch_tokens=40)
        losses[weighting], _ = loss_and_gradient(trainer)
    assert losses["longwriter"] == pytest.approx(losses["tokens"] * 8 / 30, rel=1e-4)
