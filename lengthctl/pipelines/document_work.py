"""The documents of one run: begun as there is room, handed their answers, told as they end. Calls no backend."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Generic, TypeVar

from lengthctl.decode.calls import OfCall, answer_of, task_of
from lengthctl.decode.control import Outcome, Task
from lengthctl.decode.flow import Answer, Call, Flow, FlowFailedError, Setback
from lengthctl.decode.run import Job
from lengthctl.errors import DataError
from lengthctl.pipelines.room import Document, Room, overflow_of
from lengthctl.pipelines.room_report import Tally
from lengthctl.records import FinishReason

if TYPE_CHECKING:
    from lengthctl.progress import Bar

__all__ = ["DocumentWork", "InOrder"]

R = TypeVar("R")
OnResult = Callable[[Document[R], R | FlowFailedError], None]

_CALL_NAME = re.compile(r"[A-Za-z0-9_/-]+")
"""No blank, which parts it from the document's id, and no point, which the rounds of a control have."""
_SITTING = 4096
"""Calls after which the backend's call is ended and another one begun: it holds every completion until it ends."""
_SITTING_ROUNDS = 64
"""The same for each document at once: the end of a backend's call idles it for about the time of one call."""
_AHEAD = 8
"""Times `in_flight` that documents may be begun past the oldest whose result is awaited, where order is kept."""
_SHORTENINGS = 20
"""Times in a row that a document may answer an overflow by another conversation that is too long."""


@dataclass
class _Begun(Generic[R]):
    """A document under way."""

    document: Document[R]
    number: int
    flow: Flow[R]
    calls: tuple[Call, ...] | None = None
    """What it asked last; None: nothing yet."""
    answers: list[Answer | None] = field(default_factory=list)
    names: set[str] = field(default_factory=set)
    overflow: str | None = None
    """Why what it asked last does not fit the context."""
    shortenings: int = 0
    """In a row."""
    refusals: int = 0
    """Overflows that the backend told."""


@dataclass(frozen=True)
class _Asked(Generic[R]):
    """A call that the backend is at."""

    begun: _Begun[R]
    index: int
    key: str


class InOrder(Generic[R]):
    """Tells results in the order of their numbers, from 0: early ones wait."""

    def __init__(self, on_result: OnResult[R]) -> None:
        self.told = 0
        self._on_result = on_result
        self._early: dict[int, tuple[Document[R], R | FlowFailedError]] = {}

    def add(self, number: int, document: Document[R], result: R | FlowFailedError) -> None:
        """A result is there."""
        self._early[number] = (document, result)
        while self.told in self._early:
            ready = self._early.pop(self.told)
            self.told += 1
            self._on_result(*ready)


class DocumentWork(Generic[R]):
    """See the module.

    Args:
        documents: read as room for them comes.
        room: what they are made with; its backend is not used here.
        on_result: told of each end.
        made: counts.
        bar: shows them; None: nothing is shown.
        ordered: results wait for those of earlier documents.
        check: looks at the failures so far, given why the last document came to nothing; raises to end the run.
    """

    def __init__(
        self,
        documents: Iterator[Document[R]],
        room: Room,
        on_result: OnResult[R],
        made: Tally,
        bar: Bar | None,
        *,
        ordered: bool,
        check: Callable[[str], None],
    ) -> None:
        self.source_error: Exception | None = None
        """What reading the documents raised."""
        self._documents = documents
        self._room = room
        self._on_result = on_result
        self._in_order = InOrder(on_result) if ordered else None
        self._made = made
        self._bar = bar
        self._check = check
        self._begun: dict[str, _Begun[R]] = {}
        self._asked: dict[str, _Asked[R]] = {}
        self._read = 0
        self._is_exhausted = False
        self._waiting: list[Job] = []
        self._left_in_sitting = 0

    def next_jobs(self) -> list[Job]:
        """What a call of the backend begins with; empty once every document has ended."""
        self._left_in_sitting = max(_SITTING, _SITTING_ROUNDS * self._room.in_flight)
        jobs, self._waiting = self._waiting, []
        jobs += self._fill()
        self._made.mark(len(self._asked))
        return jobs

    def take(self, task: Task, outcome: Outcome) -> list[Job]:
        """A call was answered: what its document, or one that takes its place, asks for next."""
        asked = self._asked.pop(task.id)
        begun = asked.begun
        assert begun.calls is not None
        answer = answer_of(outcome)
        self._made.answer(answer, stored=False)
        if answer.finish is FinishReason.ERROR:
            begun.overflow = begun.overflow or overflow_of(answer.error)
        elif self._room.store is not None:
            self._room.store.add(asked.key, begun.document.id, begun.calls[asked.index].name, answer)
        begun.answers[asked.index] = answer
        jobs: list[Job] = []
        if None not in begun.answers:
            if begun.overflow is not None:  # the same calls may be asked again, of less
                begun.refusals += 1
                begun.names.difference_update(call.name for call in begun.calls)
            jobs = [*self._advance(begun), *self._fill()]
        self._made.mark(len(self._asked))
        if self._bar is not None:
            self._bar.update(self._made.ended, self._read if self._is_exhausted else None, **self._made.facts())
        self._left_in_sitting -= 1
        if self._left_in_sitting > 0:
            return jobs
        self._waiting += jobs
        return []

    def close(self) -> None:
        """Leave the documents that are under way."""
        for begun in self._begun.values():
            begun.flow.close()

    def _fill(self) -> list[Job]:
        """Begin documents as long as there is room; those whose calls are all in the store end here."""
        jobs: list[Job] = []
        while len(self._begun) < self._room.in_flight and not self._is_far_ahead():
            document = self._next_document()
            if document is None:
                break
            if document.id in self._begun:
                raise DataError(f"the document id {document.id!r} stands twice", "Give each document its own")
            begun = self._begun[document.id] = _Begun(document, self._read, document.flow())
            self._read += 1
            jobs += self._advance(begun)
        return jobs

    def _is_far_ahead(self) -> bool:
        """Too many results would wait for an earlier one."""
        return self._in_order is not None and self._read - self._in_order.told >= _AHEAD * self._room.in_flight

    def _next_document(self) -> Document[R] | None:
        """None: there is no other, or none can be read; those under way are then brought to their end first."""
        if self._is_exhausted:
            return None
        try:
            return next(self._documents)
        except StopIteration:
            self._is_exhausted = True
        except Exception as error:
            self._is_exhausted, self.source_error = True, error
        return None

    def _advance(self, begun: _Begun[R]) -> list[Job]:
        """Hand a document its answers and go on as long as the store knows what it asks for."""
        while True:
            try:
                begun.calls = tuple(self._step(begun))
            except StopIteration as stop:
                self._end(begun, stop.value)
                return []
            except FlowFailedError as error:
                self._end(begun, error)
                return []
            except Exception as error:
                error.add_note(f"in document {begun.document.id!r}")
                raise
            if jobs := self._ask(begun, begun.calls):
                return jobs

    def _step(self, begun: _Begun[R]) -> Sequence[Call]:
        """What it asks for next."""
        if begun.overflow is not None:
            fault, begun.overflow = FlowFailedError(Setback.TOO_LONG, begun.overflow), None
            begun.shortenings += 1
            if begun.shortenings > _SHORTENINGS:
                raise fault
            return begun.flow.throw(fault)
        if begun.calls is None:
            return next(begun.flow)
        begun.shortenings = 0
        return begun.flow.send([answer for answer in begun.answers if answer is not None])

    def _ask(self, begun: _Begun[R], calls: Sequence[Call]) -> list[Job]:
        """Tasks for the calls that are not in the store; none where one of those does not fit the context."""
        room, store = self._room, self._room.store
        _check_names(begun, calls)
        keys = [room.key(begun.document, call) for call in calls]
        begun.answers = [None if store is None else store.get(key) for key in keys]
        sizes = {i: room.prompt_tokens(calls[i]) for i, kept in enumerate(begun.answers) if kept is None}
        for index, size in sizes.items():
            begun.overflow = begun.overflow or room.does_not_fit(calls[index], size)
        if begun.overflow is not None:
            return []
        begun.names.update(call.name for call in calls)
        for kept in begun.answers:
            if kept is not None:
                self._made.answer(kept, stored=True)
        jobs: list[Job] = []
        for index in sizes:
            call = calls[index]
            again = f".{begun.refusals}" if begun.refusals else ""
            name = f"{begun.document.id} {call.name}{again}"
            self._asked[name] = _Asked(begun, index, keys[index])
            jobs.append((task_of(call, name, group=begun.document.id), OfCall(call, room.control_of(call))))
        return jobs

    def _end(self, begun: _Begun[R], result: R | FlowFailedError) -> None:
        del self._begun[begun.document.id]
        self._made.end(result.setback if isinstance(result, FlowFailedError) else None)
        if self._in_order is None:
            self._on_result(begun.document, result)
        else:
            self._in_order.add(begun.number, begun.document, result)
        if isinstance(result, FlowFailedError):
            self._check(f"{begun.document.id}: {result}")


def _check_names(begun: _Begun[R], calls: Sequence[Call]) -> None:
    new: set[str] = set()
    for call in calls:
        if not _CALL_NAME.fullmatch(call.name):
            raise ValueError(f"a call's name is of letters, digits, _, - and /, found {call.name!r}")
        if call.name in begun.names or call.name in new:
            raise ValueError(f"document {begun.document.id!r} names two calls {call.name!r}")
        new.add(call.name)
