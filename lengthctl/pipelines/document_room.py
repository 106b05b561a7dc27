"""Documents that are made by several calls each, many at a time over one backend, every answer kept.

The calls of a document follow each other, those of different documents share the backend. An answer is on disk before
its document sees it, so a command that is killed and started again repeats no finished call.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sized
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeVar

from lengthctl.decode.control import Context
from lengthctl.decode.flow import FlowFailedError, Setback
from lengthctl.decode.run import run_controls
from lengthctl.errors import FailureBudgetError
from lengthctl.pipelines.document_work import DocumentWork
from lengthctl.pipelines.room import Document, Room
from lengthctl.pipelines.room_report import RoomReport, Tally
from lengthctl.rollout.backend import allowed_failures

if TYPE_CHECKING:
    from lengthctl.progress import Bar

__all__ = ["Document", "Room", "RoomReport", "run_documents"]

R = TypeVar("R")

_ENOUGH = 20
"""Documents that the budget is a share of until so many have ended: of the first few it would say little. Once all have
ended it is a share of those."""


def run_documents(
    documents: Iterable[Document[R]],
    room: Room,
    *,
    on_result: Callable[[Document[R], R | FlowFailedError], None],
    ordered: bool = False,
    title: str = "documents",
    total: int | None = None,
) -> RoomReport:
    """Make every document; `on_result` sees each result, or why there is none, as soon as it ends.

    A flow is sent an `Answer` with finish ERROR for a call that the backend failed. Where a conversation does not fit
    the model's context, `FlowFailedError` (TOO_LONG) is raised at its `yield`; a flow that catches it may ask for
    something shorter.

    Args:
        documents: read as room for them comes, never all at once.
        room: see there.
        on_result: told in this thread.
        ordered: results are told in the order of the documents, whatever order they end in; so the same documents
            give the same file, interrupted or not.
        title: of the progress line.
        total: how many documents there are; None: their `len`, where they have one.

    Raises:
        FailureBudgetError: too many documents came to nothing; results before were told, and answers are kept.
        DataError: two documents under way have the same id.
        ValueError: a flow names a call wrongly, or twice.
        EngineError, EndpointError: the backend is gone.
        Exception: whatever reading the documents raised, once those that were begun have ended.
    """
    if total is None and isinstance(documents, Sized):
        total = len(documents)
    made = Tally(room.in_flight, room.prices)
    last = ""

    def check(failure: str) -> None:
        nonlocal last
        last = failure
        _check_budget(made, room, max(made.ended, room.in_flight, _ENOUGH), last)

    with _bar(room, total, title) as bar:
        work = DocumentWork(iter(documents), room, on_result, made, bar, ordered=ordered, check=check)
        context = Context(room.sampling, room.tokenizer)
        try:
            while jobs := work.next_jobs():
                run_controls(room.backend, jobs, context, seed=room.seed, on_outcome=work.take)
        finally:
            work.close()
        if bar is not None and made.ended:
            bar.update(made.ended, made.ended, **made.facts())
    if work.source_error is not None:
        raise work.source_error
    _check_budget(made, room, made.ended, last)
    return made.report()


@contextmanager
def _bar(room: Room, total: int | None, title: str) -> Iterator[Bar | None]:
    if room.narrator is None:
        yield None
        return
    with room.narrator.bar(total or 0, title) as bar:
        yield bar


def _check_budget(made: Tally, room: Room, documents: int, last: str) -> None:
    by_backend = made.setbacks[Setback.BACKEND]
    counts = [(made.failed, room.failure_budget)]
    if room.setback_budget is not None:
        counts = [(by_backend, room.failure_budget), (made.failed - by_backend, room.setback_budget)]
    for failed, budget in counts:
        if failed > allowed_failures(budget, documents):
            by_cause = ", ".join(f"{setback} {count}" for setback, count in made.setbacks.most_common())
            raise FailureBudgetError(
                f"{made.failed} of {made.ended} documents came to nothing ({by_cause}), more than a failure budget of "
                f"{budget:g} allows; the last: {last}",
                "Mend the cause or raise the budget, and run it again: finished calls are kept",
            )
