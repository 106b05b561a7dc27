"""Requests carried out by a bounded number of threads, while further ones come in."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from queue import SimpleQueue
from typing import Generic, TypeVar

from lengthctl.rollout.backend import Request

__all__ = ["Workers"]

T = TypeVar("T")


class Workers(Generic[T]):
    """Threads are started as requests come, and end at `close` or with the interpreter, which waits for none.

    Args:
        complete: carries one request out; the event is set when nobody wants the answer any more.
        most: threads at once.
    """

    def __init__(self, complete: Callable[[Request, threading.Event], T], most: int) -> None:
        self.order: list[str] = []
        """Ids of all requests, as they came."""
        self._complete = complete
        self._most = most
        self._started = 0
        self._todo: SimpleQueue[Request | None] = SimpleQueue()
        self._answers: SimpleQueue[T | BaseException] = SimpleQueue()
        self._over = threading.Event()

    def add(self, requests: Iterable[Request]) -> None:
        """Further requests, which wait for the next free thread."""
        for request in requests:
            self.order.append(request.id)
            self._todo.put(request)
            if self._started < self._most:
                self._started += 1
                # a daemon, not of a pool: the interpreter does not wait for it when it is interrupted
                threading.Thread(target=self._work, daemon=True).start()

    def next_answer(self) -> T:
        """Waits for it; what `complete` raised is raised here."""
        answer = self._answers.get()
        if isinstance(answer, BaseException):
            raise answer
        return answer

    def arrived(self) -> Iterator[T]:
        """Answers that are there already, without waiting; what was raised is left out."""
        while not self._answers.empty():
            answer = self._answers.get()
            if not isinstance(answer, BaseException):
                yield answer

    def close(self) -> None:
        """Waiting requests are dropped, and threads end with the request that they are at; safe to call twice."""
        self._over.set()
        for _ in range(self._started):
            self._todo.put(None)

    def _work(self) -> None:
        while (request := self._todo.get()) is not None and not self._over.is_set():
            try:
                self._answers.put(self._complete(request, self._over))
            except BaseException as error:  # the caller raises it: a thread that dies alone would be waited for
                self._answers.put(error)
                return
