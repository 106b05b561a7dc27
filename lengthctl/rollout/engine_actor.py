"""One vLLM engine inside a Ray actor: add requests, step, hand back what came. It holds no policy.

Runs in its own process: vLLM replaces `torch.set_num_threads` and seeds the global RNG, neither of which the
trainer may suffer (vLLM 0.31).
"""

from __future__ import annotations

import gc
import os
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    import torch

__all__ = ["EngineActor", "EngineSettings", "Event", "names_digest", "shapes_digest"]


_READING_STEP = 8
"""Steps that a step counts for in which prompts are read."""
_LAUNCHER_VARIABLES = ("RANK", "LOCAL_RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")
"""Of `accelerate launch`, inherited from the driver; vLLM would take itself for one of the trainer's processes."""


@dataclass(frozen=True)
class EngineSettings:
    """What an engine is built from."""

    model: str
    """Folder or hub id of a Hugging Face checkpoint."""
    name: str
    threads: int
    max_num_seqs: int
    max_model_len: int
    kv_cache_gib: int | None
    """None on a GPU alone: what is free of its share."""
    dtype: str
    seed: int
    stop_token_ids: tuple[int, ...]
    gpus: float = 0
    """Of one engine: a share of one, or whole ones, tensor parallel; 0: it runs on the CPU."""
    transfer: Literal["object_store", "nccl"] = "object_store"
    """How weights come."""
    whole_prompts: bool = False
    """Never split a prompt over steps: vLLM 0.31 then rewinds a seeded request's generator, which a CPU's cannot."""

    def environment(self) -> dict[str, str]:
        """Variables that must be set before vLLM is imported in the actor."""
        return {
            "VLLM_ENABLE_V1_MULTIPROCESSING": "0",
            "VLLM_CPU_OMP_THREADS_BIND": "nobind",
            "OMP_NUM_THREADS": str(self.threads),
            "VLLM_CPU_KVCACHE_SPACE": str(self.kv_cache_gib or 0),  # a GPU's engine reads none
            "VLLM_LOGGING_LEVEL": "ERROR",
            "VLLM_NO_USAGE_STATS": "1",
            "TOKENIZERS_PARALLELISM": "false",
            "TORCHDYNAMO_DISABLE": "1",  # vLLM compiles a sampler helper: 20 s at first use, and a C++ compiler
        }

    def of_the_device(self) -> dict[str, Any]:
        """vLLM's arguments that follow from where the engine runs.

        On a CPU no graphs: Inductor costs a minute of build and gains nothing (vLLM 0.31). On a GPU steps of decoding
        are captured, without compiling: a small model's kernels are shorter than their launches.
        """
        if not self.gpus:
            return {"enforce_eager": True}
        sizes = [2**power for power in range(self.max_num_seqs.bit_length())]
        found: dict[str, Any] = {
            "tensor_parallel_size": max(1, int(self.gpus)),
            "compilation_config": {
                "mode": 0,
                "cudagraph_mode": "FULL_DECODE_ONLY",
                "cudagraph_capture_sizes": sorted({*sizes, self.max_num_seqs}),
            },
        }
        if self.gpus < 1:
            found["gpu_memory_utilization"] = self.gpus
        if self.kv_cache_gib is not None:
            found["kv_cache_memory_bytes"] = self.kv_cache_gib * 2**30
        return found


@dataclass(frozen=True)
class Event:
    """What one request gained in a poll: new token ids with their logprobs, and why it ended, if it did."""

    request_id: str
    token_ids: tuple[int, ...]
    logprobs: tuple[float, ...]
    finish: str | None
    """vLLM's finish reason: `stop`, `length`, `abort`; None while it runs. A refused request: `refused: ` and why."""


def names_digest(state: Mapping[str, Any]) -> str:
    """Digest of parameter names and shapes: vLLM accepts an incomplete state without a word, so we check."""
    return shapes_digest((name, tensor.shape) for name, tensor in state.items())


def shapes_digest(shapes: Iterable[tuple[str, Sequence[int]]]) -> str:
    """The same of `(name, shape)`, in any order."""
    import hashlib

    lines = sorted(f"{name}:{tuple(shape)}" for name, shape in shapes)
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:16]


@contextmanager
def _uncollected() -> Iterator[None]:
    """No garbage collection within. Importing vLLM and building an engine make a million objects that stay; searching
    them again and again took 2 of 7 seconds of imports and half a second of the build (vLLM 0.31)."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


class EngineActor:
    """A vLLM engine, stepped from outside."""

    def __init__(self, settings: EngineSettings) -> None:
        for name in _LAUNCHER_VARIABLES:
            os.environ.pop(name, None)
        os.environ.update(settings.environment())  # here and not through Ray, which would then start another process
        with _uncollected():
            self._build(settings)

    def _build(self, settings: EngineSettings) -> None:
        import torch

        torch.set_num_threads(settings.threads)  # before the engine: vLLM then replaces the function
        from vllm import EngineArgs
        from vllm.platforms import current_platform
        from vllm.v1.engine.llm_engine import LLMEngine

        if not settings.gpus and not current_platform.is_cpu():  # it would take a GPU that Ray knows nothing of
            raise RuntimeError("this vLLM runs on GPUs: set rollout.gpus (0.3, say), or install requirements/cpu.txt")
        gc.freeze()  # so that the collection with which vLLM ends the build looks at the engine alone
        more: dict[str, Any] = {}
        if current_platform.is_cpu():
            from lengthctl.rollout.cpu_kernels import FUSED_NORMS, register_fused_norms
            from lengthctl.rollout.sampler import use_inverse_cdf_sampler

            use_inverse_cdf_sampler()
            if register_fused_norms():
                more["ir_op_priority"] = FUSED_NORMS
        self._settings = settings
        self._version = 0
        self._digest: str | None = None
        self._received: str | None = None
        self._partial: dict[str, tuple[list[int], list[float]]] = {}
        self._refused: list[Event] = []
        self._silent: set[str] = set()
        self._tokens = 0
        self._cached_prompt_tokens = 0
        most = settings.max_num_seqs
        if settings.transfer == "nccl":
            from vllm.config import WeightTransferConfig

            more["weight_transfer_config"] = WeightTransferConfig(backend="nccl")
        self._engine = LLMEngine.from_engine_args(
            EngineArgs(
                model=settings.model,
                tokenizer=settings.model,
                skip_tokenizer_init=True,
                dtype=settings.dtype,
                max_num_seqs=most,
                max_model_len=settings.max_model_len,
                enable_chunked_prefill=not settings.whole_prompts,
                # with room for the others' next tokens, else the longest prompt would wait for the last of them
                max_num_batched_tokens=max(2048, settings.max_model_len + most),
                enable_prefix_caching=True,
                logprobs_mode="processed_logprobs",  # temperature counts in the correction of the trainer
                seed=settings.seed,
                disable_log_stats=True,
                logits_processors=["lengthctl.decode.processors:LogitRules"],
                **settings.of_the_device(),
                **more,
            )
        )

    def stats(self) -> dict[str, Any]:
        """What the driver needs to know to trust this engine, and what it has done: tokens generated, told or not, and
        prompt tokens of finished requests that it found computed."""
        return {
            "pid": os.getpid(),
            "version": self._version,
            "digest": self._digest,
            "running": len(self._partial),
            "tokens": self._tokens,
            "cached_prompt_tokens": self._cached_prompt_tokens,
        }

    def submit(self, requests: Sequence[tuple[str, tuple[int, ...], dict[str, Any]]]) -> None:
        """Queue `(id, prompt ids, sampling fields)`; they join the next step. The next poll tells what was refused."""
        from vllm import SamplingParams
        from vllm.sampling_params import RequestOutputKind

        for request_id, prompt_ids, sampling in requests:
            try:
                stops = [*self._settings.stop_token_ids, *sampling.pop("stop_token_ids")]
                params = SamplingParams(
                    **sampling,
                    logprobs=0,
                    detokenize=False,
                    stop_token_ids=stops,
                    output_kind=RequestOutputKind.DELTA,
                )
                self._engine.add_request(request_id, {"prompt_token_ids": list(prompt_ids)}, params)
            except Exception as error:  # vLLM raises several types: sampling out of range, a prompt over the context
                self._refused.append(Event(request_id, (), (), f"refused: {error}"))
                continue
            self._partial[request_id] = ([], [])
            self._silent.add(request_id)

    def poll(self, max_steps: int, max_seconds: float) -> list[Event]:
        """Step until something is worth telling, at most `max_steps` steps or `max_seconds`, and report the gains.

        A step that reads prompts counts as eight, as it takes far longer: with no limit in seconds, an engine with
        many prompts before it would seem to be dead.
        """
        finished: dict[str, str] = {}
        deadline = time.monotonic() + max_seconds
        left = max_steps
        while left > 0 and self._engine.has_unfinished_requests() and time.monotonic() <= deadline:
            silent = len(self._silent)
            for output in self._engine.step():
                self._collect(output, finished)
            left -= _READING_STEP if len(self._silent) < silent else 1
        refused, self._refused = self._refused, []
        events = refused + [
            Event(request_id, tuple(ids), tuple(logprobs), finished.get(request_id))
            for request_id, (ids, logprobs) in self._partial.items()
            if ids or request_id in finished
        ]
        self._partial = {key: ([], []) for key in self._partial if key not in finished}
        return events

    def _collect(self, output: Any, finished: dict[str, str]) -> None:
        ids, logprobs = self._partial[output.request_id]
        self._silent.discard(output.request_id)
        part = output.outputs[0]
        ids.extend(part.token_ids)
        for token_id, table in zip(part.token_ids, part.logprobs or (), strict=True):
            logprobs.append(float(table[token_id].logprob))
        self._tokens += len(part.token_ids)
        if output.finished:
            self._cached_prompt_tokens += output.num_cached_tokens or 0
            finished[output.request_id] = part.finish_reason or "abort"

    def abort(self, request_ids: Sequence[str]) -> None:
        """Drop requests; no event comes for them any more."""
        self._engine.abort_request(list(request_ids))
        for request_id in request_ids:
            self._partial.pop(request_id, None)
            self._silent.discard(request_id)

    def sync(self, state: Mapping[str, torch.Tensor], version: int, digest: str) -> dict[str, Any]:
        """Load weights; the state is checked against `digest` and the engine's own first set of names.

        Raises:
            RuntimeError: names or shapes are not those announced, or those of an earlier sync; requests run.
        """
        found = names_digest(state)
        if found != digest or (self._digest is not None and found != self._digest):
            raise RuntimeError(f"weights announced as {digest}, received {found}, engine holds {self._digest}")
        self._engine.collective_rpc("reload_weights", kwargs={"weights_iterator": iter(state.items())})
        return self.stamp(version, found)

    def stamp(self, version: int, digest: str) -> dict[str, Any]:
        """Weights of this version are in place: forget what was computed with others.

        Raises:
            RuntimeError: requests run, or what came over NCCL is not what was announced.
        """
        if self._received is not None and self._received != digest:
            raise RuntimeError(f"weights announced as {digest}, received {self._received}")
        if not self._engine.reset_prefix_cache():
            raise RuntimeError("the prefix cache could not be reset: requests are running")
        self._version, self._digest = version, digest
        return self.stats()

    def init_weight_transfer_engine(self, request: Any) -> None:
        """This and the next three: what vLLM's trainer side asks of an engine (see `nccl.py`)."""
        self._engine.collective_rpc("init_weight_transfer_engine", kwargs={"init_info": request.init_info})

    def start_weight_update(self) -> None:
        """The next weights begin."""
        self._engine.collective_rpc("start_weight_update")

    def update_weights(self, request: Any) -> None:
        """Take weights in, as the trainer sends them."""
        info = request.update_info
        self._received = shapes_digest(zip(info["names"], info["shapes"], strict=True))
        self._engine.collective_rpc("update_weights", kwargs={"update_info": request.update_info})

    def finish_weight_update(self) -> None:
        """They are whole."""
        self._engine.collective_rpc("finish_weight_update")
