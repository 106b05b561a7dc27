"""What a run works on, checked before anything expensive starts: tokenizer, TRL's arguments, prompts, datasets."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lengthctl.decode.build import parse_control
from lengthctl.decode.control import Task
from lengthctl.decode.mlt import lead_id
from lengthctl.errors import DataError, RunFolderError
from lengthctl.evaluate.environment import environment
from lengthctl.models import LoadedTokenizer, load_tokenizer
from lengthctl.pipelines.drawing import conversation_tokens
from lengthctl.pipelines.evaluation import untouched
from lengthctl.pipelines.held_out import HeldOut, held_out_tasks, load_held_out
from lengthctl.pipelines.problem_bench import problem_tasks
from lengthctl.pipelines.sampling import asking_control, completion_limit
from lengthctl.pipelines.training_prompts import (
    TrainingPrompt,
    build_dataset,
    check_columns,
    digest_prompts,
    held_out_prompts,
    training_prompts,
)
from lengthctl.rundir import write_json
from lengthctl.train.ranks import is_main

if TYPE_CHECKING:
    from datasets import Dataset
    from trl import GRPOConfig

    from lengthctl.config import Config
    from lengthctl.rundir import RunFolder

__all__ = ["RunInputs", "context_tokens", "prepare_inputs", "same_inputs", "same_versions"]


_STATEFUL = ("lengthctl", "trl", "transformers", "torch")
"""Packages whose state a checkpoint holds."""


@dataclass(frozen=True)
class RunInputs:
    """All that is known before the first token."""

    tokenizer: LoadedTokenizer
    args: GRPOConfig
    held_out: HeldOut
    train_data: Dataset
    eval_data: Dataset
    context_tokens: int
    """Longest prompt, in the run's template or the model's own, plus the limit."""


def prepare_inputs(config: Config, run: RunFolder) -> RunInputs:
    """Read and check everything.

    Raises:
        ConfigError, DataError, ModelError: something cannot be used.
        RunFolderError: the prompts are no longer those that the run began with.
    """
    from lengthctl.train.settings import build_grpo_config

    same_versions(run)
    args = build_grpo_config(config, run)
    tokenizer = load_tokenizer(config.model)
    _judge_is_there(config)
    if config.prompts.mlt:
        for target in config.prompts.resolved_targets:
            lead_id(tokenizer, target)
    held_out = load_held_out(config)
    train = training_prompts(config, held_out)
    needed = args.generation_batch_size // args.num_generations
    if len(train) < needed:
        raise DataError(
            f"there are {len(train)} training prompts (requests x targets, or problems x levels), and a step takes "
            f"{needed}",
            "Give more, or lower trainer.per_device_train_batch_size",
        )
    same_inputs(run, _digests(config, train, held_out))
    plain, system = untouched(config), config.model.system_prompt
    context = max(
        context_tokens(config, tokenizer, [prompt.to_task(system) for prompt in train], asking_control(config)),
        context_tokens(config, tokenizer, held_out_tasks(config, held_out), asking_control(config)),
        context_tokens(plain, load_tokenizer(plain.model), held_out_tasks(plain, held_out), asking_control(plain)),
    )
    train_data, eval_data = (build_dataset(config, rows) for rows in (train, held_out_prompts(config, held_out)))
    check_columns(config, train_data.column_names)
    return RunInputs(tokenizer, args, held_out, train_data, eval_data, context)


def _judge_is_there(config: Config) -> None:
    """A judge that is not there is told before anything is measured."""
    judge = config.judge
    if judge is not None and judge.model is not None:
        load_tokenizer(judge.model)
    if judge is not None and judge.script is not None and not Path(judge.script).expanduser().is_file():
        raise DataError(f"{judge.script} does not exist", "Name the verdicts in judge.script")


def _digests(config: Config, train: Sequence[TrainingPrompt], held_out: HeldOut) -> dict[str, dict[str, Any]]:
    found = {"training prompts": digest_prompts(train), "held-out prompts": digest_prompts(held_out.prompts)}
    if held_out.problems:
        found["held-out problems"] = digest_prompts(problem_tasks(config, held_out.problems, held_out.asks))
    return found


def context_tokens(config: Config, tokenizer: LoadedTokenizer, tasks: Sequence[Task], spec: str) -> int:
    """The longest conversation of tasks under a control, in tokens.

    Raises:
        DataError: one is longer than the model's context.
    """
    return conversation_tokens(config.model, tokenizer, tasks, completion_limit(config), [parse_control(spec)])


def same_versions(run: RunFolder) -> None:
    """Remember the versions and the machine of a new run; refuse to go on under other versions.

    Raises:
        RunFolderError: it was begun under others.
    """
    file, found = run.path / "env.json", environment()
    if file.is_file():
        known, now = json.loads(file.read_text(encoding="utf-8"))["versions"], found["versions"]
        changed = [
            f"{name} {known.get(name)} -> {now.get(name)}" for name in _STATEFUL if known.get(name) != now.get(name)
        ]
        if changed:
            raise RunFolderError(
                f"{run.path} was begun under other versions ({', '.join(changed)})", "Install those, or start a new run"
            )
    if is_main():
        write_json(file, found)


def same_inputs(run: RunFolder, found: dict[str, dict[str, Any]]) -> None:
    """Remember the digests of a new run's inputs by name; refuse others on resume.

    Raises:
        RunFolderError: it began with others.
    """
    file = run.path / "prompts.json"
    if not file.is_file():
        write_json(file, found)
    elif (known := json.loads(file.read_text(encoding="utf-8"))) != found:
        changed = " and ".join(name for name in found if known.get(name) != found[name])
        raise RunFolderError(f"{run.path} began with other {changed}", "Restore the data, or start a new run")
