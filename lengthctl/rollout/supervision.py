"""Engines kept at work: built, armed with the current weights, watched, and replaced when they die or fall silent.

What is waited for too long is named. A replaced engine's requests wait for whichever engine is free first, and go on
from the tokens that the driver has.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from lengthctl.errors import EngineError
from lengthctl.records import Completion
from lengthctl.rollout.engine_actor import EngineSettings
from lengthctl.rollout.engine_handle import EngineHandle, EngineState, cause_of
from lengthctl.rollout.samples import RunningCall
from lengthctl.rollout.weights import WeightSnapshot

__all__ = ["Supervisor"]

_NOTICE_SECONDS = 20.0
"""Silence after which it is said what is waited for."""
_START_SECONDS = 600.0
"""An engine that is not built by then counts as hung; in all else `stall_seconds` decides."""
_SOON_SECONDS = 20.0
"""A start on a CPU takes 7 to 14 s where there is room for it (two AVX512 cores)."""
_FRUITLESS_ENDS = 3
"""Ends in a row without a single token after which an engine is given up."""


@dataclass(frozen=True)
class _Asked:
    """A call to an actor that has not answered yet."""

    engine: EngineHandle
    key: str
    state: EngineState
    since: float


class Supervisor:
    """The engines of a pool, and what each was asked last.

    Args:
        settings: one entry an engine; all are started at once, and `wait_for_all` waits for them.
        stall_seconds: an engine that does not answer for so long is replaced.
        say: told of engines that are replaced, and of what is waited for in silence.
    """

    def __init__(self, settings: Sequence[EngineSettings], stall_seconds: float, say: Callable[[str], None]) -> None:
        self.stall_seconds = stall_seconds
        self.snapshot: WeightSnapshot | None = None
        """Weights that an engine must hold before it is given requests; None: those of the checkpoint."""
        self.replaced = 0
        """Engines replaced so far."""
        self.engines = [EngineHandle(s) for s in settings]
        self._say = say
        self._pending: dict[Any, _Asked] = {}
        self._named: dict[Any, float] = {}
        for engine in self.engines:
            self.ask(engine, engine.start())

    def ask(self, engine: EngineHandle, ref: Any) -> None:
        """Await an answer of the engine, to be understood by the state that it is in."""
        self._pending[ref] = _Asked(engine, engine.key, engine.state, time.monotonic())

    def ready(self) -> list[EngineHandle]:
        """Engines that may be given requests."""
        return [engine for engine in self.engines if engine.state is EngineState.READY]

    def asked(self) -> set[str]:
        """Keys of engines that have yet to answer."""
        return {asked.key for asked in self._pending.values()}

    def expects_another(self) -> bool:
        """An engine on a CPU will be ready soon; one that has no node is not waited for, nor one on a GPU, where a
        start takes a minute and other engines take its requests at little cost."""
        now = time.monotonic()
        return any(
            asked.state is not EngineState.READY
            and asked.engine.settings.gpus == 0
            and now - asked.since < _SOON_SECONDS
            and asked.key == asked.engine.key
            for asked in self._pending.values()
        )

    def next_answers(self, call: RunningCall | None) -> list[Completion]:
        """Wait for the next answer of any engine, take it in, and return what it ended.

        Raises:
            EngineError: an engine ended again and again without a token.
        """
        import ray

        silence = min(_NOTICE_SECONDS, self.stall_seconds)
        ready, _ = ray.wait(list(self._pending), num_returns=1, timeout=silence)
        ended = self._look_after_the_silent(set(self._pending) - set(ready), call)
        for ref in ready:
            asked = self._pending.pop(ref)
            self._named.pop(ref, None)
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

    def wait_for_all(self) -> None:
        """Wait until every engine is ready."""
        while len(self.ready()) < len(self.engines):
            self.next_answers(None)

    def settle(self) -> None:
        """Wait until no engine takes weights and one is ready; others may still be starting anew."""
        states = {engine.state for engine in self.engines}
        while EngineState.ARMING in states or EngineState.READY not in states:
            self.next_answers(None)
            states = {engine.state for engine in self.engines}

    def close(self) -> None:
        """End every engine."""
        for engine in self.engines:
            engine.kill()
        self.engines, self._pending = [], {}

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
        if self.snapshot is not None:
            self.ask(engine, engine.arm(self.snapshot, self.stall_seconds))
            return
        self._make_ready(engine, call)

    def _check_armed(
        self, engine: EngineHandle, answer: Mapping[str, Any], call: RunningCall | None
    ) -> list[Completion]:
        assert self.snapshot is not None
        held = (answer["version"], answer["digest"])
        if held == (self.snapshot.version, self.snapshot.digest):
            self._make_ready(engine, call)
            return []
        return self._replace(engine, f"it holds weights {held[0]}, not {self.snapshot.version}", call)

    def _look_after_the_silent(self, refs: Collection[Any], call: RunningCall | None) -> list[Completion]:
        """Say which engines are waited for, however busy the others are, and replace those silent for too long."""
        ended: list[Completion] = []
        now, notice = time.monotonic(), min(_NOTICE_SECONDS, self.stall_seconds)
        for ref in refs:
            asked = self._pending[ref]
            engine, waited = asked.engine, now - asked.since
            patience = _START_SECONDS if asked.state is EngineState.STARTING else self.stall_seconds
            held = len(call.held_by(engine.key)) if call is not None else 0
            if waited < patience:
                if asked.key != engine.key or now - self._named.get(ref, asked.since) < notice:
                    continue
                self._named[ref] = now
                self._say(
                    f"waiting for {engine.name}, which {asked.state} ({held} requests): no answer for {waited:.0f} s; "
                    f"it is replaced after {patience:.0f} s"
                )
                continue
            del self._pending[ref]
            self._named.pop(ref, None)
            if asked.key == engine.key:
                ended.extend(self._replace(engine, f"no answer for {waited:.0f} s", call))
        return ended

    def _replace(self, engine: EngineHandle, cause: str, call: RunningCall | None) -> list[Completion]:
        ended = call.lose_engine(engine.key, cause) if call is not None else []
        engine.fruitless_ends += 1
        never_worked = engine.state is EngineState.STARTING and engine.incarnation == 1
        if never_worked or engine.fruitless_ends >= _FRUITLESS_ENDS:
            engine.kill()
            remedy = "See the engine's log in Ray's session folder"
            raise EngineError(f"{engine.name} ended {engine.fruitless_ends} times in a row: {cause}", remedy)
        self._say(f"{engine.name} is replaced: {cause}")
        self.replaced += 1
        self.ask(engine, engine.start())
        return ended
