"""Which problems a recipe trains on and is measured by, and how they are put to the model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from lengthctl.config.problem_checks import BUILTIN, held_out_set
from lengthctl.data_gen.checkable import make_tasks
from lengthctl.errors import DataError
from lengthctl.length import Target
from lengthctl.levels import ask_level
from lengthctl.problem_sources import Problem, ask_problem, load_problems
from lengthctl.prompts import WORDINGS, Message, draw_wording, word_length

if TYPE_CHECKING:
    from lengthctl.config import Config

__all__ = ["PLAIN", "Ask", "asked_messages", "evaluation_problems", "problem_asks", "training_problems"]

_TASK_SEED = 20_260_101
"""Of the builtin problems: the same ones for every run, whatever its seed."""
_TASKS = 2000
"""Builtin problems to train on, where `prompts.limit` names no number."""


@dataclass(frozen=True)
class Ask:
    """One way in which a problem is put: at a level, with a length, or as it is. `label` names it in results."""

    label: str = ""
    level: str | None = None
    target: Target | None = None


PLAIN = Ask()
"""As it is."""


def problem_asks(config: Config) -> list[Ask]:
    """The ways in which a recipe that trains on problems puts them; of others, as they are."""
    prompts = config.prompts
    if prompts.problems is None:
        return [PLAIN]
    by_level = [Ask(level, level=level) for level in prompts.levels]
    by_target = [Ask(target.label, target=target) for target in prompts.resolved_targets]
    return by_level or by_target or [PLAIN]


def asked_messages(
    problem: Problem, ask: Ask, *, wordings: Sequence[str] | None = None, seed: int = 0
) -> tuple[Message, ...]:
    """The conversation that puts a problem.

    Args:
        problem: what is asked.
        ask: how.
        wordings: forms of the demand for a length; None: the built-in ones.
        seed: draws one of them for each problem and target.
    """
    messages: tuple[Message, ...] = ({"role": "user", "content": ask_problem(problem.question)},)
    if ask.level is not None:
        messages = ask_level(messages, ask.level)
    if ask.target is not None:
        forms = tuple(wordings) if wordings else WORDINGS
        messages = word_length(messages, ask.target, forms[draw_wording(forms, seed, problem.id, ask.target)])
    return messages


def evaluation_problems(config: Config) -> list[Problem]:
    """Problems of `evaluate.problems`: `builtin`, a set's name, or NAME=SOURCE; held-out ones of the set that is
    trained, where it names none.

    Raises:
        DataError: unknown set, or a source that cannot be read.
    """
    try:
        wanted = held_out_set(config)
    except ValueError as error:
        raise DataError(f"evaluate.problems {error}", "Name problems that are not trained") from error
    limit = config.evaluate.problem_limit
    if wanted is None:
        return []
    if wanted == BUILTIN:
        return _builtin(config, limit, "test")
    name, _, source = wanted.partition("=")
    return load_problems(name, source or None, limit=limit)


def training_problems(config: Config, held_out: Sequence[Problem]) -> list[Problem]:
    """Problems of `prompts.problems`, without those whose question is held out.

    Raises:
        DataError: unknown set, a source that cannot be read, or nothing left.
    """
    prompts = config.prompts
    assert prompts.problems is not None
    if prompts.problems == BUILTIN:
        found = _builtin(config, prompts.limit or _TASKS, "train")
    else:
        name, _, source = prompts.problems.partition("=")
        found = load_problems(name, source or None, subset=prompts.subset, split=prompts.split)
    questions = {problem.question for problem in held_out}
    kept = [problem for problem in found if problem.question not in questions][: prompts.limit]
    if not kept:
        raise DataError(f"all problems of {prompts.problems} are held out", "Name others in evaluate.problems")
    return kept


def _builtin(config: Config, count: int, split: Literal["train", "test"]) -> list[Problem]:
    prompts = config.prompts
    tasks = make_tasks(count, _TASK_SEED, prompts.problem_steps, prompts.problem_digits, split)
    return [task.to_problem() for task in tasks]
