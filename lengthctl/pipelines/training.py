"""One RL run: measure the untouched model, train it, measure again, compare, export."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from lengthctl.decode.mlt import lead_id
from lengthctl.evaluate.environment import measure_bf16_gflops
from lengthctl.memory import MemoryMonitor
from lengthctl.models import load_policy
from lengthctl.pipelines.before import evaluate_before
from lengthctl.pipelines.evaluation import send_adapter
from lengthctl.pipelines.held_out import measure_after
from lengthctl.pipelines.inputs import RunInputs, prepare_inputs
from lengthctl.pipelines.job import run_job
from lengthctl.pipelines.judged_training import judge_ahead, judge_guests, opened_room, with_judge
from lengthctl.pipelines.length_history import predictor_of
from lengthctl.pipelines.measured_rewards import settle_rewards
from lengthctl.pipelines.publish import export_model
from lengthctl.pipelines.run_summary import minutes, run_summary
from lengthctl.pipelines.sampling import asking_control
from lengthctl.pipelines.train_loop import train_resumably
from lengthctl.rewards.combine import Combined, build_combined, part_name
from lengthctl.rollout.backend import Sampling
from lengthctl.rollout.stopping import StopPolicy
from lengthctl.train.ranks import from_main, is_main
from lengthctl.train.trained_state import trained_state

if TYPE_CHECKING:
    from pathlib import Path

    from lengthctl.config import Config
    from lengthctl.progress import Narrator
    from lengthctl.rollout.pool import RolloutPool
    from lengthctl.rundir import RunFolder
    from lengthctl.train.generation import PoolGeneration
    from lengthctl.train.group_watch import OnGroup

__all__ = ["run_training"]


def run_training(
    config: Config, run: RunFolder, narrator: Narrator, *, push: str | None = None
) -> dict[str, Any] | None:
    """The whole run in its folder; goes on from the last checkpoint and finished evaluation found there.

    Args:
        config: a checked config with `train.method: grpo`.
        run: an open run folder.
        narrator: where progress goes.
        push: hub repository to upload `model/` to, with the user's own login.

    Returns:
        What `summary.json` holds; None in trainer processes other than the first, which only train.
    """

    def follow() -> None:
        from_main(lambda: None)  # the prompts are checked, and their digest kept, by the first
        inputs = prepare_inputs(config, run)
        trained_state(_train(settle_rewards(config), run, None, inputs, narrator))

    return run_job(run, narrator, lead=lambda: _lead(config, run, narrator), follow=follow, push=push)


def _lead(config: Config, run: RunFolder, narrator: Narrator) -> dict[str, Any]:
    """The first trainer process's part: everything but the last files."""
    from lengthctl.rollout.cluster import disconnect
    from lengthctl.rollout.open import open_pool

    monitor = MemoryMonitor()
    monitor.start()
    with narrator.stage("prepare"):
        gflops = measure_bf16_gflops()
        inputs = prepare_inputs(config, run)
        from_main(lambda: None)
    pool: RolloutPool | None = None
    try:
        with narrator.stage("engine"):
            pool = open_pool(
                config,
                inputs.tokenizer,
                context_tokens=inputs.context_tokens,
                say=narrator.say,
                predictor=predictor_of(config, by_group=False),
                guests=judge_guests(config),
            )
            if config.model.adapter is not None:
                send_adapter(config, pool)
        run.begin()
        with narrator.stage("before"):
            before = evaluate_before(config, run, pool, inputs.held_out, narrator)
            settled = settle_rewards(config, lambda: before.start.answers, narrator.say)
        with narrator.stage("train"):
            trainer = _train(settled, run, pool, inputs, narrator)
        with narrator.stage("export"):
            state = trained_state(trainer)
            assert state is not None
            export_model(config, run, trainer, inputs.tokenizer, state)
        with narrator.stage("after"):
            step, spec = trainer.state.global_step, asking_control(config)
            pool.sync_weights(state, step + 1)
            after = measure_after(config, run, pool, inputs.tokenizer, inputs.held_out, narrator, spec=spec, step=step)
    finally:
        if pool is not None:
            pool.close()
        disconnect()
        peak = monitor.stop()
    facts = {
        "before_variants": before.variants,
        "rewards": {part_name(spec): spec.args for spec in settled.rewards},
        "minutes": minutes(narrator.stages),
        "peak_memory_gib": round(peak, 2),
        "gflops_bf16": round(gflops, 1),
    }
    return run_summary(config, before.best, after, facts)


def _train(config: Config, run: RunFolder, pool: RolloutPool | None, inputs: RunInputs, narrator: Narrator) -> Any:
    """Train from the last checkpoint, or from the start; without a pool as one of the other trainer processes."""
    reward = build_combined(config.rewards, inputs.tokenizer.tokenizer)
    longest = inputs.context_tokens + inputs.args.max_completion_length
    with opened_room(config, reward, longest_tokens=longest, say=narrator.say) as room:
        if room is not None:
            reward = with_judge(reward, room)
        generation = _generation(config, inputs, pool, reward, None if room is None else judge_ahead(reward, room))
        return _train_with(config, run, generation, inputs, reward, narrator)


def _train_with(
    config: Config, run: RunFolder, generation: PoolGeneration, inputs: RunInputs, reward: Combined, narrator: Narrator
) -> Any:
    from lengthctl.train.hacking_watch import HackingWatch
    from lengthctl.train.reward_state import REWARDS_FILE, RewardState, stateful_rewards
    from lengthctl.train.silent_failures import SilentFailures

    def build(callbacks: list[Any], checkpoint: Path | None) -> Any:
        told = [SilentFailures(narrator), HackingWatch(narrator, run.metrics)] if is_main() else []
        trainer = _build_trainer(
            config, run, generation, inputs, reward, [*callbacks, *told, RewardState(reward, checkpoint)], narrator.say
        )
        if config.train.share_prompts and trainer.packing_obstacle is not None:
            narrator.say(f"a group's prompt is computed for each completion: {trainer.packing_obstacle}")
        return trainer

    try:
        return train_resumably(
            run,
            narrator,
            max_steps=inputs.args.max_steps,
            average_last=config.train.average_last,
            build=build,
            companions={REWARDS_FILE: 0} if stateful_rewards(reward) else None,
        )
    finally:
        generation.finish()


def _generation(
    config: Config, inputs: RunInputs, pool: RolloutPool | None, reward: Combined, on_group: OnGroup | None
) -> PoolGeneration:
    from lengthctl.train.generation import PoolGeneration

    args, stop = inputs.args, None
    limit = args.max_completion_length
    if config.rollout.reward_stop != "off":
        stop = StopPolicy(reward.is_spent, only_measure=config.rollout.reward_stop == "measure")
    return PoolGeneration(
        pool,
        Sampling(temperature=args.temperature, top_p=args.top_p, top_k=args.top_k, max_tokens=limit),
        stop=stop,
        reproducible=config.rollout.reproducible,
        release_memory=config.train.release_memory,
        on_group=on_group,
    )


def _build_trainer(
    config: Config,
    run: RunFolder,
    generation: PoolGeneration,
    inputs: RunInputs,
    reward: Combined,
    callbacks: list[Any],
    say: Callable[[str], None],
) -> Any:
    from transformers import PrinterCallback, set_seed

    from lengthctl.train.rl import LengthTrainer
    from lengthctl.train.rollout_log import RolloutLog

    args, tokenizer = inputs.args, inputs.tokenizer.tokenizer
    set_seed(config.run.seed)  # a new adapter's weights are drawn
    trainer = LengthTrainer(
        model=load_policy(config.model),
        args=args,
        train_dataset=inputs.train_data,
        eval_dataset=inputs.eval_data if args.eval_strategy != "no" else None,
        processing_class=tokenizer,
        callbacks=callbacks,
        rollout_log=RolloutLog(run.path / "samples" / "rollouts.jsonl") if is_main() else None,
        generation=generation,
        reward=reward,
        keep_best=config.train.keep_best,
        keep_worst=config.train.keep_worst,
        micro_batch_tokens=config.train.micro_batch_tokens,
        share_prompts=config.train.share_prompts,
        overlap=config.train.overlap,
        survivor_decay=config.train.survivor_decay,
        advantage=config.train.advantage,
        lead_id=functools.partial(lead_id, inputs.tokenizer) if config.prompts.mlt else None,
        say=say,
    )
    trainer.remove_callback(PrinterCallback)  # it prints each log on stdout; the live view shows them
    return trainer
