"""Texts for prompts under a control, measured, one record each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lengthctl.decode.build import parse_control
from lengthctl.decode.control import Context, Control, Outcome, Task
from lengthctl.decode.run import check_abilities
from lengthctl.errors import DataError
from lengthctl.length import Target
from lengthctl.models import LoadedTokenizer, context_length
from lengthctl.pipelines.drawing import draw_tasks
from lengthctl.pipelines.journal import Journal, digest, source_identity
from lengthctl.prompts import LengthPrompt
from lengthctl.reasoning import parse_reasoning
from lengthctl.records import FinishReason
from lengthctl.rollout.backend import Backend, Sampling
from lengthctl.scoring import Scored, score_text
from lengthctl.token_rates import ample_limit

if TYPE_CHECKING:
    from lengthctl.config import Config
    from lengthctl.progress import Narrator

__all__ = [
    "Sample",
    "asking_control",
    "completion_limit",
    "evaluation_sampling",
    "evaluation_seed",
    "prompt_tasks",
    "sample_prompts",
    "with_system_prompt",
]


def completion_limit(config: Config) -> int:
    """Limit of evaluation: `evaluate.max_tokens`, else the limit of training."""
    from lengthctl.train.settings import completion_limit as training_limit

    return config.evaluate.max_tokens or training_limit(config)


def evaluation_sampling(config: Config) -> Sampling:
    """How texts of an evaluation are drawn."""
    evaluate = config.evaluate
    return Sampling(
        temperature=evaluate.temperature,
        top_p=evaluate.top_p,
        repetition_penalty=evaluate.repetition_penalty,
        max_tokens=completion_limit(config),
    )


def asking_control(config: Config) -> str:
    """How a length is put to the model: in words, or by its meta length token."""
    return "mlt" if config.prompts.mlt else "plain"


def evaluation_seed(config: Config) -> int | None:
    """From which each request's own seed is drawn; None: requests follow the engines' stream."""
    is_seeded = config.rollout.reproducible or config.rollout.backend == "endpoint"
    return config.run.seed if is_seeded else None


def with_system_prompt(messages: Sequence[Any], system_prompt: str | None) -> list[dict[str, str]]:
    """Messages with the configured system prompt in front, unless they bring their own."""
    plain = [dict(m) for m in messages]
    if system_prompt is None or (plain and plain[0]["role"] == "system"):
        return plain
    return [{"role": "system", "content": system_prompt}, *plain]


def prompt_tasks(config: Config, prompts: Sequence[LengthPrompt], *, samples: int) -> list[Task]:
    """One task a sample of each prompt, its id `PROMPT#SAMPLE`."""
    system = config.model.system_prompt
    return [
        Task(
            f"{prompt.id}#{sample}",
            tuple(with_system_prompt(prompt.messages, system)),
            prompt.target,
            tuple(with_system_prompt(prompt.request or prompt.messages, system)),
            group=prompt.id,
            limit=None if config.evaluate.suite == "prompts" else _suite_limit(config, prompt.target),
        )
        for prompt in prompts
        for sample in range(samples)
    ]


def _suite_limit(config: Config, target: Target) -> int:
    """Of a benchmark's text: ample for its target, but no more than three quarters of a local model's context."""
    wanted = max(completion_limit(config), ample_limit(target))
    room = context_length(config.model) if config.rollout.backend == "vllm" else None
    return wanted if room is None else min(wanted, 3 * room // 4)


@dataclass(frozen=True)
class Sample:
    """One text for a prompt, measured, and its record."""

    prompt: LengthPrompt
    scored: Scored
    row: Mapping[str, Any]


def sample_prompts(
    config: Config,
    backend: Backend,
    tokenizer: LoadedTokenizer | None,
    prompts: Sequence[LengthPrompt],
    narrator: Narrator,
    stage: str,
    *,
    spec: str = "plain",
    journal: Path | None = None,
    source: Sequence[Any] | None = None,
) -> list[Sample]:
    """`evaluate.samples` texts of every prompt; failed ones are left out and told.

    Args:
        config: `evaluate`, `model`, `rollout` and `run.seed` are read.
        backend: generates.
        tokenizer: of the model, where it is local.
        prompts: with their targets.
        narrator: shows progress.
        stage: what the progress line says.
        spec: how lengths are controlled, as `parse_control` takes it.
        journal: file that keeps each record as it comes; what it holds already is not drawn again.
        source: what tells the model from others; None: its name and files.

    Raises:
        ConfigError: the backend cannot carry out the control.
        DataError: every text failed.
        RunFolderError: the journal is of other settings.
    """
    control = parse_control(spec)
    check_abilities(spec, control, backend)
    sampling, samples = evaluation_sampling(config), config.evaluate.samples
    tasks = prompt_tasks(config, prompts, samples=samples)
    of_task = {task.id: prompt for task, prompt in zip(tasks, _repeated(prompts, samples), strict=True)}
    keys = _keys(config, tasks, sampling, control, source or source_identity(config))
    kept = Journal(journal, keys)

    def told(task: Task, outcome: Outcome) -> None:
        if outcome.finish is not FinishReason.ERROR:
            scored = _score(of_task[task.id], outcome, tokenizer)
            kept.add(_record(task, scored, outcome, spec, keys[task.id]))

    jobs = [(task, control) for task in tasks]
    seed, context = evaluation_seed(config), Context(sampling, tokenizer)
    try:
        outcomes = draw_tasks(backend, jobs, context, kept, narrator, stage, seed=seed, on_outcome=told)
    finally:
        kept.close()
    failures = [outcome.error for outcome in outcomes if outcome.finish is FinishReason.ERROR]
    if failures:
        narrator.say(f"{len(failures)} of {len(tasks)} texts failed and are left out; the last: {failures[-1]}")
    rows = kept.rows([task.id for task in tasks])
    if not rows:
        raise DataError(f"every completion failed; the last: {failures[-1]}", "Mend what it names, and run it again")
    kept.finish([task.id for task in tasks])
    return [Sample(of_task[row["id"]], Scored.parse(row), row) for row in rows]


def _keys(
    config: Config, tasks: Sequence[Task], sampling: Sampling, control: Control, source: Sequence[Any]
) -> dict[str, str]:
    """By task, the digest of all that its record depends on."""
    drawn = [sampling.temperature, sampling.top_p, sampling.repetition_penalty]
    settings = [list(source), drawn, config.run.seed, repr(control)]

    def of(task: Task) -> list[Any]:
        target = None if task.target is None else task.target.to_row()
        return [task.limit or sampling.max_tokens, target, [dict(m) for m in task.messages]]

    return {task.id: digest(settings, of(task)) for task in tasks}


def _repeated(prompts: Sequence[LengthPrompt], samples: int) -> list[LengthPrompt]:
    return [prompt for prompt in prompts for _ in range(samples)]


def _score(prompt: LengthPrompt, outcome: Outcome, tokenizer: LoadedTokenizer | None) -> Scored:
    """Reasoning is left out of the length."""
    return score_text(
        parse_reasoning(outcome.text).answer,
        prompt.target,
        prompt_id=prompt.seed_id,
        tokens=outcome.tokens,
        is_truncated=outcome.finish in (FinishReason.LIMIT, FinishReason.REWARD_CEILING),
        tokenizer=None if tokenizer is None else tokenizer.tokenizer,
        drawn_tokens=outcome.drawn_tokens,
        is_cut=outcome.is_cut,
    )


def _record(task: Task, scored: Scored, outcome: Outcome, spec: str, key: str) -> dict[str, Any]:
    """Its measures and its text, what was asked, and where it came from."""
    if outcome.source is not None:
        origin = outcome.source.origin()
    else:
        origin = {"token_ids": list(outcome.token_ids), "logprobs": [], "finish": outcome.finish, "error": None}
    return {
        "id": task.id,
        "key": key,
        **scored.to_row(),
        "messages": [dict(m) for m in task.messages],
        "sample": int(task.id.rpartition("#")[2]),
        "control": spec,
        "draws": outcome.draws,
        "forced_tokens": outcome.forced_tokens,
        **({} if outcome.lead is None else {"mlt": outcome.lead}),
        **origin,
    }
