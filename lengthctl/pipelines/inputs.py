"""What a run works on, checked before anything expensive starts: tokenizer, TRL's arguments, prompts, datasets."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lengthctl.decode.build import parse_control
from lengthctl.decode.mlt import lead_id
from lengthctl.errors import DataError, RunFolderError, first_line
from lengthctl.evaluate.environment import environment
from lengthctl.models import LoadedTokenizer, load_tokenizer
from lengthctl.pipelines.drawing import conversation_tokens
from lengthctl.pipelines.evaluation import untouched
from lengthctl.pipelines.sampling import asking_control, completion_limit, prompt_tasks, with_system_prompt
from lengthctl.pipelines.suites import evaluation_prompts
from lengthctl.prompt_sources import load_seed_prompts
from lengthctl.prompts import LengthPrompt, build_length_prompts
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
    held_out: list[LengthPrompt]
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
    if config.prompts.mlt:
        for target in config.prompts.resolved_targets:
            lead_id(tokenizer, target)
    held_out = evaluation_prompts(config)
    train = build_length_prompts(
        load_seed_prompts(config.prompts, "train"),
        config.prompts.resolved_targets,
        wordings=config.prompts.wordings,
        seed=config.run.seed,
    )
    needed = args.generation_batch_size // args.num_generations
    if len(train) < needed:
        raise DataError(
            f"there are {len(train)} training prompts (requests x targets), and a step takes {needed}",
            "Give more, or lower trainer.per_device_train_batch_size",
        )
    same_inputs(run, {"training prompts": _digest(train), "held-out prompts": _digest(held_out)})
    plain = untouched(config)
    context = max(
        context_tokens(config, tokenizer, train, asking_control(config)),
        context_tokens(config, tokenizer, held_out, asking_control(config)),
        context_tokens(plain, load_tokenizer(plain.model), held_out, asking_control(plain)),
    )
    return RunInputs(tokenizer, args, held_out, _dataset(config, train), _dataset(config, held_out), context)


def context_tokens(config: Config, tokenizer: LoadedTokenizer, prompts: Sequence[LengthPrompt], spec: str) -> int:
    """The longest conversation of prompts under a control, in tokens.

    Raises:
        DataError: one is longer than the model's context.
    """
    tasks = prompt_tasks(config, prompts, samples=1)
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


def _digest(prompts: Sequence[LengthPrompt]) -> dict[str, Any]:
    text = json.dumps([[p.id, [dict(m) for m in p.messages]] for p in prompts], ensure_ascii=False)
    return {"prompts": len(prompts), "sha256": hashlib.sha256(text.encode()).hexdigest()}


def _dataset(config: Config, prompts: Sequence[LengthPrompt]) -> Dataset:
    """TRL's columns, and ours: `target` as a flat row, `prompt_id` of the request without its length."""
    from datasets import Dataset

    rows = [
        {
            **p.columns,
            "prompt": with_system_prompt(p.request if config.prompts.mlt else p.messages, config.model.system_prompt),
            "target": p.target.to_row(),
            "prompt_id": p.seed_id,
        }
        for p in prompts
    ]
    try:
        return Dataset.from_list(rows)
    except Exception as error:  # pyarrow's own types, which are no common base
        raise DataError(
            f"{config.prompts.source}: the columns do not fit in one table ({first_line(error)})",
            "Give each column one type, or remove it",
        ) from error
