"""Problems answered beside the prompts: accuracy against tokens for every side of an evaluation."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lengthctl.checking import AnswerChecker
from lengthctl.data_gen.checkable import make_tasks
from lengthctl.decode.control import Context, Control, Outcome, Task
from lengthctl.decode.run import check_abilities
from lengthctl.evaluate.reasoning import (
    Attempt,
    compare_attempts,
    summarise_attempts,
    tokens_at_equal_accuracy,
)
from lengthctl.models import LoadedTokenizer
from lengthctl.pipelines.drawing import draw_tasks
from lengthctl.pipelines.journal import Journal, digest, source_identity
from lengthctl.pipelines.sampling import evaluation_sampling, evaluation_seed, with_system_prompt
from lengthctl.problem_sources import Problem, ask_problem, load_problems
from lengthctl.reasoning import count_reasoning_tokens, opens_reasoning
from lengthctl.records import FinishReason
from lengthctl.rollout.backend import Backend

if TYPE_CHECKING:
    from lengthctl.config import Config
    from lengthctl.progress import Narrator

__all__ = ["answer_problems", "evaluation_problems", "problem_summary", "problem_tasks"]

_TASK_SEED = 20_260_101
_OPENING, _CLOSING = "<think>", "</think>"
_TAIL_TOKENS = 16
"""End of a prompt in which a template may open the thought."""


def evaluation_problems(config: Config) -> list[Problem]:
    """Problems of `evaluate.problems`: `builtin`, a set's name, or NAME=SOURCE.

    Raises:
        DataError: unknown set, or a source that cannot be read.
    """
    wanted, limit = config.evaluate.problems, config.evaluate.problem_limit
    if wanted is None:
        return []
    if wanted == "builtin":
        return [task.to_problem() for task in make_tasks(limit, _TASK_SEED, split="test")]
    name, _, source = wanted.partition("=")
    return load_problems(name, source or None, limit=limit)


def problem_tasks(config: Config, problems: Sequence[Problem]) -> list[Task]:
    """`evaluate.samples` tasks a problem; they name no length."""
    tasks = []
    for problem in problems:
        messages = [{"role": "user", "content": ask_problem(problem.question)}]
        asked = tuple(with_system_prompt(messages, config.model.system_prompt))
        for sample in range(config.evaluate.samples):
            tasks.append(Task(f"{problem.id}#{sample}", asked, group=problem.id))
    return tasks


def answer_problems(
    config: Config,
    backend: Backend,
    tokenizer: LoadedTokenizer | None,
    problems: Sequence[Problem],
    control: Control,
    spec: str,
    narrator: Narrator,
    *,
    journal: Path | None = None,
) -> list[Attempt]:
    """Every problem answered under a control and checked; failed requests are left out and told.

    Raises:
        ConfigError: the backend cannot carry out the control.
        RunFolderError: the journal is of other settings.
    """
    check_abilities(spec, control, backend)
    sampling = evaluation_sampling(config)
    tasks = problem_tasks(config, problems)
    by_id = {problem.id: problem for problem in problems}
    limits = [sampling.temperature, sampling.top_p, sampling.max_tokens]
    settings = [source_identity(config), limits, config.run.seed, repr(control)]
    keys = {t.id: digest(settings, [dict(m) for m in t.messages], by_id[t.group].answer) for t in tasks}
    kept = Journal(journal, keys)
    jobs = [(task, control) for task in tasks]
    seed, context, title = evaluation_seed(config), Context(sampling, tokenizer), f"problems {spec}"
    try:
        with AnswerChecker() as checker:

            def told(task: Task, outcome: Outcome) -> None:
                if outcome.finish is FinishReason.ERROR:
                    narrator.say(f"{task.id} failed and is left out: {outcome.error}")
                    return
                attempt = _attempt(by_id[task.group], task, outcome, checker, tokenizer)
                row = {"id": task.id, "key": keys[task.id], **attempt.to_row(), "text": outcome.text}
                kept.add({**row, "finish": outcome.finish, "drawn_tokens": outcome.drawn_tokens, "control": spec})

            draw_tasks(backend, jobs, context, kept, narrator, title, seed=seed, on_outcome=told)
    finally:
        kept.close()
    return [Attempt.parse(row) for row in kept.rows([task.id for task in tasks])]


def _attempt(
    problem: Problem, task: Task, outcome: Outcome, checker: AnswerChecker, tokenizer: LoadedTokenizer | None
) -> Attempt:
    starts_open, reasoning = False, 0
    if tokenizer is not None:
        prompt = tokenizer.prompt_ids([dict(m) for m in task.messages])
        starts_open = opens_reasoning(tokenizer.tokenizer.decode(list(prompt[-_TAIL_TOKENS:])))
        tags = (tokenizer.encode(_CLOSING), tokenizer.encode(_OPENING))
        reasoning = count_reasoning_tokens(outcome.token_ids, *tags, starts_open=starts_open).reasoning
    verdict = checker.check_text(outcome.text, problem.answer, starts_open=starts_open)
    total = outcome.tokens
    return Attempt(
        problem.id,
        int(task.id.rpartition("#")[2]),
        verdict.status,
        reasoning,
        total - reasoning,
        total,
        outcome.finish in (FinishReason.LIMIT, FinishReason.REWARD_CEILING),
        problem.difficulty,
    )


def problem_summary(sides: Mapping[str, Sequence[Attempt]], methods: Mapping[str, str], seed: int) -> dict[str, Any]:
    """For a summary: `reasoning` (what the report plots), `problems` by side, `problem_differences` to the first side,
    and `tokens_at_equal_accuracy` of the methods that were measured at several settings.

    Args:
        sides: attempts by side.
        methods: by side, the method that it is one setting of.
        seed: of the bootstrap.
    """
    summaries = {}
    for name, attempts in sides.items():
        if attempts:
            fewest = min(Counter(attempt.problem_id for attempt in attempts).values())
            summaries[name] = summarise_attempts(attempts, seed, sorted({1, fewest}))
    plotted = {
        name: {"accuracy": found["overall"]["accuracy"], "tokens": found["overall"]["mean_total_tokens"]}
        for name, found in summaries.items()
    }
    first, *others = summaries
    changes = {name: compare_attempts(sides[first], sides[name], seed) for name in others}
    curves: dict[str, list[Sequence[Attempt]]] = {}
    for name in summaries:
        curves.setdefault(methods[name], []).append(sides[name])
    return {
        "reasoning": plotted,
        "problems": summaries,
        "problem_differences": changes,
        "tokens_at_equal_accuracy": tokens_at_equal_accuracy(curves, seed),
    }
