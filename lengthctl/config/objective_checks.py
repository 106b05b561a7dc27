"""Faults of an objective that only several settings together show: advantages, filters, ratio, the reach of rewards."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

from lengthctl.config.sections import Config
from lengthctl.errors import Problem
from lengthctl.rewards.build import build_reward
from lengthctl.rewards.combine import part_name

__all__ = ["objective_problems"]

_BY_LENGTH = ("bnpo", "dapo", "dr_grpo", "cispo")
"""Losses in which a sequence weighs as much as it has tokens."""


def objective_problems(config: Config, trainer: dict[str, Any]) -> Iterator[Problem]:
    """Every fault of a recipe that reinforces.

    Args:
        config: the recipe.
        trainer: TRL's options in force.
    """
    for check in (_estimator, _filter, _resampling, _ratio, _reach, _judge, _limits):
        yield from check(config, trainer)


def _judge(config: Config, trainer: dict[str, Any]) -> Iterator[Problem]:
    """Of the rewards that ask a model how good a text is."""
    wanting = [part_name(spec) for spec in config.rewards if hasattr(build_reward(spec.name, spec.args), "judge")]
    if not wanting:
        return
    if config.judge is None:
        yield Problem("judge", f"is needed: {wanting[0]} asks it")
    elif config.judge.backend == "vllm" and int(os.environ.get("WORLD_SIZE", "1")) > 1:
        yield Problem("judge.backend", "= vllm is for one trainer process: serve the judge, and set judge.endpoint")


def _estimator(config: Config, trainer: dict[str, Any]) -> Iterator[Problem]:
    train, rule = config.train, config.train.advantage
    if not rule.replaces:
        return
    key = next(name for name in ("baseline", "scale", "keep") if getattr(rule, name) is not None)
    mine = f"train.advantage.{key} = {getattr(rule, key)}"
    if "scale_rewards" in config.trainer:
        found = f"= {config.trainer['scale_rewards']} has no effect with {mine}"
        remedy = "leave it out (trainer.scale_rewards=null), or set train.advantage.scale instead"
        yield Problem("trainer.scale_rewards", f"{found}: {remedy}")
    if train.survivor_decay is not None:
        found = f"= {train.survivor_decay} is an estimator of its own, and so is {mine}"
        yield Problem("train.survivor_decay", f"{found}: leave one out")
    if rule.keep is not None:
        if train.keep_best is not None or train.keep_worst is not None:
            yield Problem("train.keep_best", f"chooses members of a group, and so does {mine}: leave one out")
        group = trainer["num_generations"]
        if isinstance(group, int) and rule.keep >= group:
            found = f"= {rule.keep}, and trainer.num_generations = {group}"
            yield Problem("train.advantage.keep", f"{found}: keep fewer, or nothing is chosen")
        yield from _one_update(trainer, "train.advantage.keep")


def _filter(config: Config, trainer: dict[str, Any]) -> Iterator[Problem]:
    rule = config.train.advantage
    if rule.filter == "none":
        return
    yield from _one_update(trainer, "train.advantage.filter")
    if not rule.replaces and trainer.get("scale_rewards") == "batch":
        why = (
            "= batch divides by groups that train.advantage.filter drops: set train.advantage.scale = batch_std instead"
        )
        yield Problem("trainer.scale_rewards", why)
    if rule.filter == "correct" and not any(_knows_answers(spec) for spec in config.rewards):
        why = "= correct, but no reward here checks answers: take `spread`, which looks at the rewards themselves"
        yield Problem("train.advantage.filter", why)


def _resampling(config: Config, trainer: dict[str, Any]) -> Iterator[Problem]:
    rounds = config.train.advantage.resample_rounds
    if not rounds:
        return
    mine = f"train.advantage.resample_rounds = {rounds}"
    if config.train.overlap:
        why = f"= true draws the next step while this one is learned, and {mine} would draw for this one: leave one out"
        yield Problem("train.overlap", why)
    for spec in config.rewards:
        if _scope(spec) == "batch":
            why = f"compares all completions of a step, which {mine} draws in pieces: set it to 0"
            yield Problem(f"rewards.{part_name(spec)}", why)


def _one_update(trainer: dict[str, Any], key: str) -> Iterator[Problem]:
    if trainer["steps_per_generation"] != 1 or "generation_batch_size" in trainer:
        remedy = "set trainer.num_iterations to learn from a batch more than once"
        yield Problem(key, f"changes how many rows a batch has, and needs trainer.steps_per_generation = 1: {remedy}")


def _ratio(config: Config, trainer: dict[str, Any]) -> Iterator[Problem]:
    loss = trainer["loss_type"]
    if trainer.get("importance_sampling_level") == "sequence" and loss in _BY_LENGTH:
        found = f"= sequence, but trainer.loss_type = {loss} weighs a sequence by its tokens"
        yield Problem("trainer.importance_sampling_level", f"{found}: set trainer.loss_type = grpo")
    if loss == "cispo" and trainer.get("epsilon_high") is None:
        why = "is needed with trainer.loss_type = cispo: it is the cap of the ratio itself, e.g. 5.0"
        yield Problem("trainer.epsilon_high", why)


def _reach(config: Config, trainer: dict[str, Any]) -> Iterator[Problem]:
    """Rewards that compare completions see those of one process."""
    processes = int(os.environ.get("WORLD_SIZE", "1"))
    if processes == 1:
        return
    size, group = trainer.get("generation_batch_size"), trainer["num_generations"]
    cut = isinstance(size, int) and isinstance(group, int) and group > 0 and size % (processes * group) != 0
    for spec in config.rewards:
        where, scope = f"rewards.{part_name(spec)}", _scope(spec)
        if scope == "batch":
            found = f"compares all completions of a step, and each of {processes} processes sees its own"
            yield Problem(where, f"{found}: start one process")
        elif scope == "group" and cut:
            found = f"compares whole groups, which trainer.generation_batch_size = {size} splits over {processes}"
            yield Problem(where, f"{found} processes: give a multiple of processes x trainer.num_generations")


def _limits(config: Config, trainer: dict[str, Any]) -> Iterator[Problem]:
    """What the run's limit cuts is to cost: a reward that knows the limit knows this one."""
    limit = trainer.get("max_completion_length")
    for spec in config.rewards:
        own = spec.args.get("max_tokens")
        if own is not None and isinstance(limit, int) and own != limit:
            found = f"= {own}, but trainer.max_completion_length = {limit}: what is cut would be taken for shorter"
            yield Problem(f"rewards.{part_name(spec)}.args.max_tokens", found)


def _scope(spec: Any) -> str:
    if spec.role == "constraint":
        return "batch"  # its multiplier learns from the mean of all completions
    return str(getattr(build_reward(spec.name, spec.args), "scope", "completion"))


def _knows_answers(spec: Any) -> bool:
    """A user's own reward may."""
    return ".py:" in spec.name or "answer" in getattr(build_reward(spec.name, spec.args), "columns", ())
