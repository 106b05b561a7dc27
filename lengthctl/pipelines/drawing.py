"""Tasks drawn under controls: how long their conversations can become, and one run of them that a journal keeps."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from lengthctl.decode.control import Context, Control, Outcome, Task
from lengthctl.decode.run import run_controls
from lengthctl.errors import DataError
from lengthctl.models import LoadedTokenizer, context_length
from lengthctl.pipelines.journal import Journal
from lengthctl.rollout.backend import Backend

if TYPE_CHECKING:
    from lengthctl.config import ModelConfig
    from lengthctl.progress import Narrator

__all__ = ["conversation_tokens", "draw_tasks"]


def conversation_tokens(
    model: ModelConfig, tokenizer: LoadedTokenizer, tasks: Sequence[Task], limit: int, controls: Sequence[Control]
) -> int:
    """The longest conversation, in tokens: a prompt, its text, and what a control may add to them.

    Args:
        model: whose context bounds it.
        tokenizer: of that model.
        tasks: what is asked.
        limit: of the text of a task that names none, in tokens.
        controls: those that the tasks may run under.

    Raises:
        DataError: a conversation can be longer than the model's context; its prompt is named.
    """
    room, longest = context_length(model), 0
    for task in tasks:
        own = len(tokenizer.prompt_ids([dict(m) for m in task.messages]))
        needed = max(control.room(task, task.limit or limit) for control in controls)
        if room is not None and own + needed > room:
            start = task.messages[-1]["content"][:60]
            raise DataError(
                f"{task.id}: the prompt {start!r} has {own} tokens and its text may need {needed}, more than the "
                f"model's context of {room}",
                "Shorten or remove it, ask for less, or lower the limit (--max-tokens, evaluate.max_tokens, "
                "trainer.max_completion_length)",
            )
        longest = max(longest, own + needed)
    return longest


def draw_tasks(
    backend: Backend,
    jobs: Sequence[tuple[Task, Control]],
    context: Context,
    kept: Journal,
    narrator: Narrator,
    title: str,
    *,
    seed: int | None,
    on_outcome: Callable[[Task, Outcome], None],
) -> list[Outcome]:
    """Run the tasks that the journal does not hold, with a bar over all of them; `on_outcome` writes them down.

    Raises:
        EngineError, EndpointError, FailureBudgetError: as `run_controls`; what ended before was told.
    """
    owed = [(task, control) for task, control in jobs if task.id not in kept]
    with narrator.bar(len(jobs), title) as bar:
        bar.update(len(kept))

        def told(task: Task, outcome: Outcome) -> None:
            on_outcome(task, outcome)
            bar.update(len(kept))

        return run_controls(backend, owed, context, seed=seed, on_outcome=told)
