"""The pool: the driver owns every sample, engines only add tokens to them.

Slots are refilled at every poll, so a finished request makes room at once. Which request goes next is the order
given; what an engine does is decided here and nowhere else.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from lengthctl.errors import EngineError, FailureBudgetError, WeightSyncError
from lengthctl.records import Completion, FinishReason
from lengthctl.rollout.backend import OnCompletion, Request
from lengthctl.rollout.engine_actor import EngineActor, EngineSettings, Event, names_digest
from lengthctl.rollout.weights import WeightSnapshot

if TYPE_CHECKING:
    import torch

__all__ = ["RolloutPool"]

_POLL_STEPS = 16
_POLL_SECONDS = 2.0
_START_SECONDS = 600.0
_SYNC_SECONDS = 300.0
_STALL_SECONDS = 300.0


@dataclass
class _Engine:
    """An engine as the driver sees it."""

    settings: EngineSettings
    actor: Any
    running: dict[str, _Sample] = field(default_factory=dict)


@dataclass
class _Sample:
    """One request on its way; holds every token that was reported."""

    request: Request
    position: int
    token_ids: list[int] = field(default_factory=list)
    logprobs: list[float] = field(default_factory=list)
    version: int = 0


class RolloutPool:
    """A `Backend` over Ray actors that each hold one vLLM engine in their process.

    Args:
        settings: one entry an engine.
        decode: token ids to text, special tokens left out.
        failure_budget: share of a call's requests that may fail before it raises, 0 to 1.
    """

    def __init__(
        self, settings: Sequence[EngineSettings], decode: Callable[[Sequence[int]], str], failure_budget: float = 0.02
    ) -> None:
        self._decode = decode
        self._failure_budget = failure_budget
        self._snapshot: WeightSnapshot | None = None
        self._version = 0
        self._engines = [_Engine(s, _start_actor(s)) for s in settings]
        self._wait([e.actor.stats.remote() for e in self._engines], _START_SECONDS, "start")

    @property
    def version(self) -> int:
        """Version of the weights that every engine holds."""
        return self._version

    def sync_weights(self, state: Mapping[str, torch.Tensor]) -> int:
        """Give every engine the same weights under the next version number, which is returned.

        Raises:
            WeightSyncError: an engine refused them twice, or answers with another version or other names.
        """
        import ray

        snapshot = WeightSnapshot(ray.put(dict(state)), self._version + 1, names_digest(state))
        for attempt in (1, 2):  # vLLM 0.31: after one failed load the next correct one fails as well
            try:
                answers = self._wait(
                    [e.actor.sync.remote(snapshot.ref, snapshot.version, snapshot.digest) for e in self._engines],
                    _SYNC_SECONDS,
                    "weight sync",
                )
                break
            except EngineError as error:
                if attempt == 2:
                    raise WeightSyncError(str(error), "Restart the run with `train --resume`") from error
        for answer in answers:
            if (answer["version"], answer["digest"]) != (snapshot.version, snapshot.digest):
                raise WeightSyncError(f"an engine holds version {answer['version']}, not {snapshot.version}")
        self._snapshot, self._version = snapshot, snapshot.version
        return snapshot.version

    def generate(self, requests: Sequence[Request], on_completion: OnCompletion | None = None) -> list[Completion]:
        """See `Backend.generate`."""
        import ray

        queue = deque(_Sample(request, i, version=self._version) for i, request in enumerate(requests))
        done: list[Completion | None] = [None] * len(requests)
        polls: dict[Any, _Engine] = {}
        failures = 0
        while queue or any(e.running for e in self._engines):
            for engine in self._engines:
                self._refill(engine, queue)
                if engine.running and engine not in polls.values():
                    polls[engine.actor.poll.remote(_POLL_STEPS, _POLL_SECONDS)] = engine
            ready, _ = ray.wait(list(polls), num_returns=1, timeout=_STALL_SECONDS)
            if not ready:
                raise EngineError(self._stall_message(), "See the engine's log in Ray's session folder")
            for ref in ready:
                engine = polls.pop(ref)
                for event in self._wait([ref], _STALL_SECONDS, "generation")[0]:
                    finished = self._apply(engine, event)
                    if finished is None:
                        continue
                    sample, completion = finished
                    done[sample.position] = completion
                    failures += completion.finish is FinishReason.ERROR
                    if on_completion is not None:
                        on_completion(completion)
            if failures > max(1, self._failure_budget * len(requests)):
                raise FailureBudgetError(
                    f"{failures} of {len(requests)} completions failed, more than rollout.failure_budget allows"
                )
        return [completion for completion in done if completion is not None]

    def _refill(self, engine: _Engine, queue: deque[_Sample]) -> None:
        batch = []
        while queue and len(engine.running) < engine.settings.max_num_seqs:
            sample = queue.popleft()
            engine.running[sample.request.id] = sample
            batch.append((sample.request.id, sample.request.prompt_ids, asdict(sample.request.sampling)))
        if batch:
            engine.actor.submit.remote(batch)

    def _apply(self, engine: _Engine, event: Event) -> tuple[_Sample, Completion] | None:
        sample = engine.running[event.request_id]
        sample.token_ids.extend(event.token_ids)
        sample.logprobs.extend(event.logprobs)
        if event.finish is None:
            return None
        del engine.running[event.request_id]
        finish = {"stop": FinishReason.EOS, "length": FinishReason.LIMIT}.get(event.finish, FinishReason.ERROR)
        return sample, Completion(
            request_id=event.request_id,
            text=self._decode(sample.token_ids),
            token_ids=tuple(sample.token_ids),
            logprobs=tuple(sample.logprobs),
            finish=finish,
            weight_version=sample.version,
            engine=engine.settings.name,
            error=f"engine ended it: {event.finish}" if finish is FinishReason.ERROR else None,
        )

    def _stall_message(self) -> str:
        waiting = "; ".join(f"{e.settings.name}: {len(e.running)} requests" for e in self._engines if e.running)
        return f"no engine has answered for {_STALL_SECONDS:.0f} s ({waiting})"

    def _wait(self, refs: Sequence[Any], timeout: float, stage: str) -> list[Any]:
        import ray

        try:
            return list(ray.get(list(refs), timeout=timeout))
        except ray.exceptions.RayError as error:
            lines = str(error).strip().splitlines() or [type(error).__name__]
            raise EngineError(f"an engine failed during {stage}: {lines[-1][:300]}") from error

    def close(self) -> None:
        """See `Backend.close`."""
        import ray

        for engine in self._engines:
            if ray.is_initialized():
                ray.kill(engine.actor)
        self._engines = []


def _start_actor(settings: EngineSettings) -> Any:
    import ray

    remote = ray.remote(
        num_cpus=settings.threads,
        max_restarts=0,
        max_task_retries=0,  # a repeated call would run with other weights, and count twice
        runtime_env={"env_vars": settings.environment()},
    )(EngineActor)
    return remote.remote(settings)
