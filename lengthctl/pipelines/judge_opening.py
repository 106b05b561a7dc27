"""Start the judge of a config, for one or several forms of question."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from lengthctl.errors import ConfigError, Problem
from lengthctl.evaluate.judge import Judge, judge_context, judge_source
from lengthctl.evaluate.judge_items import Form, Item
from lengthctl.models import load_tokenizer
from lengthctl.pipelines.evaluation import send_adapter
from lengthctl.rollout.pool import RolloutPool

if TYPE_CHECKING:
    from lengthctl.config import Config

__all__ = ["cached_judging", "opened_judges"]

Asked = TypeVar("Asked", bound=Form)


@contextmanager
def cached_judging(config: Config, cache: Path, what: str) -> Iterator[Config]:
    """A config whose judge keeps its verdicts in `cache`, unless it names a file of its own; Ray is left behind the
    block, in which the judge is to be opened.

    Args:
        config: with a judge.
        cache: the file.
        what: the judge does, for the error.

    Raises:
        ConfigError: the config has no judge.
    """
    from lengthctl.rollout.cluster import disconnect

    if config.judge is None:
        raise ConfigError("judge", [Problem("judge", f"is needed: who {what}")], "Name a recipe with a judge")
    settings = config.judge.model_copy(update={"cache": config.judge.cache or str(cache)})
    try:
        yield config.model_copy(update={"judge": settings})
    finally:
        disconnect()


@contextmanager
def opened_judges(
    config: Config,
    items: Mapping[Asked, Sequence[Item]],
    *,
    say: Callable[[str], None] = lambda line: None,
    on_open: Callable[[threading.Event], None] | None = None,
) -> Iterator[list[Judge[Asked]]]:
    """The judge of `config.judge`, started once, as a `Judge` for each form; closed behind the block. They share one
    backend, and only one may ask at a time. A request that fails costs its own verdict only.

    Args:
        config: with a judge; `rollout` says how a local one runs.
        items: by form, what a local judge's context is to hold: the longest that will be asked.
        say: told of engines that are replaced.
        on_open: given what ends a call that is under way in another thread, where something can.

    Raises:
        EngineError, EndpointError: it cannot be started.
    """
    from lengthctl.rollout.open import open_backend

    settings = config.judge
    assert settings is not None
    source = judge_source(config)
    source = source.model_copy(update={"rollout": source.rollout.model_copy(update={"failure_budget": 1.0})})
    tokenizer, context = None, None
    if source.rollout.backend == "vllm":
        tokenizer = load_tokenizer(source.model)
        context = max(judge_context(settings, form, tokenizer, longest) for form, longest in items.items())
    backend = open_backend(source, tokenizer, context_tokens=context or 0, say=say)
    try:
        if isinstance(backend, RolloutPool):
            if source.model.adapter is not None:
                send_adapter(source, backend)
            if on_open is not None:
                on_open(backend.cancelled)
        seed = config.run.seed
        yield [Judge(settings, backend, form, tokenizer=tokenizer, context_tokens=context, seed=seed) for form in items]
    finally:
        backend.close()
