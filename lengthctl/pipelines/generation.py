"""`lengthctl gen`: texts at their lengths for prompts of the user's, each told whether it hit."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lengthctl.decode.build import parse_control
from lengthctl.decode.control import Context, Control, Outcome, Task
from lengthctl.decode.plain import Plain
from lengthctl.decode.run import check_abilities, check_targets
from lengthctl.errors import ConfigError, DataError, Problem
from lengthctl.length import Target, Unit, count_length, relative_deviation
from lengthctl.models import LoadedTokenizer, load_tokenizer
from lengthctl.pipelines.drawing import conversation_tokens, draw_tasks
from lengthctl.pipelines.evaluation import seeded, send_adapter
from lengthctl.pipelines.journal import Journal, digest, source_identity
from lengthctl.pipelines.sampling import with_system_prompt
from lengthctl.prompts import WORDINGS, Message, word_length
from lengthctl.records import FinishReason
from lengthctl.rollout.backend import Backend, Sampling
from lengthctl.rollout.pool import RolloutPool
from lengthctl.scoring import hit_band
from lengthctl.token_rates import ample_limit

if TYPE_CHECKING:
    from lengthctl.config import Config
    from lengthctl.progress import Narrator

__all__ = ["GenItem", "GenSettings", "generate_texts", "item_id"]

_PLAIN_LIMIT = 512
"""Tokens of a text whose length nobody named."""


@dataclass(frozen=True)
class GenItem:
    """A prompt of the user's, as messages, and the length that its text shall have."""

    id: str
    messages: tuple[Message, ...]
    target: Target | None


@dataclass(frozen=True)
class GenSettings:
    """What is the same for all items of a call."""

    control: str | None = None
    """As `parse_control` takes it; None: `close` where the backend can, else `retry`; `plain` without a target."""
    samples: int = 1
    """Texts an item."""
    temperature: float = 0.7
    top_p: float = 1.0
    repetition_penalty: float = 1.0
    max_tokens: int | None = None
    """Limit of a text in tokens; None: from the target."""
    wording: str = WORDINGS[0]
    """How the length is put to the model: {request} and {length}."""


def generate_texts(
    config: Config,
    items: Sequence[GenItem],
    settings: GenSettings,
    narrator: Narrator,
    *,
    out: Path | None = None,
    on_row: Callable[[dict[str, Any]], None] | None = None,
) -> list[dict[str, Any]]:
    """One row a text, in the order of the items.

    Args:
        config: `model`, `rollout` and `run.seed` are read.
        items: with distinct ids.
        settings: see there.
        narrator: shows progress.
        out: JSONL that keeps each row as it comes; rows that stand there are not made again.
        on_row: sees each row as it comes.

    Raises:
        ConfigError: a control that does not exist or that the backend cannot carry out.
        DataError: no prompts; a prompt that is too long for the model.
        RunFolderError: `out` holds rows of other settings.
    """
    from lengthctl.rollout.cluster import disconnect
    from lengthctl.rollout.open import open_backend

    config = seeded(config)
    if not items:
        raise DataError("there are no prompts", "Give one, or name a file with --in")
    spec = settings.control or _default_control(config, items)
    control = parse_control(spec)
    tasks = _tasks(config, items, settings)
    _check(config, tasks, spec, control, is_chosen=settings.control is not None)
    keys = {task.id: _key(config, task, settings, control) for task in tasks}
    kept = Journal(out, keys)
    owed = [task for task in tasks if task.id not in kept]
    try:
        if owed:
            tokenizer = load_tokenizer(config.model) if config.rollout.backend == "vllm" else None
            context = 0
            if tokenizer is not None:
                context = conversation_tokens(config.model, tokenizer, owed, _PLAIN_LIMIT, [control])
            with narrator.stage("engine"):
                backend = open_backend(config, tokenizer, context_tokens=context, say=narrator.say)
            try:
                if config.model.adapter is not None and isinstance(backend, RolloutPool):
                    send_adapter(config, backend)
                check_abilities(spec, control, backend)
                maker = _RowMaker(config, settings, spec, keys, tokenizer)
                _write(backend, tasks, control, maker, kept, narrator, on_row)
            finally:
                backend.close()
    finally:
        kept.close()
        disconnect()
    order = [task.id for task in tasks]
    rows = kept.rows(order)
    kept.finish(order)
    return rows


def _check(config: Config, tasks: Sequence[Task], spec: str, control: Control, *, is_chosen: bool) -> None:
    """Before an engine starts."""
    targets = [task.target for task in tasks if is_chosen or task.target is not None]
    check_targets(spec, control, targets)
    if config.rollout.backend != "vllm" and any(t is not None and t.unit is Unit.TOKENS for t in targets):
        problem = Problem("tokens", "cannot be counted without the model's tokenizer, which an endpoint does not give")
        raise ConfigError("gen", [problem], "Ask for words, or for characters with --unit")


def _default_control(config: Config, items: Sequence[GenItem]) -> str:
    if all(item.target is None for item in items):
        return "plain"
    return "close" if config.rollout.backend == "vllm" else "retry"


def _tasks(config: Config, items: Sequence[GenItem], settings: GenSettings) -> list[Task]:
    """A task a text."""
    tasks = []
    for item in items:
        request = tuple(with_system_prompt(item.messages, config.model.system_prompt))
        asked = request if item.target is None else word_length(request, item.target, settings.wording)
        limit = settings.max_tokens or (_PLAIN_LIMIT if item.target is None else ample_limit(item.target))
        for sample in range(settings.samples):
            tasks.append(Task(f"{item.id}#{sample}", asked, item.target, request, group=item.id, limit=limit))
    return tasks


def _key(config: Config, task: Task, settings: GenSettings, control: Control) -> str:
    drawn = [settings.temperature, settings.top_p, settings.repetition_penalty]
    sampling = [*drawn, task.limit, config.run.seed]
    target = None if task.target is None else task.target.to_row()
    return digest(source_identity(config), sampling, repr(control), [dict(m) for m in task.messages], target)


def _write(
    backend: Backend,
    tasks: Sequence[Task],
    control: Control,
    maker: _RowMaker,
    kept: Journal,
    narrator: Narrator,
    on_row: Callable[[dict[str, Any]], None] | None,
) -> None:
    def told(task: Task, outcome: Outcome) -> None:
        row = maker.row(task, outcome)
        if row["error"] is None:
            kept.add(row)
        else:
            kept.fail(row)
        if on_row is not None:
            on_row(row)

    # of a mixed file, those that name no length are simply asked
    jobs = [(task, control if control.refuses(task.target) is None else Plain()) for task in tasks]
    draw_tasks(backend, jobs, maker.context(), kept, narrator, "gen", seed=maker.seed, on_outcome=told)


@dataclass(frozen=True)
class _RowMaker:
    config: Config
    settings: GenSettings
    control: str
    keys: dict[str, str]
    tokenizer: LoadedTokenizer | None

    @property
    def seed(self) -> int:
        return self.config.run.seed

    def context(self) -> Context:
        settings = self.settings
        sampling = Sampling(
            temperature=settings.temperature, top_p=settings.top_p, repetition_penalty=settings.repetition_penalty
        )
        return Context(sampling, self.tokenizer)

    def row(self, task: Task, outcome: Outcome) -> dict[str, Any]:
        item, _, sample = task.id.rpartition("#")
        return {
            "id": task.id,
            "key": self.keys[task.id],
            "prompt_id": item,
            "sample": int(sample),
            "messages": [dict(m) for m in task.messages],
            "text": outcome.text,
            **self._measures(task.target, outcome),
            "control": self.control,
            "model": self.config.model.name if self.tokenizer is not None else self._endpoint_model(),
            "finish": outcome.finish,
            "is_cut": outcome.is_cut,
            **({} if outcome.lead is None else {"mlt": outcome.lead}),
            "tokens": outcome.tokens,
            "drawn_tokens": outcome.drawn_tokens,
            "draws": outcome.draws,
            "seed": self.config.run.seed,
            "error": outcome.error,
        }

    def _endpoint_model(self) -> str | None:
        return None if self.config.rollout.endpoint is None else self.config.rollout.endpoint.model

    def _measures(self, target: Target | None, outcome: Outcome) -> dict[str, Any]:
        """Length and hit; an exact target is hit within 5 % or 2, whichever is wider."""
        if outcome.finish is FinishReason.ERROR:
            return {"target": None if target is None else target.to_row(), "length": None, "is_hit": None}
        if target is None:
            return {"target": None, "length": count_length(outcome.text), "unit": str(Unit.WORDS), "is_hit": None}
        encoder = None if self.tokenizer is None else self.tokenizer.tokenizer
        length = count_length(outcome.text, target.unit, encoder)
        return {
            "target": target.to_row(),
            "length": length,
            "unit": str(target.unit),
            "is_hit": length in hit_band(target),
            "relative_deviation": round(relative_deviation(length, target), 4),
        }


def item_id(messages: Sequence[Message], target: Target | None) -> str:
    """Of a prompt that names none: the same text and target give the same id."""
    text = repr([dict(m) for m in messages]) + ("" if target is None else f"|{target.unit}|{target.label}")
    return hashlib.sha256(text.encode()).hexdigest()[:12]
