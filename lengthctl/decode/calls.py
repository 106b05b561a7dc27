"""A flow's calls as tasks of a control, and what comes of them as answers."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from lengthctl.decode.control import Context, Control, Outcome, Steps, Task
from lengthctl.decode.flow import Answer, Call, FlowFailedError, Setback
from lengthctl.length import Target
from lengthctl.records import Completion, FinishReason
from lengthctl.rollout.backend import Ability

__all__ = ["OfCall", "answer_of", "raise_for_error", "task_of"]


@dataclass(frozen=True)
class OfCall:
    """A control for one call: the inner one, at the call's temperature and behind its prefill."""

    call: Call
    inner: Control

    @property
    def needs(self) -> frozenset[Ability]:
        """Those of the inner control, and of a prefill."""
        return self.inner.needs | ({Ability.PREFILL} if self.call.prefill else frozenset())

    def refuses(self, target: Target | None) -> str | None:
        """As the inner control."""
        return self.inner.refuses(target)

    def room(self, task: Task, limit: int) -> int:
        """As the inner control."""
        return self.inner.room(task, limit)

    def steps(self, task: Task, context: Context) -> Steps:
        """The inner control's, each draw adapted."""
        if self.call.temperature is not None:
            context = replace(context, sampling=replace(context.sampling, temperature=self.call.temperature))
        steps = self.inner.steps(task, context)
        answers: Sequence[Completion] | None = None
        while True:
            try:
                draws = next(steps) if answers is None else steps.send(answers)
            except StopIteration as stop:
                outcome: Outcome = stop.value
                return outcome
            answers = yield [replace(draw, prefill=self.call.prefill) for draw in draws]


def task_of(call: Call, name: str, group: str = "") -> Task:
    """The call as a task; `name` is distinct among those under way. It has its length in its words already."""
    return Task(name, call.messages, call.target, call.messages, group, call.max_tokens)


def answer_of(outcome: Outcome) -> Answer:
    """What a call's control settled for. Half a surrogate pair, which no file would take, becomes a question mark."""
    text = outcome.text.encode("utf-8", "replace").decode()
    tokens = outcome.drawn_tokens or outcome.tokens
    return Answer(text, outcome.finish, tokens, outcome.prompt_tokens, outcome.error)


def raise_for_error(answers: Iterable[Answer]) -> None:
    """For flows that can do nothing without each of these answers.

    Raises:
        FlowFailedError: BACKEND, with the cause of the first that failed.
    """
    for answer in answers:
        if answer.finish is FinishReason.ERROR:
            raise FlowFailedError(Setback.BACKEND, answer.error or "")
