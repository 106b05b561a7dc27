"""Run controls over a backend: the draws of all tasks under way go out together, tasks end on their own."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace

from lengthctl.decode.control import Context, Control, Draw, Outcome, Steps, Task
from lengthctl.errors import ConfigError, Problem
from lengthctl.length import Target
from lengthctl.prompts import Message
from lengthctl.records import Completion, FinishReason
from lengthctl.rollout.backend import Backend, Request, request_seed

__all__ = ["check_abilities", "check_targets", "run_controls"]

_WHY = {
    "prefix": "continue a text that has begun",
    "rules": "let us change the model's logits",
    "logit_bias": "add a bias to logits",
    "template": "hand values to its chat template, as a server does",
}


def check_abilities(control_name: str, control: Control, backend: Backend) -> None:
    """Refuse a control that the backend cannot carry out.

    Raises:
        ConfigError: what is missing.
    """
    missing = sorted(control.needs - backend.abilities)
    if missing:
        cannot = " or ".join(_WHY[need] for need in missing)
        raise ConfigError(
            "control",
            [Problem(control_name, f"needs a backend that can {cannot}")],
            "Use a local model, or the controls plain, retry, revise, countdown",
        )


def check_targets(control_name: str, control: Control, targets: Iterable[Target | None]) -> None:
    """Refuse a control that can do nothing for one of the targets.

    Raises:
        ConfigError: the first such target.
    """
    for target in targets:
        if (why := control.refuses(target)) is not None:
            asked = "a prompt names no length" if target is None else f"{target.label} {target.unit} is asked"
            raise ConfigError("control", [Problem(control_name, f"{why}, and {asked}")], "Name another control")


@dataclass
class _Running:
    task: Task
    steps: Steps
    draws: Sequence[Draw] = ()
    round: int = 0
    drawn_tokens: int = 0
    count: int = 0
    answers: dict[int, Completion] = field(default_factory=dict)
    asked: tuple[Message, ...] | None = None
    """The conversation that `prompt_ids` are of: most draws of a task share one."""
    prompt_ids: tuple[int, ...] = ()


def run_controls(
    backend: Backend,
    jobs: Sequence[tuple[Task, Control]],
    context: Context,
    *,
    seed: int | None = None,
    on_outcome: Callable[[Task, Outcome], None] | None = None,
) -> list[Outcome]:
    """One outcome a job, in their order; `on_outcome` sees each as soon as its last completion has come.

    Args:
        backend: generates.
        jobs: tasks with distinct ids, each with its control.
        context: what the controls may use.
        seed: gives every request a seed of its own; None leaves the engines' stream.
        on_outcome: told of each task that ends.

    Raises:
        EngineError, EndpointError, FailureBudgetError: as `Backend.generate`; what ended before was told.
    """
    outcomes: dict[str, Outcome] = {}
    waiting: list[_Running] = []

    def advance(running: _Running, answers: Sequence[Completion] | None) -> None:
        """Hand a task its completions: it ends, or asks for more in the next call."""
        try:
            running.draws = next(running.steps) if answers is None else running.steps.send(answers)
        except StopIteration as stop:
            end(running, stop.value)
            return
        running.answers = {}
        waiting.append(running)

    def end(running: _Running, outcome: Outcome) -> None:
        outcome = replace(outcome, drawn_tokens=running.drawn_tokens, draws=running.count)
        outcomes[running.task.id] = outcome
        if on_outcome is not None:
            on_outcome(running.task, outcome)

    def answered(completion: Completion) -> None:
        running, index = owners[completion.request_id]
        running.answers[index] = completion
        running.drawn_tokens += completion.tokens
        running.count += 1
        if len(running.answers) < len(running.draws):
            return
        running.round += 1
        good = [a for _, a in sorted(running.answers.items()) if a.finish is not FinishReason.ERROR]
        if good:
            advance(running, good)
        else:
            end(running, Outcome("", (), FinishReason.ERROR, error=completion.error))

    for task, control in jobs:
        own = context if task.limit is None else context.limited(task.limit)
        advance(_Running(task, control.steps(task, own)), None)
    while waiting:
        owners: dict[str, tuple[_Running, int]] = {}
        requests = []
        batch, waiting[:] = list(waiting), []
        for running in batch:
            for index, draw in enumerate(running.draws):
                request = _request(running, index, draw, context, seed)
                owners[request.id] = (running, index)
                requests.append(request)
        backend.generate(requests, answered)
    return [outcomes[task.id] for task, _ in jobs]


def _request(running: _Running, index: int, draw: Draw, context: Context, seed: int | None) -> Request:
    task = running.task
    name = task.id if (running.round, index) == (0, 0) else f"{task.id}/{running.round}.{index}"
    if context.tokenizer is not None and running.asked is not draw.messages:
        running.asked = draw.messages
        running.prompt_ids = context.tokenizer.prompt_ids([dict(m) for m in draw.messages])
    sampling = draw.sampling if seed is None else replace(draw.sampling, seed=request_seed(seed, name))
    return Request(
        name,
        (*running.prompt_ids, *draw.prefix),
        sampling,
        draw.messages,
        group=(task.group or task.id) if running.round == 0 else f"{task.id}/{running.round}",
        target=task.target if not draw.prefix else None,  # of the rest only the limit is known
        template_values=draw.template_values,
    )
