"""Problems answered and checked: by a side of an evaluation, or by a model before and after its training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lengthctl.checking import AnswerChecker, Status
from lengthctl.decode.control import Context, Control, Outcome, Task
from lengthctl.decode.run import check_abilities
from lengthctl.errors import DataError
from lengthctl.evaluate.attempts import Attempt
from lengthctl.models import LoadedTokenizer
from lengthctl.pipelines.drawing import draw_tasks
from lengthctl.pipelines.journal import Journal, digest, source_identity
from lengthctl.pipelines.problem_prompts import PLAIN, Ask, asked_messages
from lengthctl.pipelines.sampling import evaluation_sampling, evaluation_seed, with_system_prompt
from lengthctl.problem_sources import Problem
from lengthctl.reasoning import THINK_TAGS, count_reasoning_pieces, count_reasoning_tokens, opens_reasoning
from lengthctl.records import FinishReason, read_records
from lengthctl.rewards.accuracy import last_number
from lengthctl.rewards.correctness import check_answers
from lengthctl.rollout.backend import Backend

if TYPE_CHECKING:
    from lengthctl.config import Config
    from lengthctl.progress import Narrator

__all__ = ["Answered", "answer_problems", "problem_tasks", "read_answers"]

_SAMPLE_SEED = 20_260_101
"""Draws the wording of each problem that is asked with a length: the same for every run."""


@dataclass(frozen=True)
class Answered:
    """One completion of a problem, graded twice: by the answer that it marks, and by the last number anywhere in it."""

    attempt: Attempt
    by_last_number: Attempt
    label: str = ""
    """Of the way in which the problem was put (`Ask.label`)."""


@dataclass(frozen=True)
class _Job:
    """One completion that is wanted."""

    task: Task
    problem: Problem
    label: str
    sample: int
    """Its number among those of the problem, however put."""


def problem_tasks(
    config: Config, problems: Sequence[Problem], asks: Sequence[Ask] = (PLAIN,), *, samples: int = 1
) -> list[Task]:
    """`samples` tasks for each problem in each way."""
    return [job.task for job in _jobs(config, problems, asks, samples)]


def answer_problems(
    config: Config,
    backend: Backend,
    tokenizer: LoadedTokenizer | None,
    problems: Sequence[Problem],
    control: Control,
    spec: str,
    narrator: Narrator,
    *,
    asks: Sequence[Ask] = (PLAIN,),
    journal: Path | None = None,
    source: Sequence[Any] | None = None,
) -> list[Answered]:
    """Every problem answered `evaluate.samples` times in each way under a control, and checked; failed requests are
    left out and told.

    Raises:
        ConfigError: the backend cannot carry out the control.
        DataError: every completion failed.
        RunFolderError: the journal is of other settings.
    """
    check_abilities(spec, control, backend)
    sampling = evaluation_sampling(config)
    jobs = {job.task.id: job for job in _jobs(config, problems, asks, config.evaluate.samples)}
    limits = [sampling.temperature, sampling.top_p, sampling.repetition_penalty, sampling.max_tokens]
    settings = [list(source or source_identity(config)), limits, config.run.seed, repr(control)]
    keys = {
        name: digest(settings, [dict(m) for m in job.task.messages], job.problem.answer) for name, job in jobs.items()
    }
    kept = Journal(journal, keys)
    seed, context, title = evaluation_seed(config), Context(sampling, tokenizer), f"problems {spec}"
    try:
        with AnswerChecker() as checker:

            def told(task: Task, outcome: Outcome) -> None:
                if outcome.finish is FinishReason.ERROR:
                    narrator.say(f"{task.id} failed and is left out: {outcome.error}")
                    return
                attempt = _attempt(jobs[task.id], outcome, checker, tokenizer)
                row = {"id": task.id, "key": keys[task.id], **attempt.to_row(), "text": outcome.text}
                kept.add({**row, "finish": outcome.finish, "drawn_tokens": outcome.drawn_tokens, "control": spec})

            drawn = [(job.task, control) for job in jobs.values()]
            draw_tasks(backend, drawn, context, kept, narrator, title, seed=seed, on_outcome=told)
    finally:
        kept.close()
    return _graded(jobs, kept.rows(list(jobs)))


def read_answers(config: Config, problems: Sequence[Problem], asks: Sequence[Ask], path: Path) -> list[Answered]:
    """What `answer_problems` kept in a journal.

    Raises:
        DataError: the file is torn, or holds none of these problems.
    """
    rows = {row["id"]: row for _, row in read_records(path)}
    jobs = {job.task.id: job for job in _jobs(config, problems, asks, config.evaluate.samples)}
    return _graded(jobs, [rows[name] for name in jobs if name in rows])


def _jobs(config: Config, problems: Sequence[Problem], asks: Sequence[Ask], samples: int) -> list[_Job]:
    jobs = []
    for problem in problems:
        for way, ask in enumerate(asks):
            name = f"{problem.id}|{ask.label}" if ask.label else problem.id
            messages, request = (
                tuple(with_system_prompt(asked, config.model.system_prompt))
                for asked in (
                    asked_messages(problem, ask, wordings=config.prompts.wordings, seed=_SAMPLE_SEED),
                    asked_messages(problem, replace(ask, target=None)),
                )
            )
            for sample in range(samples):
                task = Task(f"{name}#{sample}", messages, ask.target, request, group=name)
                jobs.append(_Job(task, problem, ask.label, way * samples + sample))
    return jobs


def _attempt(job: _Job, outcome: Outcome, checker: AnswerChecker, tokenizer: LoadedTokenizer | None) -> Attempt:
    starts_open, reasoning, text = False, 0, outcome.text
    if tokenizer is not None:
        starts_open = opens_reasoning(tokenizer.opening_text([dict(m) for m in job.task.messages]))
        reasoning = _reasoning_tokens(outcome.token_ids, tokenizer, starts_open=starts_open)
        text = _with_tags(outcome, tokenizer)
    verdict = checker.check_text(text, job.problem.answer, starts_open=starts_open)
    total = outcome.tokens
    return Attempt(
        job.problem.id,
        job.sample,
        verdict.status,
        reasoning,
        total - reasoning,
        total,
        outcome.finish in (FinishReason.LIMIT, FinishReason.REWARD_CEILING),
        job.problem.difficulty,
    )


def _reasoning_tokens(ids: Sequence[int], tokenizer: LoadedTokenizer, *, starts_open: bool) -> int:
    """By the tags' own tokens; where a model spells a tag in several, by what the tokens say."""
    opening, closing = (tokenizer.encode(tag) for tag in (THINK_TAGS.opening, THINK_TAGS.closing))
    if len(opening) == len(closing) == 1:
        return count_reasoning_tokens(ids, closing, opening, starts_open=starts_open).reasoning
    pieces = [tokenizer.tokenizer.decode([i]) for i in ids]
    return count_reasoning_pieces(pieces, starts_open=starts_open).reasoning


def _with_tags(outcome: Outcome, tokenizer: LoadedTokenizer) -> str:
    """The text; of a model whose tags are special tokens, which a text is decoded without, with them."""
    tags = [tokenizer.encode(tag) for tag in (THINK_TAGS.opening, THINK_TAGS.closing)]
    if not outcome.token_ids or not any(len(t) == 1 and t[0] in tokenizer.tokenizer.all_special_ids for t in tags):
        return outcome.text
    kept = [i for i in outcome.token_ids if i not in tokenizer.stop_token_ids]
    return str(tokenizer.tokenizer.decode(kept, skip_special_tokens=False))


def _graded(jobs: Mapping[str, _Job], rows: Sequence[Mapping[str, Any]]) -> list[Answered]:
    """Records of attempts, graded by their last numbers too."""
    if not rows:
        raise DataError("every completion of a problem failed", "Mend what is told above, and run it again")
    mine = [jobs[row["id"]] for row in rows]
    numbers = [last_number(row["text"]) for row in rows]
    right = check_answers(numbers, {"answer": [job.problem.answer for job in mine]})
    answered = []
    for job, row, is_right in zip(mine, rows, right, strict=True):
        attempt = Attempt.parse(row)
        loose = replace(attempt, status=Status.CORRECT if is_right else Status.WRONG)
        answered.append(Answered(attempt, loose, job.label))
    return answered
