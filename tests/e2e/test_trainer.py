"""`LengthTrainer` against TRL's own path: the same loss and the same gradient, whatever the micro-batches."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from stop_after_saving import StopAfterSaving
from tiny_trainer import make_trainer, numbers

from lengthctl.records import Completion, FinishReason

pytestmark = pytest.mark.e2e


def gradient(trainer: Any) -> Any:
    import torch

    return torch.cat([p.grad.flatten() for p in trainer.model.parameters() if p.grad is not None])


@pytest.mark.parametrize(
    ("loss_type", "decay"), [("dapo", None), ("grpo", None), ("bnpo", None), ("dr_grpo", None), ("dapo", 0.9)]
)
def test_loss_and_gradient_are_those_of_trl(tmp_path: Path, loss_type: str, decay: float | None) -> None:
    torch = pytest.importorskip("torch")
    from trl import GRPOTrainer

    ours = make_trainer(tmp_path / "ours", loss_type, budget=120, survivor_decay=decay)
    rows = next(iter(ours.get_train_dataloader()))
    ours.current_gradient_accumulation_steps = 1
    ours.model.train()
    loss = ours.training_step(ours.model, rows)

    theirs = make_trainer(tmp_path / "theirs", loss_type, budget=None, survivor_decay=decay)
    theirs._ratio_in_forward = False  # TRL then spends a forward of its own on the old logprobs
    theirs.current_gradient_accumulation_steps = 1
    theirs.model.train()
    batch = theirs._generate_and_score_completions(rows)
    expected = GRPOTrainer._compute_loss(theirs, theirs.model, batch)
    expected.backward()

    assert loss.item() == pytest.approx(expected.item(), rel=1e-4, abs=1e-6)
    assert gradient(theirs).norm() > 0
    torch.testing.assert_close(gradient(ours), gradient(theirs), rtol=1e-3, atol=1e-6)


@pytest.mark.parametrize("decay", [None, 1.0])
def test_a_failed_completion_moves_neither_itself_nor_its_group(tmp_path: Path, decay: float | None) -> None:
    trainer = make_trainer(tmp_path, "dapo", budget=120, survivor_decay=decay)
    pool = trainer._generation._pool
    generate = pool.generate

    def fail_the_second(*args: Any) -> list[Completion]:
        done: list[Completion] = generate(*args)
        broken = replace(done[1], text="", token_ids=(), logprobs=(), finish=FinishReason.ERROR, error="lost")
        return [done[0], broken, *done[2:]]

    pool.generate = fail_the_second
    batch = trainer._generate_and_score_completions(next(iter(trainer.get_train_dataloader())))
    rewards = [reward for reward in trainer._own_rewards[:4] if reward is not None]
    mean = sum(rewards) / 3
    first = batch["advantages"][:4] if decay is None else batch["advantages"][:4, 0]
    assert first.tolist() == pytest.approx([rewards[0] - mean, 0.0, rewards[1] - mean, rewards[2] - mean], abs=1e-6)


def test_survivor_advantages_stand_at_their_tokens(tmp_path: Path) -> None:
    from lengthctl.train.estimators import survivor_advantages

    trainer = make_trainer(tmp_path, "dapo", budget=120, survivor_decay=0.8)
    batch = trainer._generate_and_score_completions(next(iter(trainer.get_train_dataloader())))
    lengths = batch["completion_mask"].sum(dim=1).tolist()
    rewards = trainer._own_rewards
    for start in (0, 4):  # groups of four
        expected = survivor_advantages(rewards[start : start + 4], lengths[start : start + 4], decay=0.8)
        for row, own in enumerate(expected, start):
            assert batch["advantages"][row, : lengths[row]].tolist() == pytest.approx(own, abs=1e-6)
            assert not batch["advantages"][row, lengths[row] :].any()


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


def interrupt_at(trainer: Any, step: int) -> None:
    """Ctrl-C while the completions after that step are drawn."""
    pool = trainer._generation._pool
    generate = pool.generate

    def interrupt(*args: Any) -> Any:
        if trainer.state.global_step == step:
            raise KeyboardInterrupt
        return generate(*args)

    pool.generate = interrupt


@pytest.mark.parametrize("stop", [1, 3])
def test_an_interrupted_step_is_all_that_is_done_again(tmp_path: Path, stop: int) -> None:
    from lengthctl.train.callbacks import InterruptCheckpoint

    whole = make_trainer(tmp_path / "whole", "dapo", 120, requests=5, steps=4)
    whole.train()
    rare = {"requests": 5, "steps": 4, "save_steps": 100}
    cut = make_trainer(tmp_path / "cut", "dapo", 120, **rare)
    interrupted = InterruptCheckpoint()
    cut.add_callback(interrupted)
    interrupt_at(cut, stop)
    with pytest.raises(KeyboardInterrupt):
        cut.train()
    assert interrupted.save(cut) == stop
    assert interrupted.save(cut) is None  # there is one now

    resumed = make_trainer(tmp_path / "cut", "dapo", 120, **rare)
    resumed.train(resume_from_checkpoint=str(tmp_path / "cut" / f"checkpoint-{stop}"))
    assert numbers(resumed) == numbers(whole)
    for (name, ours), theirs in zip(resumed.model.state_dict().items(), whole.model.state_dict().values(), strict=True):
        assert ours.equal(theirs), name


def test_the_tail_average_is_the_mean_of_the_last_steps_and_outlives_a_stop(tmp_path: Path) -> None:
    import torch
    from safetensors.torch import load_file

    from lengthctl.train.averaging import TailAverage

    options = {"requests": 5, "steps": 4, "save_total_limit": 5}
    cut = make_trainer(tmp_path / "cut", "dapo", 120, **options)
    cut.add_callback(TailAverage(3))
    cut.add_callback(StopAfterSaving(3))
    with pytest.raises(KeyboardInterrupt):
        cut.train()
    checkpoint = tmp_path / "cut" / "checkpoint-3"
    resumed = make_trainer(tmp_path / "cut", "dapo", 120, **options)
    average = TailAverage(3, checkpoint)
    resumed.add_callback(average)
    resumed.train(resume_from_checkpoint=str(checkpoint))
    assert average.apply(resumed.model) == 3
    saved = [load_file(tmp_path / "cut" / f"checkpoint-{step}" / "model.safetensors") for step in (2, 3, 4)]
    for name, parameter in resumed.model.named_parameters():
        torch.testing.assert_close(parameter.data, torch.stack([s[name] for s in saved]).mean(0))


def test_the_tail_average_outlives_an_interrupt(tmp_path: Path) -> None:
    """Its sum is written with the checkpoint that Ctrl-C leaves; a checkpoint without it does not count."""
    import torch

    from lengthctl.train.averaging import TAIL_FILE, TailAverage
    from lengthctl.train.callbacks import InterruptCheckpoint
    from lengthctl.train.checkpoints import last_checkpoint, take_up

    options = {"requests": 5, "steps": 4, "save_steps": 100}
    averages = []
    for name in ("whole", "cut"):
        trainer = make_trainer(tmp_path / name, "dapo", 120, **options)
        average, interrupted = TailAverage(3), InterruptCheckpoint()
        trainer.add_callback(average)
        trainer.add_callback(interrupted)
        if name == "cut":
            interrupt_at(trainer, 3)
            with pytest.raises(KeyboardInterrupt):
                trainer.train()
            assert interrupted.save(trainer) == 3
            found = last_checkpoint(tmp_path / "cut", {TAIL_FILE: 2})
            assert found is not None
            average = TailAverage(3, found)
            trainer = make_trainer(tmp_path / name, "dapo", 120, **options)
            trainer.add_callback(average)
            assert not take_up(trainer, found)
            trainer.train(resume_from_checkpoint=str(found))
        else:
            trainer.train()
        assert average.apply(trainer.model) == 3
        averages.append(trainer.model.state_dict())
    for name, weights in averages[0].items():
        torch.testing.assert_close(averages[1][name], weights)
    (tmp_path / "cut" / "checkpoint-3" / TAIL_FILE).unlink()
    assert last_checkpoint(tmp_path / "cut", {TAIL_FILE: 2}) != tmp_path / "cut" / "checkpoint-3"


def test_a_checkpoint_of_the_last_step_is_taken_up_and_not_trained(tmp_path: Path) -> None:
    from lengthctl.train.checkpoints import take_up

    whole = make_trainer(tmp_path, "dapo", 120, requests=5, steps=3)
    whole.train()
    again = make_trainer(tmp_path, "dapo", 120, requests=5, steps=3)
    assert take_up(again, tmp_path / "checkpoint-3")
    assert again.state.global_step == 3
    for (name, ours), theirs in zip(again.model.state_dict().items(), whole.model.state_dict().values(), strict=True):
        assert ours.equal(theirs), name


def test_overlap_trains_the_same_prompts_from_weights_one_step_old(tmp_path: Path) -> None:
    plain = make_trainer(tmp_path / "plain", "dapo", 120, requests=9, steps=6)
    plain.train()
    ahead = make_trainer(tmp_path / "ahead", "dapo", 120, requests=9, steps=6, overlap=True)
    ahead.train()
    prompts = [row["num_tokens"] for row in numbers(plain)]
    assert [row["num_tokens"] for row in numbers(ahead)] == prompts  # completions follow from the prompts here
    lags = [row["rollout/version_lag"] for row in numbers(ahead)]
    assert lags == [0, 1, 1, 1, 0, 1]  # four batches an epoch; its first cannot be looked ahead to
    assert {row["rollout/version_lag"] for row in numbers(plain)} == {0}
