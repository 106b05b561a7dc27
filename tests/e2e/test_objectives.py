"""Presets against TRL's own losses on the same batch, and steps whose groups were filtered or drawn anew."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from stop_after_saving import StopAfterSaving
from tiny_trainer import EOS, make_trainer, numbers

from lengthctl.config.advantage import AdvantageConfig
from lengthctl.config.presets import find_preset
from lengthctl.records import Completion, FinishReason
from lengthctl.rollout.backend import Request

pytestmark = pytest.mark.e2e


def preset_trainer(folder: Path, name: str, **options: Any) -> Any:
    """The tiny model under a preset; without KL, as its reference model has no name to be loaded by, and without the
    filter, which TRL lacks."""
    preset = find_preset(name)
    values = {**preset.trainer, "beta": 0.0, **options}
    trainer = make_trainer(folder, values.pop("loss_type"), 120, **values)
    rule = {k: v for k, v in preset.train.get("advantage", {}).items() if k not in ("filter", "resample_rounds")}
    return ready(trainer, **rule)


def ready(trainer: Any, **rule: Any) -> Any:
    trainer._update = replace(trainer._update, rule=AdvantageConfig(**rule))
    trainer.current_gradient_accumulation_steps = 1
    trainer.model.train()
    return trainer


def gradient(trainer: Any) -> Any:
    import torch

    return torch.cat([p.grad.flatten() for p in trainer.model.parameters() if p.grad is not None])


def move(trainer: Any) -> None:
    """The same small change of all weights."""
    import torch

    torch.manual_seed(5)
    trainer.model.zero_grad()
    with torch.no_grad():
        for parameter in trainer.model.parameters():
            parameter += 0.02 * torch.randn_like(parameter)


def silence(trainer: Any, every: int = 1) -> Any:
    """All completions of a prompt whose tokens are a multiple of `every` are alike, and earn the same."""
    pool = trainer._generation._pool
    generate = pool.generate

    def some_alike(requests: Sequence[Request], *args: Any) -> list[Completion]:
        alike = {"token_ids": (150, 151, 152, EOS), "logprobs": (-6.0,) * 4}
        pairs = zip(requests, generate(requests, *args), strict=True)
        return [replace(done, **alike) if len(request.prompt_ids) % every == 0 else done for request, done in pairs]

    pool.generate = some_alike
    return trainer


@pytest.mark.parametrize("name", ["grpo", "dr_grpo", "dapo", "gspo", "cispo"])
def test_the_first_updates_of_a_preset_are_trls(tmp_path: Path, name: str) -> None:
    """The second one is of the same batch after the weights moved: ratios leave 1, and some are clipped."""
    import torch
    from trl import GRPOTrainer

    ours = preset_trainer(tmp_path / "ours", name, num_iterations=2)
    rows = next(iter(ours.get_train_dataloader()))
    theirs = preset_trainer(tmp_path / "theirs", name, num_iterations=2)
    batch = GRPOTrainer._generate_and_score_completions(theirs, [dict(row) for row in rows])
    for iteration in range(2):
        if iteration:
            move(ours)
            move(theirs)
        loss = ours.training_step(ours.model, rows)
        expected = GRPOTrainer._compute_loss(theirs, theirs.model, batch)
        expected.backward()
        assert loss.item() == pytest.approx(expected.item(), rel=1e-3, abs=1e-5)
        assert gradient(theirs).norm() > 0
        torch.testing.assert_close(gradient(ours), gradient(theirs), rtol=1e-2, atol=1e-5)


def test_the_first_update_of_rloo_is_trls(tmp_path: Path) -> None:
    """TRL's loss is -mean(A), ours -mean(A n): another number, the same gradient."""
    import torch
    from trl import RLOOTrainer

    plain = {"vllm_importance_sampling_correction": False}
    ours = preset_trainer(tmp_path / "ours", "rloo", **plain)
    rows = next(iter(ours.get_train_dataloader()))
    ours.training_step(ours.model, rows)

    theirs = preset_trainer(tmp_path / "theirs", "rloo", **plain)
    batch = theirs._generate_and_score_completions([dict(row) for row in rows])
    rewards = torch.tensor(theirs._own_rewards).view(-1, 4)
    others = (rewards.sum(dim=1, keepdim=True) - rewards) / 3  # as TRL's RLOOTrainer has it
    batch["advantages"] = (rewards - others).flatten()
    ids = torch.cat([batch["prompt_ids"], batch["completion_ids"]], dim=1)
    mask = torch.cat([batch["prompt_mask"], batch["completion_mask"]], dim=1)
    logps, *_ = theirs._get_per_token_logps_and_entropies(theirs.model, ids, mask, batch["completion_ids"].size(1))
    batch["old_logps"] = (logps * batch["completion_mask"]).sum(1).detach()
    RLOOTrainer._compute_loss(theirs, theirs.model, batch).backward()
    assert gradient(theirs).norm() > 0
    torch.testing.assert_close(gradient(ours), gradient(theirs), rtol=1e-3, atol=1e-6)


@pytest.mark.parametrize("loss_type", ["dapo", "grpo", "dr_grpo", "luspo", "bnpo", "cispo"])
def test_a_dropped_group_counts_nowhere(tmp_path: Path, loss_type: str) -> None:
    """A step of two groups, one silent, learns what a step of the other alone learns."""
    import torch

    high = {"epsilon_high": 5.0} if loss_type == "cispo" else {}
    both = ready(make_trainer(tmp_path / "both", loss_type, 60, **high), filter="spread")
    rows = next(iter(both.get_train_dataloader()))
    both.training_step(both.model, rows)
    kept = [row for row in rows if not is_silent(both, row["group"])]
    assert len(kept) == 4

    alone = ready(make_trainer(tmp_path / "alone", loss_type, None, batch=4, **high))
    pool = alone._generation._pool
    shift = rows.index(kept[0])
    generate = pool.generate
    # the pool draws by the number of a request
    pool.generate = lambda requests, *a: generate([replace(r, id=f"1-{i + shift}") for i, r in enumerate(requests)], *a)
    alone.training_step(alone.model, [dict(row) for row in kept])
    assert gradient(alone).norm() > 0
    torch.testing.assert_close(gradient(both), gradient(alone), rtol=1e-3, atol=1e-6)


def is_silent(trainer: Any, group: int) -> bool:
    rewards = trainer._own_rewards[group * 4 : group * 4 + 4]
    return max(rewards) - min(rewards) < 1e-6


@pytest.mark.parametrize("rounds", [0, 2])
@pytest.mark.parametrize("loss_type", ["dapo", "grpo"])
def test_a_step_without_anything_to_learn_changes_nothing(tmp_path: Path, loss_type: str, rounds: int) -> None:
    trainer = make_trainer(tmp_path, loss_type, 120, requests=6, steps=2, optim="sgd", learning_rate=1.0)
    ready(trainer, filter="spread", resample_rounds=rounds)
    silence(trainer)
    said: list[str] = []
    trainer._say = said.append
    before = {name: value.clone() for name, value in trainer.model.state_dict().items()}
    trainer.train()
    assert [row["groups/trained"] for row in numbers(trainer)] == [0, 0]
    losses = [row["loss"] for row in trainer.state.log_history if "loss" in row]
    assert losses == [0.0, 0.0]
    assert said == ["step 1: no group passes the filter, so its gradient is zero"]
    for name, value in trainer.model.state_dict().items():
        assert value.equal(before[name]), name


def resampling(folder: Path, **options: Any) -> Any:
    trainer = silence(make_trainer(folder, "dapo", 120, requests=12, **options), every=2)
    return ready(trainer, filter="spread", resample_rounds=9, scale="centred_batch_std")


def test_other_prompts_take_the_place_of_silent_ones(tmp_path: Path) -> None:
    trainer = resampling(tmp_path, steps=3)
    asked: list[list[tuple[int, ...]]] = []
    first: list[list[tuple[int, ...]]] = []
    pool = trainer._generation._pool
    generate = pool.generate

    def listen(requests: Any, *args: Any) -> Any:
        asked.append([request.prompt_ids for request in requests])
        return generate(requests, *args)

    pool.generate = listen
    trainer.train()
    logs = numbers(trainer)
    assert [row["groups/trained"] for row in logs] == [2, 2, 2]
    rounds = [int(row["resample/rounds"]) for row in logs]
    assert sum(rounds) > 0
    assert all((row["resample/tokens"] > 0) == (count > 0) for row, count in zip(logs, rounds, strict=True))
    for count in rounds:
        first.append(asked[0])
        drawn, asked = [prompt for call in asked[: count + 1] for prompt in call[::4]], asked[count + 1 :]
        assert len(set(drawn)) == len(drawn)  # never a prompt of this step
    # what a step says of its prompts is what it drew for itself, in TRL's table as well
    assert len(trainer._logs["prompt"]) == len(trainer._logs["advantages"]) == 8
    shown = list(trainer._logs["prompt"])[::4]
    assert [
        trainer.processing_class.apply_chat_template(p, add_generation_prompt=True)["input_ids"] for p in shown
    ] == [list(ids) for ids in first[-1][::4]]
    assert all(row["completions/max_length"] <= 25 for row in logs)


def test_a_resumed_run_draws_the_same_prompts_anew(tmp_path: Path) -> None:
    whole = resampling(tmp_path / "whole", steps=4)
    whole.train()
    assert sum(row["resample/rounds"] for row in numbers(whole)) > 0
    cut = resampling(tmp_path / "cut", steps=4)
    cut.add_callback(StopAfterSaving(2))
    with pytest.raises(KeyboardInterrupt):
        cut.train()
    resumed = resampling(tmp_path / "cut", steps=4)
    resumed.train(resume_from_checkpoint=str(tmp_path / "cut" / "checkpoint-2"))
    assert numbers(resumed) == numbers(whole)
    for (name, ours), theirs in zip(resumed.model.state_dict().items(), whole.model.state_dict().values(), strict=True):
        assert ours.equal(theirs), name


def test_rewards_are_told_their_groups(tmp_path: Path) -> None:
    trainer = ready(make_trainer(tmp_path, "dapo", 120))
    rows = next(iter(trainer.get_train_dataloader()))
    trainer._generate_and_score_completions(rows)
    assert [row["group"] for row in rows] == [0, 0, 0, 0, 1, 1, 1, 1]
    assert trainer._metrics["train"]["speed/estimator_seconds"]


def test_groups_of_one_answer_leave_by_what_is_right(tmp_path: Path) -> None:
    """The first group is mixed, but for the completion that failed; all of the second are right."""
    trainer = ready(make_trainer(tmp_path, "dapo", 120), filter="correct")
    trainer._checks_answers = True
    rows = next(iter(trainer.get_train_dataloader()))
    for row, right in zip(rows, [False, True, True, True] * 2, strict=True):
        row["is_correct"] = right or row["prompt_id"] == rows[4]["prompt_id"]
    batch = trainer._generate_and_score_completions(rows)
    assert len(batch["completion_ids"]) == 4
    assert trainer._metrics["train"]["answers/correct_fraction"] == [7 / 8]

    pool = trainer._generation._pool
    generate = pool.generate
    lost = {"text": "", "token_ids": (), "logprobs": (), "finish": FinishReason.ERROR, "error": "lost"}
    pool.generate = lambda *args: [replace(c, **lost) if i == 0 else c for i, c in enumerate(generate(*args))]
    trainer._generate_and_score_completions(rows)  # what failed is not wrong: no group is mixed any more
    assert trainer._metrics["train"]["groups/trained"] == [1.0, 0.0]
