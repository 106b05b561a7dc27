"""One model for several judges: what they ask takes turns, each from a thread of its own."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Any, Protocol

from lengthctl.errors import EngineError
from lengthctl.evaluate.judge import Judgement

__all__ = ["Asker", "Interrupt", "JudgeTurns", "Turn"]


class Asker(Protocol):
    """What `evaluate.judge.Judge` does."""

    def judge(self, items: Sequence[Any], tick: Callable[[int], None] | None = None) -> Judgement: ...


class Interrupt(Protocol):
    """While it is set, a call that is under way ends with an error; a `threading.Event` is one."""

    def set(self) -> None: ...

    def clear(self) -> None: ...


class JudgeTurns:
    """Lets one judge at a time ask: a pool is not to be called from two threads, nor is a cache of verdicts to be
    written by two.

    Args:
        cancelled: while it is set, the call of the model that is under way ends with an error; None: nothing can.
    """

    def __init__(self, cancelled: threading.Event | None = None) -> None:
        self.changed = threading.Condition()
        self.holder: Turn | None = None
        self.cancelled = cancelled

    def turn(self, judge: Asker) -> Turn:
        """The same judge, which waits for its turn."""
        return Turn(self, judge)


class Turn:
    """A judge among others, with an `Interrupt` of its own: `set` ends its call, or its wait for the turn, and leaves
    the others alone."""

    def __init__(self, turns: JudgeTurns, judge: Asker) -> None:
        self._turns = turns
        self._judge = judge
        self._is_withdrawn = False

    def judge(self, items: Sequence[Any], tick: Callable[[int], None] | None = None) -> Judgement:
        """See `Judge.judge`.

        Raises:
            EngineError: interrupted while it waited.
        """
        self._take()
        try:
            return self._judge.judge(items, tick)
        finally:
            self._leave()

    def set(self) -> None:
        """Interrupt, until `clear`."""
        turns = self._turns
        with turns.changed:
            self._is_withdrawn = True
            if turns.holder is self and turns.cancelled is not None:
                turns.cancelled.set()
            turns.changed.notify_all()

    def clear(self) -> None:
        """Ask again."""
        with self._turns.changed:
            self._is_withdrawn = False

    def _take(self) -> None:
        turns = self._turns
        with turns.changed:
            turns.changed.wait_for(lambda: turns.holder is None or self._is_withdrawn)
            if self._is_withdrawn:
                raise EngineError("the judge had other questions first, and nobody waits for these any more")
            turns.holder = self

    def _leave(self) -> None:
        turns = self._turns
        with turns.changed:
            turns.holder = None
            if turns.cancelled is not None:  # it was meant for this call alone
                turns.cancelled.clear()
            turns.changed.notify_all()
