"""Open the backend that a config names."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from lengthctl.errors import EngineError, MissingDependencyError, ModelError
from lengthctl.models import LoadedTokenizer, check_base, context_length, resolve_model
from lengthctl.rollout.cluster import NO_GUESTS, Guests, connect, usable_cores
from lengthctl.rollout.prediction import LengthPredictor

if TYPE_CHECKING:
    from lengthctl.config import Config
    from lengthctl.rollout.backend import Backend
    from lengthctl.rollout.pool import RolloutPool

__all__ = ["engine_layout", "open_backend", "open_pool"]

_SMALLEST_OBJECT_STORE_GIB = 0.75
_WEIGHT_COPIES = 2.5
"""Two versions of the weights in bf16 lie in the object store while one takes the place of the other."""


def _silent(line: str) -> None:
    pass


def open_backend(
    config: Config,
    tokenizer: LoadedTokenizer | None,
    *,
    context_tokens: int,
    say: Callable[[str], None] = _silent,
    predictor: Callable[[], LengthPredictor] = LengthPredictor,
) -> Backend:
    """The configured backend, started.

    Args:
        config: `config.rollout` chooses.
        tokenizer: of the model; only the vLLM pool needs it.
        context_tokens: longest prompt plus limit.
        say: told of engines that are replaced or silent.
        predictor: makes what guesses lengths, by which requests are ordered.

    Raises:
        MissingDependencyError: vLLM is not installed.
        ModelError: the context is longer than the model's, or its adapter is of another.
        EngineError, EndpointError: it cannot be started or reached.
    """
    match config.rollout.backend:
        case "vllm":
            assert tokenizer is not None
            return open_pool(config, tokenizer, context_tokens=context_tokens, say=say, predictor=predictor)
        case "endpoint":
            from lengthctl.rollout.endpoint import EndpointBackend

            assert config.rollout.endpoint is not None
            return EndpointBackend(config.rollout.endpoint, config.rollout.failure_budget)
        case "scripted":
            from lengthctl.rollout.scripted import ScriptedBackend

            assert config.rollout.script is not None
            return ScriptedBackend.from_file(Path(config.rollout.script))


def open_pool(
    config: Config,
    tokenizer: LoadedTokenizer,
    *,
    context_tokens: int,
    say: Callable[[str], None] = _silent,
    predictor: Callable[[], LengthPredictor] = LengthPredictor,
    guests: Guests = NO_GUESTS,
) -> RolloutPool:
    """A Ray pool of vLLM engines; see `open_backend`. `guests`: of a second pool."""
    if importlib.util.find_spec("vllm") is None:
        raise MissingDependencyError(
            "vllm is not installed",
            "Run `pip install --no-deps -r requirements/cpu.txt` (or gpu.txt), or set rollout.backend=endpoint",
        )
    check_base(config.model, say)
    from lengthctl.rollout.engine_actor import EngineSettings
    from lengthctl.rollout.pool import RolloutPool

    engines, threads = engine_layout(config)
    length = config.rollout.max_model_len or context_tokens
    _check_context(config, length, context_tokens)
    _check_memory(config, engines)
    connect(
        cpus=engines * threads,
        engines=engines,
        gpus=config.rollout.gpus,
        object_store_gib=_object_store_gib(resolve_model(config.model.name)),
        guests=guests,
    )
    settings = [
        EngineSettings(
            model=resolve_model(config.model.name),
            name=f"engine-{i}",
            threads=threads,
            max_num_seqs=config.rollout.max_num_seqs,
            max_model_len=length,
            kv_cache_gib=config.rollout.cache_gib,
            dtype=config.rollout.dtype,
            seed=config.run.seed + i,
            stop_token_ids=tokenizer.stop_token_ids,
            gpus=config.rollout.gpus,
            transfer=config.rollout.weight_transfer,
            whole_prompts=config.rollout.reproducible,
        )
        for i in range(engines)
    ]
    return RolloutPool(
        settings,
        tokenizer.decode,
        failure_budget=config.rollout.failure_budget,
        stall_seconds=config.rollout.stall_seconds,
        reproducible=config.rollout.reproducible,
        predictor=predictor,
        say=say,
    )


def _object_store_gib(model: str) -> float:
    """From the size of the checkpoint's files, which are at least as wide as bf16; of a hub id nothing is known."""
    size = sum(file.stat().st_size for file in Path(model).glob("*.safetensors")) if Path(model).is_dir() else 0
    return max(_SMALLEST_OBJECT_STORE_GIB, _WEIGHT_COPIES * size / 2**30)


def engine_layout(config: Config) -> tuple[int, int]:
    """Engines and threads an engine. One engine with all cores by default: as fast as several here, with one prefix
    cache, one sync, and half the memory."""
    engines = config.rollout.engines or 1
    return engines, config.rollout.threads or max(1, usable_cores() // engines)


def _check_memory(config: Config, engines: int) -> None:
    """On this machine; the kernel would end a process later, without a word."""
    import psutil

    if os.environ.get("RAY_ADDRESS") or config.rollout.gpus:
        return
    each = config.rollout.cache_gib
    assert each is not None  # on a CPU
    needed, total = engines * each, psutil.virtual_memory().total / 2**30
    if needed > total:
        raise EngineError(
            f"{engines} engines with rollout.kv_cache_gib = {each} need {needed} GiB, this machine has {total:.0f}",
            "Lower rollout.kv_cache_gib or rollout.engines",
        )


def _check_context(config: Config, length: int, needed: int) -> None:
    if length < needed:
        raise ModelError(
            f"rollout.max_model_len = {length}, but the longest prompt and the limit need {needed} tokens",
            "Raise rollout.max_model_len, shorten the prompts, or lower the limit",
        )
    model_length = context_length(config.model)
    if model_length is not None and length > model_length:
        raise ModelError(
            f"the longest prompt and the limit need {length} tokens, the model's context has {model_length}",
            "Shorten the prompts, or lower trainer.max_completion_length or evaluate.max_tokens",
        )
