"""One RL run: measure the untouched model, train it, measure again, compare, export."""

from __future__ import annotations

import os
import shlex
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lengthctl.config import config_digest
from lengthctl.evaluate.environment import environment, measure_bf16_gflops
from lengthctl.evaluate.metrics import compare, summarise
from lengthctl.evaluate.report import write_report
from lengthctl.memory import MemoryMonitor
from lengthctl.models import load_policy, load_tokenizer
from lengthctl.pipelines.evaluation import send_adapter, untouched
from lengthctl.pipelines.inputs import RunInputs, prepare_inputs
from lengthctl.pipelines.length_history import predictor_of
from lengthctl.pipelines.publish import export_model, push_model, write_card
from lengthctl.pipelines.sampling import Sample, sample_prompts, write_samples
from lengthctl.prompts import LengthPrompt
from lengthctl.records import read_records
from lengthctl.rewards.combine import Combined, build_combined
from lengthctl.rollout.backend import Sampling
from lengthctl.rollout.stopping import StopPolicy
from lengthctl.rundir import write_atomic, write_json
from lengthctl.scoring import Scored
from lengthctl.train.ranks import from_main, is_main, world_size
from lengthctl.train.trained_state import trained_state

if TYPE_CHECKING:
    from lengthctl.config import Config
    from lengthctl.progress import Narrator
    from lengthctl.rollout.pool import RolloutPool
    from lengthctl.rundir import RunFolder

__all__ = ["run_training"]

Samples = list[Sample]


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
    narrator.stages["start"] = narrator.stages.get("start", 0.0) + _process_seconds()  # imports, for the most part
    os.environ.setdefault("TRL_EXPERIMENTAL_SILENCE", "1")
    if not is_main():
        from_main(lambda: None)  # the prompts are checked, and their digest kept, by the first
        inputs = prepare_inputs(config, run)
        trained_state(_train(config, run, None, inputs, narrator))
        return None
    summary = _lead(config, run, narrator)
    write_json(run.summary, summary)
    write_card(run, summary)
    write_report(run.path)
    if push is not None:
        push_model(run.model_dir, push)
    return summary


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
            )
            if config.model.adapter is not None:
                send_adapter(config, pool)
        run.begin()
        with narrator.stage("before"):
            before, variants = _evaluate_before(config, run, pool, inputs.held_out, narrator)
        with narrator.stage("train"):
            trainer = _train(config, run, pool, inputs, narrator)
        with narrator.stage("export"):
            state = trained_state(trainer)
            assert state is not None
            export_model(config, run, trainer, inputs.tokenizer, state)
        with narrator.stage("after"):
            pool.sync_weights(state, trainer.state.global_step + 1)
            after = sample_prompts(config, pool, inputs.tokenizer, inputs.held_out, narrator, "after")
            write_samples(run.path / "samples" / "after.jsonl", after)
    finally:
        if pool is not None:
            pool.close()
        disconnect()
        peak = monitor.stop()
    facts = {
        "before_variants": variants,
        "minutes": _minutes(narrator.stages),
        "peak_memory_gib": round(peak, 2),
        "gflops_bf16": round(gflops, 1),
    }
    return _summary(config, before, after, facts)


def _process_seconds() -> float:
    import psutil

    return time.time() - float(psutil.Process().create_time())


def _evaluate_before(
    config: Config, run: RunFolder, pool: RolloutPool, held_out: Sequence[LengthPrompt], narrator: Narrator
) -> tuple[Samples, dict[str, Any]]:
    """The untouched model with its own template and, when that differs, with the template of training; the better one
    is `before`. The samples are kept, so a resumed run does not draw them again."""
    variants = {"model_template": untouched(config)}
    if (config.model.chat_template, config.model.system_prompt) != (None, None):
        variants["run_template"] = config
    results: dict[str, Samples] = {}
    for name, variant in variants.items():
        path = run.path / "samples" / f"before.{name}.jsonl"
        if path.is_file():
            results[name] = _read_samples(path, held_out)
            continue
        tokenizer = load_tokenizer(variant.model)
        results[name] = sample_prompts(variant, pool, tokenizer, held_out, narrator, f"before ({name})")
        write_samples(path, results[name])
    summaries = {name: summarise([s.scored for s in rows], config.run.seed) for name, rows in results.items()}
    best = min(summaries, key=lambda name: summaries[name]["overall"]["mean_abs_relative_deviation"]["value"])
    chosen = (run.path / "samples" / f"before.{best}.jsonl").read_text(encoding="utf-8")
    write_atomic(run.path / "samples" / "before.jsonl", chosen)
    return results[best], {"chosen": best, **summaries}


def _read_samples(path: Path, prompts: Sequence[LengthPrompt]) -> Samples:
    by_key = {(p.seed_id, p.target.label): p for p in prompts}
    rows: Samples = []
    for _, record in read_records(path):
        scored = Scored.parse(record)
        rows.append(Sample(by_key[(scored.prompt_id, scored.target.label)], scored, record))
    return rows


def _train(config: Config, run: RunFolder, pool: RolloutPool | None, inputs: RunInputs, narrator: Narrator) -> Any:
    """Train from the last checkpoint, or from the start; without a pool as one of the other trainer processes."""
    from lengthctl.train.averaging import TAIL_FILE, TailAverage, first_averaged_step
    from lengthctl.train.callbacks import InterruptCheckpoint, LiveView, MetricsFile, trim_records
    from lengthctl.train.checkpoints import checkpoint_step, last_checkpoint, take_up
    from lengthctl.train.reward_state import REWARDS_FILE, RewardState, stateful_rewards
    from lengthctl.train.silent_failures import SilentFailures

    args, tail = inputs.args, config.train.average_last
    reward = build_combined(config.rewards, inputs.tokenizer.tokenizer)
    companions = {TAIL_FILE: first_averaged_step(args.max_steps, tail)} if tail and args.max_steps > 0 else {}
    if stateful_rewards(reward):
        companions[REWARDS_FILE] = 0
    checkpoint = last_checkpoint(run.checkpoints, companions)
    for path in (run.metrics, run.path / "samples" / "rollouts.jsonl") if is_main() else ():
        trim_records(path, checkpoint_step(checkpoint) if checkpoint else 0)
    average = TailAverage(tail, checkpoint) if tail else None
    interrupted = InterruptCheckpoint()
    with narrator.bar(args.max_steps, "train") as bar:
        told = [MetricsFile(run.metrics), LiveView(bar), SilentFailures(narrator)] if is_main() else []
        callbacks = [*told, interrupted, RewardState(reward, checkpoint), *([average] if average else [])]
        trainer = _build_trainer(config, run, pool, inputs, reward, callbacks, narrator.say)
        if config.train.share_prompts and trainer.packing_obstacle is not None:
            narrator.say(f"a group's prompt is computed for each completion: {trainer.packing_obstacle}")
        try:
            if checkpoint is None or not take_up(trainer, checkpoint):
                trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
        except KeyboardInterrupt:
            # several processes are not stopped at the same place, and could wait for each other here
            step = interrupted.save(trainer) if world_size() == 1 else None
            if step is not None:
                narrator.say(f"interrupted: step {step} is saved")
            raise
        finally:
            trainer.vllm_generation.finish()
    if average is not None:
        narrator.say(f"the model is the mean of the last {average.apply(trainer.model)} steps")
    return trainer


def _build_trainer(
    config: Config,
    run: RunFolder,
    pool: RolloutPool | None,
    inputs: RunInputs,
    reward: Combined,
    callbacks: list[Any],
    say: Callable[[str], None],
) -> Any:
    from transformers import set_seed

    from lengthctl.train.generation import PoolGeneration
    from lengthctl.train.rl import LengthTrainer
    from lengthctl.train.rollout_log import RolloutLog

    args, tokenizer = inputs.args, inputs.tokenizer.tokenizer
    set_seed(config.run.seed)  # a new adapter's weights are drawn
    stop = None
    if config.rollout.reward_stop != "off":
        stop = StopPolicy(reward.is_spent, only_measure=config.rollout.reward_stop == "measure")
    sampling = Sampling(args.temperature, args.top_p, args.top_k, args.max_completion_length)
    trainer = LengthTrainer(
        model=load_policy(config.model),
        args=args,
        train_dataset=inputs.train_data,
        eval_dataset=inputs.eval_data if args.eval_strategy != "no" else None,
        processing_class=tokenizer,
        callbacks=callbacks,
        rollout_log=RolloutLog(run.path / "samples" / "rollouts.jsonl") if is_main() else None,
        generation=PoolGeneration(
            pool,
            sampling,
            stop=stop,
            reproducible=config.rollout.reproducible,
            release_memory=config.train.release_memory,
        ),
        reward=reward,
        keep_best=config.train.keep_best,
        keep_worst=config.train.keep_worst,
        micro_batch_tokens=config.train.micro_batch_tokens,
        share_prompts=config.train.share_prompts,
        overlap=config.train.overlap,
        survivor_decay=config.train.survivor_decay,
        say=say,
    )
    _silence_trl_prints(trainer)
    return trainer


def _silence_trl_prints(trainer: Any) -> None:
    """transformers prints each log as a dict on stdout when its bars are off; the live view shows them."""
    from transformers import PrinterCallback

    trainer.remove_callback(PrinterCallback)


def _minutes(stages: Mapping[str, float]) -> dict[str, float]:
    seconds = {**stages, "total": sum(stages.values())}
    return {name: round(value / 60, 3) for name, value in seconds.items()}


def _summary(config: Config, before: Samples, after: Samples, facts: Mapping[str, Any]) -> dict[str, Any]:
    first, last = [s.scored for s in before], [s.scored for s in after]
    return {
        "schema": 1,
        "before": summarise(first, config.run.seed),
        "after": summarise(last, config.run.seed),
        "change": compare(first, last, config.run.seed),
        **facts,
        "seed": config.run.seed,
        "versions": environment()["versions"],
        "command": shlex.join(["lengthctl", *sys.argv[1:]]),
        "config_digest": config_digest(config),
        "config": config.model_dump(mode="json"),
    }
