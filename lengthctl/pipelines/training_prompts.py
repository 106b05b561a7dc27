"""Prompts of a run that reinforces: requests with each length, or problems at each level."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from lengthctl.decode.control import Task
from lengthctl.errors import DataError, first_line
from lengthctl.length import Target
from lengthctl.pipelines.held_out import HeldOut
from lengthctl.pipelines.problem_prompts import Ask, asked_messages, problem_asks, training_problems
from lengthctl.pipelines.sampling import with_system_prompt
from lengthctl.problem_sources import Problem
from lengthctl.prompt_sources import RESERVED_COLUMNS, load_seed_prompts
from lengthctl.prompts import LengthPrompt, Message, build_length_prompts
from lengthctl.rewards.combine import missing_columns

if TYPE_CHECKING:
    from datasets import Dataset

    from lengthctl.config import Config

__all__ = ["TrainingPrompt", "build_dataset", "check_columns", "digest_prompts", "held_out_prompts", "training_prompts"]

_OURS = frozenset({"answer", "difficulty", "level", "group", "is_correct", "is_failed"})
"""What rewards are told by these names; a column of a problem's row that is called so means something else."""


@dataclass(frozen=True)
class TrainingPrompt:
    """One row of the trainer's data set; with `level` or `target` one of several of the same seed prompt."""

    id: str
    seed_id: str
    messages: tuple[Message, ...]
    target: Target | None = None
    columns: Mapping[str, Any] = field(default_factory=dict)

    def to_task(self, system_prompt: str | None) -> Task:
        """As a control sees it."""
        return Task(self.id, tuple(with_system_prompt(self.messages, system_prompt)), self.target)

    def to_row(self, system_prompt: str | None) -> dict[str, Any]:
        """TRL's column `prompt`, and ours: `prompt_id` of the request without its length, `target` as a flat row."""
        target = {} if self.target is None else {"target": self.target.to_row()}
        prompt = with_system_prompt(self.messages, system_prompt)
        return {**self.columns, "prompt": prompt, "prompt_id": self.seed_id, **target}


def training_prompts(config: Config, held_out: HeldOut) -> list[TrainingPrompt]:
    """By the recipe; what is held out is not among them.

    Raises:
        DataError: a source cannot be used, or holds nothing.
    """
    prompts, seed = config.prompts, config.run.seed
    if prompts.problems is not None:
        return _of_problems(config, training_problems(config, held_out.problems), problem_asks(config), seed)
    seeds = load_seed_prompts(prompts, "train")
    if not prompts.targets:
        return [TrainingPrompt(s.id, s.id, s.messages, None, s.columns) for s in seeds]
    return _with_lengths(
        config, build_length_prompts(seeds, prompts.resolved_targets, wordings=prompts.wordings, seed=seed)
    )


def held_out_prompts(config: Config, held_out: HeldOut) -> list[TrainingPrompt]:
    """What the trainer itself evaluates on, where it is told to: the same kind of rows as it trains."""
    if config.prompts.problems is not None:
        return _of_problems(config, held_out.problems, held_out.asks, config.run.seed)
    if not config.prompts.targets:
        seeds = load_seed_prompts(config.prompts, "eval")
        return [TrainingPrompt(s.id, s.id, s.messages, None, s.columns) for s in seeds]
    return _with_lengths(config, held_out.prompts)


def digest_prompts(prompts: Iterable[TrainingPrompt | LengthPrompt | Task]) -> dict[str, Any]:
    """Number and digest, by which a resumed run knows its prompts again."""
    rows = [[prompt.id, [dict(message) for message in prompt.messages]] for prompt in prompts]
    text = json.dumps(rows, ensure_ascii=False)
    return {"prompts": len(rows), "sha256": hashlib.sha256(text.encode()).hexdigest()}


def build_dataset(config: Config, prompts: Sequence[TrainingPrompt]) -> Dataset:
    """The trainer's rows.

    Raises:
        DataError: the columns of the source do not fit in one table.
    """
    from datasets import Dataset

    try:
        return Dataset.from_list([prompt.to_row(config.model.system_prompt) for prompt in prompts])
    except Exception as error:  # pyarrow's own types, which are no common base
        source = config.prompts.problems or config.prompts.source
        raise DataError(
            f"{source}: the columns do not fit in one table ({first_line(error)})",
            "Give each column one type, or remove it",
        ) from error


def check_columns(config: Config, columns: Collection[str]) -> None:
    """Every column that a reward or a filter reads is among those of the training prompts.

    Raises:
        DataError: one is not.
    """
    for name, missing in missing_columns(config.rewards, columns).items():
        raise DataError(
            f"reward {name} needs the column {' and '.join(missing)}, and the training prompts have "
            f"{', '.join(columns)}",
            "Train on problems (prompts.problems, prompts.levels), or give prompts that have it",
        )
    if config.train.advantage.filter == "correct" and "answer" not in columns:
        raise DataError("train.advantage.filter = correct needs the column answer", "Train on problems, or take spread")


def _with_lengths(config: Config, prompts: Iterable[LengthPrompt]) -> list[TrainingPrompt]:
    """A meta length token stands for the words of the demand."""
    mlt = config.prompts.mlt
    return [TrainingPrompt(p.id, p.seed_id, p.request if mlt else p.messages, p.target, p.columns) for p in prompts]


def _of_problems(config: Config, problems: Sequence[Problem], asks: Sequence[Ask], seed: int) -> list[TrainingPrompt]:
    found = []
    for problem in problems:
        rest = {k: v for k, v in problem.columns.items() if k not in RESERVED_COLUMNS | _OURS}
        columns = {**rest, "answer": problem.answer, "difficulty": problem.difficulty}
        for ask in asks:
            name = f"{problem.id}|{ask.label}" if ask.label else problem.id
            level = {} if ask.level is None else {"level": ask.level}
            worded = Ask(ask.label, ask.level, None if config.prompts.mlt else ask.target)
            messages = asked_messages(problem, worded, wordings=config.prompts.wordings, seed=seed)
            found.append(TrainingPrompt(name, problem.id, messages, ask.target, {**columns, **level}))
    return found
