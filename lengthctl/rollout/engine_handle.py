"""One engine as the driver sees it: the Ray actor of the moment, what it was asked last, and how it ends."""

from __future__ import annotations

from contextlib import suppress
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from lengthctl.errors import first_line
from lengthctl.rollout.engine_actor import EngineActor, EngineSettings
from lengthctl.rollout.nccl import NcclTransfer

if TYPE_CHECKING:
    from lengthctl.rollout.samples import Submission
    from lengthctl.rollout.weights import WeightSnapshot

__all__ = ["EngineHandle", "EngineState", "cause_of"]


class EngineState(StrEnum):
    """What an engine is at, and so what an answer of it means."""

    STARTING = "starts"
    """Its process is being built; it holds the checkpoint's weights."""
    ARMING = "takes the weights"
    READY = "generates"
    """It may be given requests."""


class EngineHandle:
    """Starts an engine, asks it, and replaces it. An answer of a former actor is never mixed up with one of the
    present, since each incarnation has its own `key`.

    Ray restarts actors by itself; a new actor is made here instead, because a restarted one would answer with the
    checkpoint's weights before it could be armed, under the name of the old one.
    """

    def __init__(self, settings: EngineSettings) -> None:
        self.settings = settings
        self.incarnation = 0
        self.fruitless_ends = 0
        """Times in a row that it ended before it had told a single token."""
        self.state = EngineState.STARTING
        self.gained_at = 0.0
        """Monotonic seconds at which it last told something, or was given work after it had none."""
        self.fault: str | None = None
        """What this incarnation was ended for, where its last answer does not say it."""
        self._actor: Any = None
        self._nccl: NcclTransfer | None = None

    @property
    def name(self) -> str:
        """Its name in records and messages."""
        return self.settings.name

    @property
    def key(self) -> str:
        """Name of this incarnation."""
        return f"{self.settings.name}#{self.incarnation}"

    def start(self) -> Any:
        """Begin a new incarnation; the reference resolves once it is built."""
        import ray

        self.kill()
        self.incarnation += 1
        self.fault = None
        remote = ray.remote(
            num_cpus=self.settings.threads,
            num_gpus=self.settings.gpus,
            max_restarts=0,
            max_task_retries=0,  # a repeated call would run with other weights, and count twice
        )(EngineActor)
        self._actor = remote.remote(self.settings)
        self._nccl = NcclTransfer(self._actor, int(self.settings.gpus)) if self.settings.transfer == "nccl" else None
        self.state = EngineState.STARTING
        return self._actor.stats.remote()

    def arm(self, snapshot: WeightSnapshot, timeout_seconds: float) -> Any:
        """Send weights; the reference resolves to the engine's stats. NCCL's are sent here and now, and an engine that
        does not take them in time is ended, which the reference then tells."""
        self.state = EngineState.ARMING
        if self._nccl is not None:
            import ray

            try:
                self._nccl.send(snapshot.state, timeout_seconds)
            except Exception as error:
                self.fault = f"NCCL: {type(error).__name__}: {first_line(error)}"
                ray.kill(self._actor)
            return self._actor.stamp.remote(snapshot.version, snapshot.digest)
        return self._actor.sync.remote(snapshot.state, snapshot.version, snapshot.digest)

    def submit(self, submissions: list[Submission]) -> None:
        """Add requests; they join the next step."""
        if submissions:
            self._actor.submit.remote(submissions)

    def poll(self, max_steps: int, max_seconds: float) -> Any:
        """Step; the reference resolves to the events."""
        return self._actor.poll.remote(max_steps, max_seconds)

    def abort(self, keys: list[str]) -> None:
        """Drop requests; nothing is told of them any more."""
        if keys and self._actor is not None:
            self._actor.abort.remote(keys)

    def kill(self) -> None:
        """End the actor, if there is one."""
        import ray

        actor, self._actor = self._actor, None
        if actor is not None and ray.is_initialized():
            with suppress(Exception):  # it may be dead, or its node gone
                ray.kill(actor)

    def stats(self) -> dict[str, Any]:
        """See `EngineActor.stats`; waits for what it is at."""
        import ray

        found: dict[str, Any] = ray.get(self._actor.stats.remote())
        return found


def cause_of(error: Exception) -> str:
    """The line of a Ray error that says what happened in the engine."""
    lines = [line for line in str(error).strip().splitlines() if line.strip()]
    return lines[-1].strip()[:300] if lines else first_line(error)
