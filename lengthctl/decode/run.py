"""Run controls over a backend: all tasks share one call of it, and each goes on as soon as its own draws are in."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace

from lengthctl.decode.control import Context, Control, Draw, Outcome, Steps, Task
from lengthctl.errors import ConfigError, EngineError, Problem
from lengthctl.length import Target
from lengthctl.prompts import Message
from lengthctl.records import Completion, FinishReason
from lengthctl.rollout.backend import Backend, Request, request_seed

__all__ = ["Job", "OnOutcome", "check_abilities", "check_targets", "run_controls"]

Job = tuple[Task, Control]
OnOutcome = Callable[[Task, Outcome], Iterable[Job] | None]
"""Sees an outcome; the jobs that it returns are begun in the same run."""

_WHY = {
    "prefix": "continue a text that has begun",
    "prefill": "go on from given words of an answer",
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


_UNDER_WAY = Outcome("", (), FinishReason.ERROR, error="under way")
"""Holds a task's place until its outcome is known."""


@dataclass
class _Running:
    task: Task
    steps: Steps
    draws: Sequence[Draw] = ()
    round: int = 0
    drawn_tokens: int = 0
    prompt_tokens: int = 0
    count: int = 0
    answers: dict[int, Completion] = field(default_factory=dict)
    asked: tuple[Message, ...] | None = None
    """The conversation that `prompt_ids` are of: most draws of a task share one."""
    prompt_ids: tuple[int, ...] = ()

    def good_answers(self) -> list[Completion]:
        """Of the last draws, in their order."""
        return [a for _, a in sorted(self.answers.items()) if a.finish is not FinishReason.ERROR]


def run_controls(
    backend: Backend,
    jobs: Iterable[Job],
    context: Context,
    *,
    seed: int | None = None,
    on_outcome: OnOutcome | None = None,
) -> list[Outcome]:
    """One outcome a job, in their order, and behind them those of added jobs in the order in which they were added;
    `on_outcome` sees each as soon as its last completion has come.

    Args:
        backend: generates.
        jobs: tasks with distinct ids, each with its control.
        context: what the controls may use.
        seed: gives every request a seed of its own, by its name; None leaves the engines' stream.
        on_outcome: told of each task that ends; the jobs that it returns are begun at once.

    Raises:
        ValueError: a task's id stands twice.
        EngineError, EndpointError, FailureBudgetError: as `Backend.generate`; what ended before was told.
    """
    run = _Run(context, seed, on_outcome)
    owed = run.begin(jobs)
    while owed:
        backend.generate(owed, run.take)
        left = run.unanswered()  # none, but with a backend that takes nothing in while it is at work
        if len(left) == len(owed) and left[0] is owed[0]:
            raise EngineError(f"the backend left {len(left)} requests without an answer")
        owed = left
    return list(run.outcomes.values())


class _Run:
    """The tasks of one `run_controls`, and the requests that they wait for."""

    def __init__(self, context: Context, seed: int | None, on_outcome: OnOutcome | None) -> None:
        self.outcomes: dict[str, Outcome] = {}
        self._context = context
        self._seed = seed
        self._on_outcome = on_outcome
        self._owners: dict[str, tuple[_Running, int, Request]] = {}

    def unanswered(self) -> list[Request]:
        """Requests that were handed out, in their order."""
        return [request for _, _, request in self._owners.values()]

    def begin(self, jobs: Iterable[Job]) -> list[Request]:
        """The first requests of these jobs, and of those that follow from jobs which end without any."""
        todo, requests = deque(jobs), list[Request]()
        while todo:
            task, control = todo.popleft()
            if task.id in self.outcomes:
                raise ValueError(f"task id {task.id!r} stands twice")
            self.outcomes[task.id] = _UNDER_WAY
            own = self._context if task.limit is None else self._context.limited(task.limit)
            made, further = self._advance(_Running(task, control.steps(task, own)), None)
            requests.extend(made)
            todo.extend(further)
        return requests

    def take(self, completion: Completion) -> list[Request]:
        """A completion has come: what its task, or tasks that begin with its end, ask for next."""
        running, index, request = self._owners.pop(completion.request_id)
        running.answers[index] = completion
        running.drawn_tokens += completion.tokens
        running.prompt_tokens += len(request.prompt_ids) or completion.reported_prompt_tokens
        running.count += 1
        if len(running.answers) < len(running.draws):
            return []
        running.round += 1
        good = running.good_answers()
        if not good:
            return self.begin(self._end(running, Outcome("", (), FinishReason.ERROR, error=completion.error)))
        requests, further = self._advance(running, good)
        return [*requests, *self.begin(further)]

    def _advance(self, running: _Running, answers: Sequence[Completion] | None) -> tuple[list[Request], Iterable[Job]]:
        """Hand a task its completions: it asks for more, or ends and so begins further jobs."""
        try:
            running.draws = next(running.steps) if answers is None else running.steps.send(answers)
            while not running.draws:
                running.draws = running.steps.send([])
        except StopIteration as stop:
            return [], self._end(running, stop.value)
        running.answers = {}
        requests = []
        for index, draw in enumerate(running.draws):
            request = _request(running, index, draw, self._context, self._seed)
            self._owners[request.id] = (running, index, request)
            requests.append(request)
        return requests, ()

    def _end(self, running: _Running, outcome: Outcome) -> Iterable[Job]:
        drawn, read = running.drawn_tokens, running.prompt_tokens
        outcome = replace(outcome, drawn_tokens=drawn, prompt_tokens=read, draws=running.count)
        self.outcomes[running.task.id] = outcome
        further = None if self._on_outcome is None else self._on_outcome(running.task, outcome)
        return further or ()


def _request(running: _Running, index: int, draw: Draw, context: Context, seed: int | None) -> Request:
    task = running.task
    name = task.id if (running.round, index) == (0, 0) else f"{task.id}/{running.round}.{index}"
    begun: tuple[int, ...] = ()
    if context.tokenizer is not None:
        if running.asked is not draw.messages:
            running.asked = draw.messages
            running.prompt_ids = context.tokenizer.prompt_ids([dict(m) for m in draw.messages])
        begun = context.tokenizer.encode(draw.prefill) if draw.prefill else ()
    sampling = draw.sampling if seed is None else replace(draw.sampling, seed=request_seed(seed, name))
    return Request(
        name,
        (*running.prompt_ids, *begun, *draw.prefix),
        sampling,
        draw.messages,
        group=(task.group or task.id) if running.round == 0 else f"{task.id}/{running.round}",
        target=task.target if not draw.prefix else None,  # of the rest only the limit is known
        template_values=draw.template_values,
        prefill=draw.prefill,
    )
