"""The pool: the driver owns every sample, engines only add tokens to them.

Free slots are refilled at every poll, across prompt groups, in the order of `scheduler.py`. An engine that dies, fails
or stops answering is replaced and armed with the current weights; its unfinished requests go on from the tokens that
the driver has. What is waited for too long is named.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lengthctl.errors import EngineError, FailureBudgetError, WeightSyncError
from lengthctl.records import Completion
from lengthctl.rollout.backend import OnCompletion, Request, allowed_failures
from lengthctl.rollout.engine_actor import EngineSettings, names_digest
from lengthctl.rollout.engine_handle import EngineHandle, EngineState, cause_of
from lengthctl.rollout.prediction import LengthPredictor
from lengthctl.rollout.samples import RunningCall
from lengthctl.rollout.stopping import StopPolicy
from lengthctl.rollout.weights import WeightSnapshot, missing_names

if TYPE_CHECKING:
    import torch

__all__ = ["RolloutPool"]

_POLL_STEPS = 16
_POLL_SECONDS = 2.0
_NOTICE_SECONDS = 20.0
"""Silence after which the pool says what it waits for."""
_START_SECONDS = 600.0
"""An engine that is not built by then counts as hung; in all else `stall_seconds` decides."""
_FRUITLESS_ENDS = 3
"""Ends in a row without a single token after which an engine is given up."""


@dataclass(frozen=True)
class _Asked:
    """A call to an actor that has not answered yet."""

    engine: EngineHandle
    key: str
    state: EngineState
    since: float


class RolloutPool:
    """A `Backend` over Ray actors that each hold one vLLM engine in their process.

    Args:
        settings: one entry an engine.
        decode: token ids to text, special tokens left out.
        failure_budget: share of a call's requests that may fail before it raises, 0 to 1.
        stall_seconds: an engine that does not answer for so long is replaced.
        reproducible: nothing that a call does depends on time or on earlier calls.
        say: told of engines that are replaced, and of what a silent pool waits for.
    """

    def __init__(
        self,
        settings: Sequence[EngineSettings],
        decode: Callable[[Sequence[int]], str],
        *,
        failure_budget: float = 0.02,
        stall_seconds: float = 300.0,
        reproducible: bool = False,
        say: Callable[[str], None] = lambda line: None,
    ) -> None:
        self._decode = decode
        self._failure_budget = failure_budget
        self.stall_seconds = stall_seconds
        self._reproducible = reproducible
        self._poll_seconds = math.inf if reproducible else _POLL_SECONDS
        self._say = say
        self._snapshot: WeightSnapshot | None = None
        self._predictor = LengthPredictor()
        self._calls = 0
        self.cancelled = threading.Event()
        """While it is set, a `generate` under way in another thread ends with an error at the next answer."""
        self.replaced = 0
        """Engines replaced since the pool was opened."""
        self._engines = [EngineHandle(s) for s in settings]
        self._pending: dict[Any, _Asked] = {}
        for engine in self._engines:
            self._ask(engine, engine.start())
        self._wait_for_all()

    @property
    def version(self) -> int:
        """Version of the weights that every working engine holds; 0 before the first sync."""
        return self._snapshot.version if self._snapshot is not None else 0

    @property
    def weight_device(self) -> str | None:
        """Where `sync_weights` wants its tensors; None: where they are."""
        return None if any(engine.settings.transfer == "nccl" for engine in self._engines) else "cpu"

    def engine_stats(self) -> list[dict[str, Any]]:
        """`EngineActor.stats` of the engines, in their order; waits for one that is being started."""
        self._wait_for_all()
        return [engine.stats() for engine in self._engines]

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

        former, digest = self._snapshot, names_digest(state)
        if former is not None and former.digest != digest:
            raise WeightSyncError("the weights have other names or shapes than those of the last sync")
        if former is None and (missing := missing_names(state, self._engines[0].settings.model)):
            shown = f"{missing[0]} and {len(missing) - 1} more" if len(missing) > 1 else missing[0]
            raise WeightSyncError(f"the weights lack {shown} of {self._engines[0].settings.model}")
        held = dict(state) if self.weight_device is None else ray.put(dict(state))
        self._snapshot = snapshot = WeightSnapshot(held, max(self.version + 1, version), digest)
        for engine in self._engines:
            if engine.state is EngineState.READY:
                self._ask(engine, engine.arm(snapshot, self.stall_seconds))
        try:
            self._settle()
        except EngineError as error:
            self._snapshot = former
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
            self._predictor = LengthPredictor()
        call = RunningCall(
            requests,
            name=str(self._calls),
            version=self.version,
            predictor=self._predictor,
            decode=self._decode,
            stop=stop,
        )
        for engine in self._engines:
            if engine.state is EngineState.READY:
                self._make_ready(engine, call)
        try:
            while call.is_open:
                if self.cancelled.is_set():
                    raise EngineError("the rollout was cancelled")
                self._hand_out(call)
                for completion in self._next_answers(call):
                    if on_completion is not None:
                        on_completion(completion)
                if call.failures > allowed_failures(self._failure_budget, len(requests)):
                    raise FailureBudgetError(
                        f"{call.failures} of {len(requests)} completions failed, more than rollout.failure_budget "
                        f"= {self._failure_budget:g} allows"
                    )
        except BaseException:
            for engine in self._engines:
                engine.abort(call.held_by(engine.key))
            raise
        return call.completions()

    def _ask(self, engine: EngineHandle, ref: Any) -> None:
        self._pending[ref] = _Asked(engine, engine.key, engine.state, time.monotonic())

    def _hand_out(self, call: RunningCall) -> None:
        """Send what free slots allow, and keep one poll under way at every engine that has work."""
        polled = {asked.key for asked in self._pending.values()}
        submissions = call.assign()
        for engine in self._engines:
            sent = submissions.get(engine.key, [])
            if engine.key in polled:
                engine.submit(sent)
            elif sent or call.held_by(engine.key):
                if len(sent) == len(call.held_by(engine.key)):
                    engine.gained_at = time.monotonic()
                engine.submit(sent)
                self._ask(engine, engine.poll(_POLL_STEPS, self._poll_seconds))

    def _next_answers(self, call: RunningCall | None) -> list[Completion]:
        """Wait for the next answer of any engine, take it in, and return what it ended."""
        import ray

        silence = min(_NOTICE_SECONDS, self.stall_seconds)
        ready, _ = ray.wait(list(self._pending), num_returns=1, timeout=silence)
        if not ready:
            return self._look_after_the_silent(call)
        ended: list[Completion] = []
        for ref in ready:
            asked = self._pending.pop(ref)
            engine = asked.engine
            if asked.key != engine.key:
                continue  # of an actor that was replaced
            try:
                answer = ray.get(ref)
            except ray.exceptions.RayError as error:
                ended.extend(self._replace(engine, engine.fault or cause_of(error), call))
                continue
            match asked.state:
                case EngineState.STARTING:
                    self._arm_or_ready(engine, call)
                case EngineState.ARMING:
                    ended.extend(self._check_armed(engine, answer, call))
                case EngineState.READY:
                    ended.extend(self._take_in(engine, answer, call))
        return ended

    def _take_in(self, engine: EngineHandle, events: Sequence[Any], call: RunningCall | None) -> list[Completion]:
        now = time.monotonic()
        if any(event.token_ids for event in events):
            engine.fruitless_ends = 0
        if events:
            engine.gained_at = now
        elif now - engine.gained_at > self.stall_seconds and call is not None and call.held_by(engine.key):
            return self._replace(engine, f"no token for {now - engine.gained_at:.0f} s", call)
        if call is None:
            return []
        applied = [(event, call.apply(engine.key, event)) for event in events]
        engine.abort([event.request_id for event, done in applied if done is not None and event.finish is None])
        return [done for _, done in applied if done is not None]

    def _make_ready(self, engine: EngineHandle, call: RunningCall | None) -> None:
        """It may be given requests, those of the call under way among them."""
        engine.state = EngineState.READY
        if call is not None:
            call.add_engine(engine.key, engine.name, engine.settings.max_num_seqs)

    def _arm_or_ready(self, engine: EngineHandle, call: RunningCall | None) -> None:
        if self._snapshot is not None:
            self._ask(engine, engine.arm(self._snapshot, self.stall_seconds))
            return
        self._make_ready(engine, call)

    def _check_armed(
        self, engine: EngineHandle, answer: Mapping[str, Any], call: RunningCall | None
    ) -> list[Completion]:
        assert self._snapshot is not None
        held = (answer["version"], answer["digest"])
        if held == (self._snapshot.version, self._snapshot.digest):
            self._make_ready(engine, call)
            return []
        return self._replace(engine, f"it holds weights {held[0]}, not {self._snapshot.version}", call)

    def _look_after_the_silent(self, call: RunningCall | None) -> list[Completion]:
        """Nothing has come for a while: say what is waited for, and replace what has been silent too long."""
        ended: list[Completion] = []
        for ref, asked in list(self._pending.items()):
            engine, waited = asked.engine, time.monotonic() - asked.since
            patience = _START_SECONDS if asked.state is EngineState.STARTING else self.stall_seconds
            held = len(call.held_by(engine.key)) if call is not None else 0
            if waited < patience:
                self._say(
                    f"waiting for {engine.name}, which {asked.state} ({held} requests): no answer for {waited:.0f} s; "
                    f"it is replaced after {patience:.0f} s"
                )
                continue
            del self._pending[ref]
            ended.extend(self._replace(engine, f"no answer for {waited:.0f} s", call))
        return ended

    def _replace(self, engine: EngineHandle, cause: str, call: RunningCall | None) -> list[Completion]:
        """Start the engine anew; its requests wait for whichever engine is free first.

        Raises:
            EngineError: it ended again and again without a token.
        """
        ended = call.lose_engine(engine.key, cause) if call is not None else []
        engine.fruitless_ends += 1
        never_worked = engine.state is EngineState.STARTING and engine.incarnation == 1
        if never_worked or engine.fruitless_ends >= _FRUITLESS_ENDS:
            engine.kill()
            remedy = "See the engine's log in Ray's session folder"
            raise EngineError(f"{engine.name} ended {engine.fruitless_ends} times in a row: {cause}", remedy)
        self._say(f"{engine.name} is replaced: {cause}")
        self.replaced += 1
        self._ask(engine, engine.start())
        return ended

    def _wait_for_all(self) -> None:
        """Wait until every engine is ready."""
        while any(engine.state is not EngineState.READY for engine in self._engines):
            self._next_answers(None)

    def _settle(self) -> None:
        """Wait until no engine takes weights and one is ready; others may still be starting anew."""
        states = {engine.state for engine in self._engines}
        while EngineState.ARMING in states or EngineState.READY not in states:
            self._next_answers(None)
            states = {engine.state for engine in self._engines}

    def close(self) -> None:
        """See `Backend.close`."""
        for engine in self._engines:
            engine.kill()
        self._engines, self._pending = [], {}
