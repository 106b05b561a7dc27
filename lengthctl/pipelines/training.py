"""One RL run: measure the untouched model, train it, measure again, compare, export."""

from __future__ import annotations

import json
import os
import shlex
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lengthctl.evaluate.environment import environment, measure_bf16_gflops
from lengthctl.evaluate.metrics import compare, summarise
from lengthctl.evaluate.report import write_report
from lengthctl.memory import MemoryMonitor
from lengthctl.models import LoadedTokenizer, load_policy, load_tokenizer
from lengthctl.pipelines.evaluation import (
    completion_limit,
    context_tokens,
    evaluation_prompts,
    sample_prompts,
    send_adapter,
    untouched,
    with_system_prompt,
    write_samples,
)
from lengthctl.prompts import LengthPrompt, build_length_prompts, load_seed_prompts
from lengthctl.records import read_records
from lengthctl.rewards.combine import build_combined
from lengthctl.rollout.backend import Sampling
from lengthctl.rundir import write_atomic, write_json
from lengthctl.scoring import Scored

if TYPE_CHECKING:
    from lengthctl.config import Config
    from lengthctl.progress import Narrator
    from lengthctl.rollout.pool import RolloutPool
    from lengthctl.rundir import RunFolder

__all__ = ["run_training"]

Samples = list[tuple[LengthPrompt, Scored]]


def run_training(config: Config, run: RunFolder, narrator: Narrator, *, push: str | None = None) -> dict[str, Any]:
    """The whole run in its folder; goes on from the last checkpoint and finished evaluation found there.

    Args:
        config: a checked config with `train.method: grpo`.
        run: an open run folder.
        narrator: where progress goes.
        push: hub repository to upload `model/` to, with the user's own login.

    Returns:
        What `summary.json` holds.
    """
    from lengthctl.rollout.cluster import disconnect
    from lengthctl.rollout.open import open_pool

    os.environ.setdefault("TRL_EXPERIMENTAL_SILENCE", "1")
    write_json(run.path / "env.json", environment())
    monitor = MemoryMonitor()
    monitor.start()
    gflops = measure_bf16_gflops()
    tokenizer = load_tokenizer(config.model)
    held_out = evaluation_prompts(config)
    train_prompts = build_length_prompts(
        load_seed_prompts(config.prompts, "train"),
        config.prompts.resolved_targets,
        wordings=config.prompts.wordings,
        seed=config.run.seed,
    )
    longest = max(context_tokens(config, tokenizer, p, completion_limit(config)) for p in (held_out, train_prompts))
    pool: RolloutPool | None = None
    try:
        with narrator.stage("engine"):
            pool = open_pool(config, tokenizer, context_tokens=longest + _TEMPLATE_SLACK)
            if config.model.adapter is not None:
                send_adapter(config, pool)
        with narrator.stage("before"):
            before, variants = _evaluate_before(config, run, pool, held_out, narrator)
        with narrator.stage("train"):
            trainer = _train(config, run, pool, tokenizer, train_prompts, held_out, narrator)
        with narrator.stage("export"):
            _export(config, run, trainer, tokenizer)
        with narrator.stage("after"):
            trainer.vllm_generation.sync_weights()
            after = sample_prompts(config, pool, tokenizer, held_out, narrator, "after")
            write_samples(run.path / "samples" / "after.jsonl", after)
    finally:
        if pool is not None:
            pool.close()
        disconnect()
        peak = monitor.stop()
    summary = _summary(config, before, after, variants, narrator, peak, gflops)
    write_json(run.summary, summary)
    _write_card(config, run, summary)
    write_report(run.path)
    if push is not None:
        _push(run.model_dir, push)
    return summary


_TEMPLATE_SLACK = 64
"""Tokens that the untouched model's own template may add: its default system prompt."""


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
        part = path.with_suffix(".part")
        write_samples(part, results[name])
        part.replace(path)
    summaries = {name: summarise([s for _, s in rows], config.run.seed) for name, rows in results.items()}
    best = min(summaries, key=lambda name: summaries[name]["overall"]["mean_abs_relative_deviation"]["value"])
    write_samples(run.path / "samples" / "before.jsonl", results[best])
    return results[best], {"chosen": best, **summaries}


def _read_samples(path: Path, prompts: Sequence[LengthPrompt]) -> Samples:
    by_key = {(p.seed_id, p.target.label): p for p in prompts}
    rows: Samples = []
    for _, record in read_records(path):
        scored = Scored.parse(record)
        rows.append((by_key[(scored.prompt_id, scored.target.label)], scored))
    return rows


def _train(
    config: Config,
    run: RunFolder,
    pool: RolloutPool,
    tokenizer: LoadedTokenizer,
    train_prompts: Sequence[LengthPrompt],
    held_out: Sequence[LengthPrompt],
    narrator: Narrator,
) -> Any:
    """Train from the last checkpoint, or from the start."""
    from transformers.trainer_utils import get_last_checkpoint

    from lengthctl.train.callbacks import LiveView, MetricsFile, SilentFailures, trim_records
    from lengthctl.train.generation import PoolGeneration
    from lengthctl.train.rl import LengthTrainer
    from lengthctl.train.rollout_log import RolloutLog
    from lengthctl.train.settings import build_grpo_config

    args = build_grpo_config(config, run)
    checkpoint = get_last_checkpoint(str(run.checkpoints)) if run.checkpoints.is_dir() else None
    rollouts = run.path / "samples" / "rollouts.jsonl"
    for path in (run.metrics, rollouts):
        trim_records(path, int(checkpoint.rpartition("-")[2]) if checkpoint else 0)
    sampling = Sampling(args.temperature, args.top_p, args.top_k, args.max_completion_length)
    with narrator.bar(args.max_steps, "train") as bar:
        trainer = LengthTrainer(
            model=load_policy(config.model),
            args=args,
            train_dataset=_dataset(config, train_prompts),
            eval_dataset=_dataset(config, held_out) if args.eval_strategy != "no" else None,
            processing_class=tokenizer.tokenizer,
            callbacks=[MetricsFile(run.metrics), LiveView(bar), SilentFailures(narrator)],
            rollout_log=RolloutLog(rollouts),
            generation=PoolGeneration(pool, sampling),
            reward=build_combined(config.rewards),
            keep_best=config.train.keep_best,
            keep_worst=config.train.keep_worst,
            micro_batch_tokens=config.train.micro_batch_tokens,
            share_prompts=config.train.share_prompts,
        )
        _silence_trl_prints(trainer)
        trainer.train(resume_from_checkpoint=checkpoint)
    return trainer


def _dataset(config: Config, prompts: Sequence[LengthPrompt]) -> Any:
    """TRL's columns, and ours: `target` as a flat row, `prompt_id` of the request without its length."""
    from datasets import Dataset

    return Dataset.from_list(
        [
            {
                "prompt": with_system_prompt(p.messages, config.model.system_prompt),
                "target": p.target.to_row(),
                "prompt_id": p.seed_id,
                **p.columns,
            }
            for p in prompts
        ]
    )


def _silence_trl_prints(trainer: Any) -> None:
    """transformers prints each log as a dict on stdout when its bars are off; the live view shows them."""
    from transformers import PrinterCallback

    trainer.remove_callback(PrinterCallback)


def _export(config: Config, run: RunFolder, trainer: Any, tokenizer: LoadedTokenizer) -> None:
    """`model/`: a plain checkpoint in bf16, LoRA merged (the adapter beside it), with its tokenizer and template."""
    import torch

    from lengthctl.models import resolve_model
    from lengthctl.rollout.weights import checkpoint_state

    model = trainer.accelerator.unwrap_model(trainer.model)
    state = checkpoint_state(model, torch.bfloat16)
    if config.model.lora is not None:
        model.save_pretrained(run.path / "adapter")
        model = model.get_base_model()
    save_checkpoint(model, state, run.model_dir, resolve_model(config.model.name))
    tokenizer.tokenizer.save_pretrained(run.model_dir)


def save_checkpoint(model: Any, state: dict[str, Any], folder: Path, source: str) -> None:
    """Weights and configs in Hugging Face layout."""
    from safetensors.torch import save_file
    from transformers import GenerationConfig

    folder.mkdir(parents=True, exist_ok=True)
    save_file(state, folder / "model.safetensors", metadata={"format": "pt"})
    config = model.config.to_dict() | {"dtype": "bfloat16", "use_cache": True}
    config.pop("_name_or_path", None)
    type(model.config).from_dict(config).save_pretrained(folder)
    try:
        GenerationConfig.from_pretrained(source).save_pretrained(folder)
    except OSError:
        model.generation_config.save_pretrained(folder)


def _summary(
    config: Config,
    before: Samples,
    after: Samples,
    variants: dict[str, Any],
    narrator: Narrator,
    peak_gib: float,
    gflops: float,
) -> dict[str, Any]:
    import psutil

    first, last = [s for _, s in before], [s for _, s in after]
    age = time.time() - psutil.Process().create_time()  # imports and all; of a resumed run, since it went on
    return {
        "schema": 1,
        "before": summarise(first, config.run.seed),
        "after": summarise(last, config.run.seed),
        "change": compare(first, last, config.run.seed),
        "before_variants": variants,
        "minutes": {name: round(seconds / 60, 3) for name, seconds in {**narrator.stages, "total": age}.items()},
        "peak_memory_gib": round(peak_gib, 2),
        "gflops_bf16": round(gflops, 1),
        "seed": config.run.seed,
        "versions": environment()["versions"],
        "command": shlex.join(["lengthctl", *sys.argv[1:]]),
        "config": config.model_dump(mode="json"),
    }


def _write_card(config: Config, run: RunFolder, summary: dict[str, Any]) -> None:
    """The model card of `model/`: what it is, how it was made, what it does, what got worse."""
    from lengthctl.evaluate.card import model_card

    write_atomic(run.model_dir / "README.md", model_card(summary))
    write_atomic(run.model_dir / "lengthctl.json", json.dumps({"schema": 1, "seed": config.run.seed}, indent=2))


def _push(folder: Path, repository: str) -> None:
    from huggingface_hub import HfApi

    from lengthctl.errors import EndpointError, first_line

    try:
        api = HfApi()
        api.create_repo(repository, exist_ok=True)
        api.upload_folder(repo_id=repository, folder_path=folder)
    except Exception as error:
        raise EndpointError(
            f"{repository} could not be pushed ({first_line(error)})",
            "Log in with `hf auth login`; the trained model is kept in the run folder",
        ) from error
