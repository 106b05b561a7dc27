"""Which request runs on which engine, and when: the longest expected first, each exactly once. Pure: no Ray, no clock.

Longest first is Graham's LPT rule: the makespan stays within 4/3 - 1/(3m) of the best on m machines when lengths are
known (SIAM J. Appl. Math. 17, 1969). Where no target is asked for, the first member of every group goes ahead of all
others, so that its length tells theirs (arXiv 2511.14617 runs such probes). Every decision follows from the calls made
here, so a run can be replayed from their record.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from lengthctl.rollout.backend import Request

__all__ = ["Assignment", "Scheduler"]

_SHARED_BLOCK_TOKENS = 128
"""Prompts shorter than one block of vLLM's prefix cache (128 tokens on a CPU) share nothing."""

_PREFILL_COST = 0.1
"""Cost of a prompt token in generated tokens: prefill runs as one large product."""


@dataclass(frozen=True)
class Assignment:
    """One request on one engine, for the `attempt`-th time (from 1)."""

    request: Request
    engine: str
    attempt: int


@dataclass
class _Engine:
    slots: int
    running: dict[str, float] = field(default_factory=dict)
    """Expected tokens of each running request."""

    @property
    def load(self) -> float:
        return sum(self.running.values())

    @property
    def free(self) -> int:
        return self.slots - len(self.running)


class Scheduler:
    """Assigns requests to engines as slots become free.

    Args:
        expect: expected completion tokens of a request; asked again whenever work is handed out.
        longest_first: False keeps the order of arrival, to measure against.
    """

    def __init__(self, expect: Callable[[Request], float], *, longest_first: bool = True) -> None:
        self._expect = expect
        self._longest_first = longest_first
        self._engines: dict[str, _Engine] = {}
        self._requests: dict[str, Request] = {}
        self._arrival: dict[str, int] = {}
        self._attempts: dict[str, int] = {}
        self._waiting: set[str] = set()
        self._groups: set[str] = set()
        self._probes: set[str] = set()
        self._homes: dict[str, str] = {}

    def add_engine(self, name: str, slots: int) -> None:
        """An engine that may take work from the next `assign` on."""
        self._engines[name] = _Engine(slots)

    def lose_engine(self, name: str) -> list[str]:
        """The engine is gone: its requests wait again. Returns their ids."""
        lost = list(self._engines.pop(name).running)
        self._waiting.update(lost)
        self._homes = {group: home for group, home in self._homes.items() if home != name}
        return lost

    def submit(self, requests: Iterable[Request]) -> None:
        """New requests.

        Raises:
            ValueError: an id that is known already.
        """
        for request in requests:
            if request.id in self._requests:
                raise ValueError(f"request id {request.id!r} stands twice")
            self._requests[request.id] = request
            self._arrival[request.id] = len(self._arrival)
            self._waiting.add(request.id)
            if request.group and request.group not in self._groups:
                self._groups.add(request.group)
                if request.target is None:
                    self._probes.add(request.id)

    @property
    def unfinished(self) -> int:
        """Requests that wait or run."""
        return len(self._waiting) + sum(len(engine.running) for engine in self._engines.values())

    def running(self, engine: str) -> Sequence[str]:
        """Ids that run on an engine."""
        return list(self._engines[engine].running)

    def assign(self) -> list[Assignment]:
        """Fill the free slots: each request, in order, on the engine with the least expected work left."""
        if not self._waiting or not any(engine.free for engine in self._engines.values()):
            return []
        queue = [(self._order(request_id), request_id) for request_id in self._waiting]
        heapq.heapify(queue)
        out = []
        while queue and (open_engines := [n for n, engine in self._engines.items() if engine.free > 0]):
            _, request_id = heapq.heappop(queue)
            request = self._requests[request_id]
            name = self._choose(request, open_engines)
            self._waiting.remove(request_id)
            self._engines[name].running[request_id] = self._expect(request)
            self._attempts[request_id] = self._attempts.get(request_id, 0) + 1
            if request.group:
                self._homes.setdefault(request.group, name)
            out.append(Assignment(request, name, self._attempts[request_id]))
        return out

    def finish(self, engine: str, request_id: str, attempt: int) -> bool:
        """A request ended on an engine. False for an event that no longer counts: of an earlier attempt, of a lost
        engine, or told twice."""
        holder = self._engines.get(engine)
        if holder is None or request_id not in holder.running or self._attempts[request_id] != attempt:
            return False
        del holder.running[request_id]
        return True

    def close(self, request_id: str) -> None:
        """The request is done, wherever it waits or runs."""
        self._waiting.discard(request_id)
        for engine in self._engines.values():
            engine.running.pop(request_id, None)

    def _order(self, request_id: str) -> tuple[int, float, int]:
        """Sort key, smallest first; ties by arrival, so that a run can be explained."""
        request = self._requests[request_id]
        if not self._longest_first:
            return (0, 0.0, self._arrival[request_id])
        return (0 if request_id in self._probes else 1, -self._expect(request), self._arrival[request_id])

    def _choose(self, request: Request, names: Sequence[str]) -> str:
        lightest = min(names, key=lambda name: (self._engines[name].load, name))
        home = self._homes.get(request.group) if request.group else None
        if home is None or home not in names or len(request.prompt_ids) < _SHARED_BLOCK_TOKENS:
            return lightest
        saved = _PREFILL_COST * len(request.prompt_ids)
        return home if self._engines[home].load - self._engines[lightest].load <= saved else lightest
