"""Several judges on one model: one asks at a time, and an interrupt ends its own call only."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from lengthctl.errors import EngineError
from lengthctl.evaluate.judge import Judgement
from lengthctl.pipelines.judge_turns import JudgeTurns, Turn


class FakeAsker:
    """Does what it is given, with the items."""

    def __init__(self, act: Callable[[Sequence[Any]], None]) -> None:
        self._act = act

    def judge(self, items: Sequence[Any], tick: Callable[[int], None] | None = None) -> Judgement:
        """No verdicts."""
        self._act(items)
        return Judgement({}, len(items), 0)


class Call(threading.Thread):
    """A call of a turn in a thread of its own."""

    def __init__(self, turn: Turn) -> None:
        super().__init__(daemon=True)
        self._turn = turn
        self.error: BaseException | None = None
        self.start()

    def run(self) -> None:
        try:
            self._turn.judge(["one"])
        except Exception as error:
            self.error = error

    def ended(self) -> bool:
        self.join(5)
        return not self.is_alive()


def test_one_asks_at_a_time() -> None:
    at_work, most, guard = 0, 0, threading.Lock()
    both = threading.Barrier(2)

    def act(items: Sequence[Any]) -> None:
        nonlocal at_work, most
        with guard:
            at_work += 1
            most = max(most, at_work)
        threading.Event().wait(0.002)
        with guard:
            at_work -= 1

    turns = JudgeTurns()

    def many(turn: Turn) -> None:
        both.wait(5)
        for _ in range(10):
            assert turn.judge(["one", "two"]).asked == 2

    threads = [threading.Thread(target=many, args=(turns.turn(FakeAsker(act)),)) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(5)
    assert most == 1


def held(turns: JudgeTurns) -> tuple[Turn, Call, threading.Event]:
    """A turn that is at work until the event, or `cancelled`, is set."""
    started, go = threading.Event(), threading.Event()

    def act(items: Sequence[Any]) -> None:
        started.set()
        while not go.wait(0.001):
            if turns.cancelled is not None and turns.cancelled.is_set():
                raise EngineError("cancelled")

    turn = turns.turn(FakeAsker(act))
    call = Call(turn)
    assert started.wait(5)
    return turn, call, go


def test_who_waits_is_interrupted_alone() -> None:
    turns = JudgeTurns(threading.Event())
    _, busy, go = held(turns)
    waiting = turns.turn(FakeAsker(lambda items: None))
    call = Call(waiting)
    waiting.set()
    assert call.ended()
    assert isinstance(call.error, EngineError)
    assert busy.is_alive()
    go.set()
    assert busy.ended()
    assert busy.error is None
    waiting.clear()
    assert waiting.judge(["one"]).asked == 1


def test_who_is_at_work_is_interrupted_and_the_next_one_is_not() -> None:
    cancelled = threading.Event()
    turns = JudgeTurns(cancelled)
    turn, busy, _ = held(turns)
    seen: list[bool] = []
    other = Call(turns.turn(FakeAsker(lambda items: seen.append(cancelled.is_set()))))
    turn.set()
    assert busy.ended()
    assert str(busy.error) == "cancelled"
    assert other.ended()
    assert other.error is None
    assert seen == [False]


def test_an_interrupt_holds_until_it_is_cleared() -> None:
    turn = JudgeTurns().turn(FakeAsker(lambda items: None))
    turn.set()
    with pytest.raises(EngineError, match="nobody waits"):
        turn.judge(["one"])
    turn.clear()
    assert turn.judge(["one"]).asked == 1


def test_a_failure_gives_the_turn_back() -> None:
    turns = JudgeTurns()
    with pytest.raises(ZeroDivisionError):
        turns.turn(FakeAsker(lambda items: divmod(1, 0) and None)).judge(["one"])
    assert turns.turn(FakeAsker(lambda items: None)).judge(["one"]).asked == 1
