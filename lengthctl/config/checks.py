"""Faults that only several settings together show; the message states both values and their keys."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from typing import Any

from lengthctl.config.objective_checks import objective_problems
from lengthctl.config.problem_checks import problem_faults
from lengthctl.config.sections import Config
from lengthctl.config.sources import RolloutConfig
from lengthctl.config.supervised_checks import supervised_problems
from lengthctl.errors import Problem
from lengthctl.length import Target, Unit
from lengthctl.rewards.build import build_reward
from lengthctl.rewards.combine import part_name
from lengthctl.token_rates import expected_tokens
from lengthctl.trl_fields import trainer_defaults

__all__ = ["cross_problems"]

_USABLE_SHARE = 0.9
_SMALLEST_SHARE = 0.01

_TRL_DEFAULTS = {"num_generations": 8, "per_device_train_batch_size": 8}
"""Of the options read here, those that lengthctl leaves as TRL has them."""


def cross_problems(config: Config) -> list[Problem]:
    """Every fault."""
    if config.train.method != "grpo":
        found = (_rollout(config), supervised_problems(config), _targets(config, {}), problem_faults(config))
        return [problem for check in found for problem in check]
    trainer = {**_TRL_DEFAULTS, **trainer_defaults("grpo"), **config.trainer}
    spanning = (_targets, _reward_stop, _selection, _survivors, _overlap, objective_problems)
    checks = (
        _rollout(config),
        _rewards(config),
        problem_faults(config),
        *(check(config, trainer) for check in spanning),
    )
    return [problem for check in (*checks, _batch(trainer)) for problem in check]


def _targets(config: Config, trainer: dict[str, Any]) -> Iterator[Problem]:
    targets = config.prompts.resolved_targets
    for label in sorted({t.label for t in targets}):
        if sum(t.label == label for t in targets) > 1:
            yield Problem("prompts.targets", f"two targets are called {label!r}: a report could not tell them apart")
    if config.rollout.backend != "vllm" and any(t.unit is Unit.TOKENS for t in targets):
        yield Problem("prompts.targets", f"tokens cannot be counted with rollout.backend = {config.rollout.backend}")
    limits = {
        "trainer.max_completion_length": trainer.get("max_completion_length"),
        "evaluate.max_tokens": config.evaluate.max_tokens,
    }
    for key, limit in limits.items():
        if isinstance(limit, int):
            yield from (Problem("prompts.targets", why) for t in targets if (why := _unreachable(t, key, limit)))


def _unreachable(target: Target, key: str, limit: int) -> str | None:
    rate = expected_tokens(1, target.unit)
    need = target.band.low * rate
    if need <= _USABLE_SHARE * limit:
        return None
    room = f"{_USABLE_SHARE:g} x {key} = {_USABLE_SHARE * limit:.0f}"
    return f"{target.label} {target.unit} is unreachable: {target.band.low} x {rate:g} = {need:.0f} tokens, but {room}"


def _rollout(config: Config) -> Iterator[Problem]:
    """Keys of engines do nothing without engines."""
    for key, gpus in (("rollout.gpus", config.rollout.gpus), ("judge.gpus", config.judge and config.judge.gpus)):
        if gpus and (gpus < _SMALLEST_SHARE or (gpus > 1 and gpus != int(gpus))):
            yield Problem(
                key, f"= {gpus:g}: an engine takes a share of one GPU, {_SMALLEST_SHARE:g} at least, or whole ones"
            )
    if config.rollout.backend == "vllm":
        if config.rollout.reproducible and (config.rollout.engines or 1) > 1:
            found = f"= true, but rollout.engines = {config.rollout.engines}"
            yield Problem("rollout.reproducible", f"{found}: which engine is free first depends on time")
        if config.rollout.weight_transfer == "nccl" and config.rollout.gpus < 1:
            found = f"and rollout.gpus = {config.rollout.gpus:g}"
            yield Problem("rollout.weight_transfer", f"= nccl goes from the trainer's GPU to another, {found}")
        if config.rollout.gpus > 1 and config.rollout.weight_transfer != "nccl":
            found = f"= {config.rollout.gpus:g} spreads an engine over processes"
            yield Problem("rollout.gpus", f"{found}, which need rollout.weight_transfer = nccl")
        return
    if config.evaluate.likelihood:
        yield Problem("evaluate.likelihood", f"needs the model itself, not rollout.backend = {config.rollout.backend}")
    shared = {"backend", "endpoint", "script", "failure_budget"}
    for key, field in RolloutConfig.model_fields.items():
        if key not in shared and getattr(config.rollout, key) != field.default:
            yield Problem(f"rollout.{key}", f"has no effect with rollout.backend = {config.rollout.backend}")


def _rewards(config: Config) -> Iterator[Problem]:
    if not config.rewards:
        yield Problem("rewards", "are needed with train.method = grpo: name at least one")
        return
    if config.data is not None:
        yield Problem("data", "has no effect with train.method = grpo, whose prompts come from `prompts`")
    names = [part_name(spec) for spec in config.rewards]
    for name in sorted(set(names)):
        if names.count(name) > 1:
            yield Problem("rewards", f"two rewards are called {name!r}: rename one with `as:`")
    if all(spec.role in ("gate", "constraint") for spec in config.rewards):
        yield Problem("rewards", "there are only gates, which take away, or constraints: one item needs `role: reward`")
    yield from _unbounded(config)


def _unbounded(config: Config) -> Iterator[Problem]:
    """What has no lowest value cannot be taken away from, nor be put last."""
    others = [spec for spec in config.rewards if spec.role in ("gate", "floor")]
    for spec in config.rewards:
        if spec.role == "gate" or not others:
            continue
        bound = getattr(build_reward(spec.name, spec.args), "highest" if spec.weight < 0 else "lowest", 0.0)
        if not math.isfinite(bound):
            found = f"has no {'highest' if spec.weight < 0 else 'lowest'} value, so the {others[0].role}"
            yield Problem(
                f"rewards.{part_name(spec)}",
                f"{found} {part_name(others[0])} has no hold on it: sum the two, or take a bounded reward",
            )


def _reward_stop(config: Config, trainer: dict[str, Any]) -> Iterator[Problem]:
    if config.rollout.reward_stop == "off":
        return
    summed = [spec for spec in config.rewards if spec.role != "gate"]
    silent = [part_name(s) for s in summed if not hasattr(build_reward(s.name, s.args), "is_spent") or s.weight < 0]
    if silent:
        why = (
            f"= {config.rollout.reward_stop}: {silent[0]} does not declare when it is spent, so nothing can be stopped"
        )
        yield Problem("rollout.reward_stop", why)
    if trainer.get("mask_truncated_completions"):
        why = "masks what was stopped, and so hides it from the loss: set trainer.mask_truncated_completions=false"
        yield Problem("trainer.mask_truncated_completions", why)


def _selection(config: Config, trainer: dict[str, Any]) -> Iterator[Problem]:
    best, worst = config.train.keep_best, config.train.keep_worst
    if best is None and worst is None:
        return
    kept, group = (best or 0) + (worst or 0), trainer["num_generations"]
    if isinstance(group, int) and not 0 < kept <= group:
        found = f"train.keep_best + train.keep_worst = {kept}"
        yield Problem("train.keep_best", f"{found}, and trainer.num_generations = {group}: keep 1 to {group}")
    if trainer["steps_per_generation"] != 1 or "generation_batch_size" in trainer:
        remedy = "raise per_device_train_batch_size instead; train.micro_batch_tokens bounds its memory"
        yield Problem("train.keep_best", f"needs trainer.steps_per_generation = 1: {remedy}")


def _survivors(config: Config, trainer: dict[str, Any]) -> Iterator[Problem]:
    if config.train.survivor_decay is None:
        return
    plain = {"scale_rewards": ("none", False), "multi_objective_aggregation": ("sum_then_normalize",)}
    for key, allowed in plain.items():
        if trainer.get(key, allowed[0]) not in allowed:
            why = f"= {trainer[key]} has no effect with train.survivor_decay, whose advantages are not scaled"
            yield Problem(f"trainer.{key}", why)


def _overlap(config: Config, trainer: dict[str, Any]) -> Iterator[Problem]:
    if not config.train.overlap:
        return
    if (
        trainer["steps_per_generation"] != 1
        or trainer.get("num_iterations", 1) != 1
        or "generation_batch_size" in trainer
        or trainer.get("gradient_accumulation_steps", 1) != 1
    ):
        need = "trainer.steps_per_generation = trainer.gradient_accumulation_steps = 1"
        yield Problem("train.overlap", f"needs one update a generation batch: {need}")
    if config.rollout.reproducible:
        why = "= true, but the first step after a resume cannot be drawn from older weights: set train.overlap=false"
        yield Problem("rollout.reproducible", why)
    if not trainer.get("vllm_importance_sampling_correction", True):
        why = "needs trainer.vllm_importance_sampling_correction, which corrects for the older weights"
        yield Problem("train.overlap", why)


def _batch(trainer: dict[str, Any]) -> Iterator[Problem]:
    group = trainer["num_generations"]
    sizes = [trainer["per_device_train_batch_size"], trainer["steps_per_generation"], group]
    if not all(isinstance(size, int) and size > 0 for size in sizes) or "generation_batch_size" in trainer:
        return
    processes = int(os.environ.get("WORLD_SIZE", "1"))
    total = sizes[0] * sizes[1] * processes
    if processes > 1 and sizes[0] % group:
        found = f"= {sizes[0]} holds no whole groups of trainer.num_generations = {group}"
        yield Problem("trainer.per_device_train_batch_size", f"{found}, which {processes} processes need")
    elif total % group:
        factors = "per_device_train_batch_size x steps_per_generation x processes"
        yield Problem("trainer.num_generations", f"= {group} does not divide the generation batch {total} ({factors})")
