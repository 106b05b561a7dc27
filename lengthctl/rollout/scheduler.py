"""Which request runs on which engine, and when: the longest expected first, each exactly once. Pure: no Ray, no clock.

Longest first is Graham's LPT rule: the makespan stays within 4/3 - 1/(3m) of the best on m machines when lengths are
known (SIAM J. Appl. Math. 17, 1969). Where no target is asked for, the first member of every group goes ahead of all
others, so that its length tells theirs (arXiv 2511.14617 runs such probes). Where nothing waits and an engine has room
because it came late or was lucky, running requests move to it (`rebalance`; ours). Every decision follows from the
calls made here, so a run can be replayed from their record.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field

from lengthctl.rollout.backend import Request

__all__ = ["Assignment", "Move", "Scheduler"]

_SHARED_BLOCK_TOKENS = 128
"""Prompts shorter than one block of vLLM's prefix cache (128 tokens on a CPU) share nothing."""

_PREFILL_COST = 0.4
"""Cost of a prompt token in generated tokens: 1.0 ms against 2.4 (64 sequences, one AVX512 core)."""

_BUSY = 64
"""Running sequences beyond which more gain little: 430 tokens a second with 64, 438 with 128 (two AVX512 cores)."""

_STEP_COST = 10.0
"""Cost of a step in generated tokens, on top of one for each sequence in it (two AVX512 cores: 28 ms and 2.3 ms). A
device whose steps cost the same at any size gains less by a move than is expected here."""

_WORTH_STEPS = 16
"""Steps of the giving engine that a move must save: the taking engine may be in the middle of a poll of as many."""

_MOVES = 2
"""Times that a request may be moved, so that no error of prediction can send it to and fro."""

_OVERDUE = 1 / 3
"""Share of what it has that a request still takes once it is longer than was expected: the mean excess of a lognormal
length over its median, at a deviation of 0.35 (`scripts/bench/makespan.py`)."""


@dataclass(frozen=True)
class Assignment:
    """One request on one engine, for the `attempt`-th time (from 1)."""

    request: Request
    engine: str
    attempt: int


@dataclass(frozen=True)
class Move:
    """A running request leaves `giver`; the assignment says where it goes on."""

    giver: str
    assignment: Assignment


@dataclass
class _Engine:
    slots: int
    running: dict[str, None] = field(default_factory=dict)
    """Ids, in the order in which they came."""

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
        self._told: dict[str, int] = {}
        self._moves: dict[str, int] = {}
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

    def progress(self, request_id: str, tokens: int) -> None:
        """So many tokens more of a request are known; they need not be generated again wherever it goes on."""
        self._told[request_id] = self._told.get(request_id, 0) + tokens

    def assign(self, *, awaited: bool = False) -> list[Assignment]:
        """Fill the free slots: each request, in order, on the engine with the least expected work left.

        Args:
            awaited: another engine will come soon. Those that are busy then take no more: it would have to move soon,
                and what an engine has read would be read again.
        """

        def may_take(engine: _Engine) -> bool:
            return engine.free > 0 and not (awaited and len(engine.running) >= _BUSY)

        if not self._waiting or not any(map(may_take, self._engines.values())):
            return []
        queue = [(self._order(request_id), request_id) for request_id in self._waiting]
        heapq.heapify(queue)
        loads = {name: sum(map(self._left, engine.running)) for name, engine in self._engines.items()}
        out = []
        while queue and (open_engines := [n for n, engine in self._engines.items() if may_take(engine)]):
            _, request_id = heapq.heappop(queue)
            name = self._choose(self._requests[request_id], {n: loads[n] for n in open_engines})
            self._waiting.remove(request_id)
            loads[name] += self._left(request_id)
            if len(self._requests[request_id].prompt_ids) < _SHARED_BLOCK_TOKENS:  # else `_choose` weighs it
                loads[name] += self._reading(request_id)
            out.append(self._place(request_id, name))
        return out

    def rebalance(self, givers: Collection[str]) -> list[Move]:
        """Moves of running requests that end the work sooner, none while requests wait.

        From the engine that would be the last to end to the one that would be the first, longest left first, as long
        as that saves `_WORTH_STEPS` steps after what reading prompt and tokens again costs.

        Args:
            givers: engines that may lose requests; those that are not stepping, so that no token of theirs is wasted.
        """
        out: list[Move] = []
        taken: set[str] = set()
        while not self._waiting and len(self._engines) > 1:
            spans = {name: self._span(map(self._left, engine.running)) for name, engine in self._engines.items()}
            giver = max(spans, key=lambda name: (spans[name], name))
            takers = [name for name, engine in self._engines.items() if engine.free and name != giver]
            if giver not in givers or giver in taken or not takers:
                break
            taker = min(takers, key=lambda name: (spans[name], name))
            chosen = self._worth_moving(giver, taker)
            if not chosen:
                break
            taken.add(taker)
            for request_id in chosen:
                del self._engines[giver].running[request_id]
                self._moves[request_id] = self._moves.get(request_id, 0) + 1
                out.append(Move(giver, self._place(request_id, taker)))
        return out

    def _worth_moving(self, giver: str, taker: str) -> list[str]:
        """The requests that, moved, bring the end of both engines forward most; none where that is too little."""
        source, target = self._engines[giver], self._engines[taker]
        room = min(target.free, (len(source.running) - len(target.running)) // 2)
        by_length = sorted(source.running, key=lambda i: (-self._left(i), self._arrival[i]))
        movable = [i for i in by_length if self._moves.get(i, 0) < _MOVES][: max(0, room)]
        stays, goes = list(map(self._left, source.running)), list(map(self._left, target.running))
        before = self._span(stays)
        best, chosen = before - _WORTH_STEPS * (_STEP_COST + len(stays)), 0
        reread = 0.0
        for count, request_id in enumerate(movable, start=1):
            left = self._left(request_id)
            stays.remove(left)
            goes.append(left)
            reread += self._reading(request_id)
            after = max(self._span(stays), self._span(goes) + reread)
            if after < best:
                best, chosen = after, count
        return movable[:chosen]

    def _span(self, left: Iterable[float]) -> float:
        """Cost until an engine has ended requests with so many tokens left."""
        tokens = list(left)
        return _STEP_COST * max(tokens, default=0.0) + sum(tokens)

    def _left(self, request_id: str) -> float:
        """Expected tokens that a request still takes, at least 1."""
        request = self._requests[request_id]
        told = self._told.get(request_id, 0)
        expected = max(self._expect(request) - told, _OVERDUE * told)
        return max(1.0, min(expected, float(request.sampling.max_tokens - told)))

    def _reading(self, request_id: str) -> float:
        """Cost of a request's prompt and known tokens on an engine that is new to it."""
        return _PREFILL_COST * (len(self._requests[request_id].prompt_ids) + self._told.get(request_id, 0))

    def _place(self, request_id: str, name: str) -> Assignment:
        request = self._requests[request_id]
        self._engines[name].running[request_id] = None
        self._attempts[request_id] = self._attempts.get(request_id, 0) + 1
        if request.group:
            self._homes.setdefault(request.group, name)
        return Assignment(request, name, self._attempts[request_id])

    def close(self, request_id: str) -> None:
        """The request is done, wherever it waits or runs."""
        self._waiting.discard(request_id)
        for engine in self._engines.values():
            engine.running.pop(request_id, None)

    def _order(self, request_id: str) -> tuple[int, float, int]:
        """Sort key, smallest first; ties by arrival, so that a run can be explained."""
        if not self._longest_first:
            return (0, 0.0, self._arrival[request_id])
        return (0 if request_id in self._probes else 1, -self._left(request_id), self._arrival[request_id])

    def _choose(self, request: Request, loads: dict[str, float]) -> str:
        """One of the engines in `loads`, by their expected tokens left."""
        lightest = min(loads, key=lambda name: (loads[name], name))
        home = self._homes.get(request.group) if request.group else None
        if home is None or home not in loads or len(request.prompt_ids) < _SHARED_BLOCK_TOKENS:
            return lightest
        saved = _PREFILL_COST * len(request.prompt_ids)
        return home if loads[home] - loads[lightest] <= saved else lightest
