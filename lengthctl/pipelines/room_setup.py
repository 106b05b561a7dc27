"""Open a room of documents over what a config names: engines here, an endpoint, or a script."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from lengthctl.decode.build import parse_control
from lengthctl.decode.run import check_abilities
from lengthctl.errors import ConfigError, EndpointError, Problem
from lengthctl.models import context_length, load_tokenizer, resolve_model
from lengthctl.pipelines.evaluation import seeded, send_adapter
from lengthctl.pipelines.journal import source_identity
from lengthctl.pipelines.room import Room
from lengthctl.pipelines.room_estimate import Prices
from lengthctl.pipelines.step_store import STEPS_FILE, StepStore
from lengthctl.records import FinishReason
from lengthctl.rollout.backend import Ability, Backend, Request, Sampling
from lengthctl.rollout.pool import RolloutPool

if TYPE_CHECKING:
    from lengthctl.config import Config
    from lengthctl.progress import Narrator

__all__ = ["check_prefill", "documents_at_once", "opened_room", "room_context"]

_CONTEXT = 8192
"""Tokens of a conversation where neither config nor caller names another, as far as the model's context goes."""
_MOST_AT_ONCE = 64
"""Documents at once in engines on cores: beyond so many sequences a step gains little (`rollout/scheduler.py`)."""
_USUAL = 1024
"""Tokens of a conversation as the cache is divided: few come near the longest, and vLLM makes room for those."""
_CACHE_BYTES = 2
"""Of a number in an engine's KV cache."""

_REFUSED = re.compile(r"\b(400|422)\b")
"""Status codes of a server that does not know a key of a request."""


@contextmanager
def opened_room(
    config: Config,
    out: Path | None,
    *,
    sampling: Sampling,
    narrator: Narrator,
    control: str | None = None,
    in_flight: int | None = None,
    failure_budget: float = 0.1,
    context_tokens: int | None = None,
    needs: frozenset[Ability] = frozenset(),
    prices: Prices | None = None,
) -> Iterator[Room]:
    """A room, its backend started; engines and connections are released behind the block.

    A call that fails costs its own document only: what may fail is counted in documents, not in completions, so
    `rollout.failure_budget` is not looked at.

    Args:
        config: `model`, `rollout` and `run.seed` are read.
        out: a folder whose `steps.jsonl` keeps every answer; None keeps none.
        sampling: of calls that name nothing else; its limit is each call's own.
        narrator: shows progress.
        control: for calls with a target, as `parse_control` takes it; None: they are left alone.
        in_flight: documents at once; None: as many as an endpoint's `concurrency`, or as engines run well and their KV
            cache holds at their usual length, 1,024 tokens or half the longest.
        failure_budget: share of the documents that may come to nothing.
        context_tokens: longest conversation with its limit, in tokens; None: `rollout.max_model_len`, else the model's
            own context or 8192, whichever is less. With an endpoint: what its model takes, None: not known.
        needs: what the documents' calls need; refused here where the backend cannot.
        prices: for the cost.

    Raises:
        ConfigError: a control that does not exist, or something that the backend cannot do.
        RunFolderError: the steps of `out` are in use, or of another version.
        EngineError, EndpointError, ModelError: the backend cannot be started.
    """
    from lengthctl.rollout.cluster import disconnect
    from lengthctl.rollout.open import open_backend

    steering = None if control is None else parse_control(control)
    rollout = config.rollout.model_copy(update={"failure_budget": 1.0, "reward_stop": "off"})
    config = seeded(config.model_copy(update={"rollout": rollout}))
    with ExitStack() as stack:
        store = None if out is None else stack.enter_context(StepStore(out / STEPS_FILE))
        tokenizer = load_tokenizer(config.model) if config.rollout.backend == "vllm" else None
        context = context_tokens if tokenizer is None else room_context(config, context_tokens)
        stack.callback(disconnect)
        with narrator.stage("engine"):
            backend = open_backend(config, tokenizer, context_tokens=context or 0, say=narrator.say)
        stack.callback(backend.close)
        if config.model.adapter is not None and isinstance(backend, RolloutPool):
            send_adapter(config, backend)
        if control is not None and steering is not None:
            check_abilities(control, steering, backend)
        _check_needs(needs, backend)
        yield Room(
            backend,
            tokenizer,
            source_identity(config),
            sampling,
            seed=config.run.seed,
            store=store,
            control=steering,
            in_flight=in_flight or documents_at_once(config, context),
            failure_budget=failure_budget,
            narrator=narrator,
            context_tokens=context,
            prices=prices,
        )


def room_context(config: Config, wanted: int | None = None) -> int:
    """Tokens of the longest conversation that engines here are built for; see `opened_room`."""
    own = context_length(config.model)
    longest = wanted or config.rollout.max_model_len or _CONTEXT
    return longest if own is None else min(longest, own)


def check_prefill(backend: Backend) -> None:
    """Refuse an endpoint whose server does not take a given beginning of an answer; it is asked for one token.

    Raises:
        ConfigError: it does not.
        EndpointError: it gives no usable answer.
    """
    messages = ({"role": "user", "content": "Count from one to ten."},)
    request = Request("probe", (), Sampling(temperature=0.0, max_tokens=1), messages, prefill="One, two,")
    (answer,) = backend.generate([request])
    if answer.finish is not FinishReason.ERROR:
        return
    if _REFUSED.search(answer.error or ""):
        problem = Problem("prefill", f"the server does not go on from given first words of an answer ({answer.error})")
        raise ConfigError("endpoint", [problem], "Use a local model, or a vLLM server")
    raise EndpointError(f"the endpoint gives no usable answer ({answer.error})", "Check that it is running")


def _check_needs(needs: frozenset[Ability], backend: Backend) -> None:
    from lengthctl.rollout.endpoint import EndpointBackend

    if missing := sorted(needs - backend.abilities):
        raise ConfigError("backend", [Problem(str(missing[0]), "is needed, and this backend cannot do it")])
    if Ability.PREFILL in needs and isinstance(backend, EndpointBackend):
        check_prefill(backend)


def documents_at_once(config: Config, context: int | None) -> int:
    """Documents that a room works on where nothing else is asked; see `opened_room`."""
    rollout = config.rollout
    if rollout.endpoint is not None:
        return rollout.endpoint.concurrency
    engines = rollout.engines or 1
    most = rollout.max_num_seqs * engines
    if rollout.cache_gib is None:
        return most
    most = min(_MOST_AT_ONCE, most)
    held = None if rollout.backend != "vllm" else _cached_tokens(config, rollout.cache_gib)
    if held is None or context is None:
        return most
    return max(1, min(most, engines * held // min(_USUAL, -(-context // 2))))


def _cached_tokens(config: Config, gib: int) -> int | None:
    """Tokens that a KV cache of so many GiB holds; None for a model whose config does not tell."""
    from transformers import AutoConfig

    model = AutoConfig.from_pretrained(resolve_model(config.model.name))
    heads = getattr(model, "num_attention_heads", None)
    layers, size = getattr(model, "num_hidden_layers", None), getattr(model, "hidden_size", None)
    if not (heads and layers and size):
        return None
    wide = (getattr(model, "num_key_value_heads", None) or heads) * (getattr(model, "head_dim", None) or size // heads)
    return int(gib * 2**30 // (2 * layers * wide * _CACHE_BYTES))
