"""The pool: the driver owns every sample, engines only add tokens to them.

Free slots are refilled at every poll, across prompt groups, in the order of `scheduler.py`, and running requests move
where that ends the work sooner. Engines are looked after in `supervision.py`.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from lengthctl.errors import EngineError, FailureBudgetError, WeightSyncError
from lengthctl.records import Completion
from lengthctl.rollout.backend import Ability, OnCompletion, Request, allowed_failures
from lengthctl.rollout.engine_actor import EngineSettings, names_digest
from lengthctl.rollout.prediction import LengthPredictor
from lengthctl.rollout.samples import RunningCall
from lengthctl.rollout.stopping import StopPolicy
from lengthctl.rollout.supervision import Supervisor
from lengthctl.rollout.weights import WeightSnapshot, missing_names

if TYPE_CHECKING:
    import torch

__all__ = ["RolloutPool"]

_POLL_STEPS = 16
_POLL_SECONDS = 2.0


class RolloutPool:
    """A `Backend` over Ray actors that each hold one vLLM engine in their process.

    Args:
        settings: one entry an engine.
        decode: token ids to text, special tokens left out.
        failure_budget: share of a call's requests that may fail before it raises, 0 to 1.
        stall_seconds: an engine that does not answer for so long is replaced.
        reproducible: nothing that a call does depends on time or on earlier calls.
        predictor: makes what guesses lengths; called again where earlier calls must not matter.
        say: told of engines that are replaced, and of what a silent pool waits for.
    """

    abilities = frozenset(Ability) - {Ability.TEMPLATE}

    def __init__(
        self,
        settings: Sequence[EngineSettings],
        decode: Callable[[Sequence[int]], str],
        *,
        failure_budget: float = 0.02,
        stall_seconds: float = 300.0,
        reproducible: bool = False,
        predictor: Callable[[], LengthPredictor] = LengthPredictor,
        say: Callable[[str], None] = lambda line: None,
    ) -> None:
        self._decode = decode
        self._failure_budget = failure_budget
        self._reproducible = reproducible
        self._poll_seconds = math.inf if reproducible else _POLL_SECONDS
        self._new_predictor = predictor
        self._predictor = predictor()
        self._calls = 0
        self.cancelled = threading.Event()
        """While it is set, a `generate` under way in another thread ends with an error at the next answer."""
        self.moved = 0
        """Running requests that went over to another engine since the pool was opened."""
        self._supervisor = Supervisor(settings, stall_seconds, say)
        try:
            self._supervisor.wait_for_all()
        except BaseException:
            self.close()
            raise

    @property
    def replaced(self) -> int:
        """Engines replaced since the pool was opened."""
        return self._supervisor.replaced

    @property
    def stall_seconds(self) -> float:
        """An engine that does not answer for so long is replaced."""
        return self._supervisor.stall_seconds

    @stall_seconds.setter
    def stall_seconds(self, seconds: float) -> None:
        self._supervisor.stall_seconds = seconds

    @property
    def version(self) -> int:
        """Version of the weights that every working engine holds; 0 before the first sync."""
        return self._supervisor.snapshot.version if self._supervisor.snapshot is not None else 0

    @property
    def weight_device(self) -> str | None:
        """Where `sync_weights` wants its tensors; None: where they are."""
        return None if any(engine.settings.transfer == "nccl" for engine in self._supervisor.engines) else "cpu"

    def engine_stats(self) -> list[dict[str, Any]]:
        """`EngineActor.stats` of the engines, in their order; waits for one that is being started."""
        self._supervisor.wait_for_all()
        return [engine.stats() for engine in self._supervisor.engines]

    def engine_pids(self) -> list[int]:
        """Processes of the engines, in their order; waits for one that is being started."""
        return [int(stats["pid"]) for stats in self.engine_stats()]

    def sync_weights(self, state: Mapping[str, torch.Tensor], version: int = 0) -> int:
        """Give every engine the same weights under the next version number, or under `version` where that is higher;
        returns it. A resumed run so goes on counting where it was.

        Raises:
            WeightSyncError: the engines refuse them, or answer with another version or other names.
            EngineError: no engine is left.
        """
        import ray

        supervisor = self._supervisor
        former, digest, model = supervisor.snapshot, names_digest(state), supervisor.engines[0].settings.model
        if former is not None and former.digest != digest:
            raise WeightSyncError("the weights have other names or shapes than those of the last sync")
        if former is None and (missing := missing_names(state, model)):
            shown = f"{missing[0]} and {len(missing) - 1} more" if len(missing) > 1 else missing[0]
            raise WeightSyncError(f"the weights lack {shown} of {model}")
        held = dict(state) if self.weight_device is None else ray.put(dict(state))
        supervisor.snapshot = snapshot = WeightSnapshot(held, max(self.version + 1, version), digest)
        for engine in supervisor.ready():
            supervisor.ask(engine, engine.arm(snapshot, self.stall_seconds))
        try:
            supervisor.settle()
        except EngineError as error:
            supervisor.snapshot = former
            raise WeightSyncError(str(error), "Restart the run with `train --resume`") from error
        return snapshot.version

    def generate(
        self,
        requests: Sequence[Request],
        on_completion: OnCompletion | None = None,
        stop: StopPolicy | None = None,
    ) -> list[Completion]:
        """See `Backend.generate`; `stop` ends completions whose reward cannot change any more."""
        self._calls += 1
        self._predictor.forget_groups()
        if self._reproducible:
            self._predictor = self._new_predictor()
        call = RunningCall(
            requests,
            name=str(self._calls),
            version=self.version,
            predictor=self._predictor,
            decode=self._decode,
            stop=stop,
        )
        for engine in self._supervisor.ready():
            call.add_engine(engine.key, engine.name, engine.settings.max_num_seqs)
        try:
            while call.is_open:
                if self.cancelled.is_set():
                    raise EngineError("the rollout was cancelled")
                self._hand_out(call)
                for completion in self._supervisor.next_answers(call):
                    if on_completion is not None:
                        call.add(on_completion(completion) or ())
                if call.failures > allowed_failures(self._failure_budget, call.total):
                    raise FailureBudgetError(
                        f"{call.failures} of {call.total} completions failed, more than rollout.failure_budget "
                        f"= {self._failure_budget:g} allows"
                    )
        except BaseException:
            for engine in self._supervisor.engines:
                engine.abort(call.held_by(engine.key))
            raise
        finally:
            self.moved += call.moved
        return call.completions()

    def _hand_out(self, call: RunningCall) -> None:
        """Send what free slots allow, and keep one poll under way at every engine that has work."""
        polled = self._supervisor.asked()
        engines = self._supervisor.engines
        orders = call.hand_out({engine.key for engine in engines} - polled, awaited=self._supervisor.expects_another())
        for engine in engines:
            engine.abort(orders.aborts.get(engine.key, []))
            sent = orders.submissions.get(engine.key, [])
            engine.submit(sent)
            held = call.held_by(engine.key)
            if held and engine.key not in polled:
                if len(sent) == len(held):
                    engine.gained_at = time.monotonic()
                self._supervisor.ask(engine, engine.poll(_POLL_STEPS, self._poll_seconds))

    def close(self) -> None:
        """See `Backend.close`."""
        self._supervisor.close()
