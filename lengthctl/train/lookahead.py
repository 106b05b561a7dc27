"""The batch after the one under way, so that its completions can be drawn while this one is learned from."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Iterator
from typing import Any, Generic, TypeVar

__all__ = ["Errand", "Lookahead"]

T = TypeVar("T")


class Lookahead:
    """Takes batches from an epoch's iterator one ahead of their use; an epoch begins with none ahead."""

    def __init__(self) -> None:
        self._iterator: Iterator[Any] | None = None
        self._held: list[Any] = []

    @property
    def batch(self) -> Any | None:
        """What comes next; None at the end of an epoch."""
        return self._held[0] if self._held else None

    def chained(self, iterator: Iterator[Any]) -> Iterator[Any]:
        """The iterator with what was taken from it put back in front."""
        if iterator is not self._iterator:  # an epoch began
            self._iterator, self._held = iterator, []
        return itertools.chain(self._held, iterator)

    def fetch(self, iterator: Iterator[Any]) -> None:
        """Take one more, after those in front were used."""
        self._held = list(itertools.islice(iterator, 1))


class Errand(Generic[T]):
    """A call under way in a thread of its own, which dies with the process."""

    def __init__(self, call: Callable[[], T]) -> None:
        self._call = call
        self._result: list[T] = []
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            self._result.append(self._call())
        except BaseException as error:  # raised in the thread that waits
            self._error = error

    def wait(self) -> T:
        """The result, once it is there; what the call raised is raised here, each time."""
        self._thread.join()
        if self._error is not None:
            raise self._error
        return self._result[0]
