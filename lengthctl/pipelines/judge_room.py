"""A judge of pairs beside a run: asked in a thread of its own while completions are still drawn, and never waited for
without end. Whatever becomes of it, the run goes on; only a judge that says nothing for several steps ends it.
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from lengthctl.errors import FailureBudgetError, first_line
from lengthctl.evaluate.judge import Judgement, JudgeStatus, Verdict
from lengthctl.evaluate.judge_items import PairItem
from lengthctl.judging_pairs import Pair, PairScores

__all__ = ["JudgeRoom", "PairAsker"]

_MOST_KEPT = 100_000
"""Pairs whose scores are remembered, the latest ones; a pair with its texts may take some kilobytes."""
_LAST_WAIT_S = 5.0
"""Seconds that the end of a run waits for a judge that is at work."""
_ENOUGH = 0.1
"""Share of the questions of a call with a verdict, below which the judge counts as silent. Ours."""


class PairAsker(Protocol):
    """What `evaluate.judge.Judge` does for pairs."""

    def judge(self, items: Sequence[PairItem], tick: Callable[[int], None] | None = None) -> Judgement: ...


class JudgeRoom:
    """A `PairJudge` that can be asked ahead. Scores are kept by content, so a pair is judged once; of what failed
    nothing is kept, and it is asked again when it is wanted again.

    All questions that wait are taken together when the judge is free. What the judge raises costs the verdicts of that
    batch, what is not there after `patience_s` costs its own.

    Args:
        judge: answers; called from one thread only.
        is_concurrent: `begin` asks; else it does nothing, and everything is asked when it is wanted.
        patience_s: seconds that a call waits.
        silent_steps: calls in a row with verdicts on less than a tenth of their questions that end the run.
        interrupt: while it is set, a call of the judge that is under way ends with an error; None: nothing can end it.
        say: told once of each cause of missing verdicts.
    """

    def __init__(
        self,
        judge: PairAsker,
        *,
        is_concurrent: bool = True,
        patience_s: float = 300.0,
        silent_steps: int = 5,
        interrupt: threading.Event | None = None,
        say: Callable[[str], None] = lambda line: None,
    ) -> None:
        self._judge = judge
        self._is_concurrent = is_concurrent
        self._patience_s = patience_s
        self._silent_steps = silent_steps
        self._interrupt = interrupt
        self._say = say
        self._changed = threading.Condition()
        self._waiting: dict[Pair, None] = {}
        self._asked: frozenset[Pair] = frozenset()
        self._known: OrderedDict[Pair, PairScores | None] = OrderedDict()
        self._failed: set[Pair] = set()
        """Asked without an answer; forgotten once that was told."""
        self._causes: set[str] = set()
        self._silent = 0
        self._is_closed = False
        self._seconds = {"busy": 0.0, "waited": 0.0}
        self._thread = threading.Thread(target=self._work, daemon=True, name="judge")
        self._thread.start()

    def begin(self, pairs: Sequence[Pair]) -> None:
        """Ask ahead, without waiting."""
        if self._is_concurrent:
            self._queue(pairs)

    def __call__(self, pairs: Sequence[Pair]) -> list[PairScores | None]:
        """Scores of each pair; None where the judge gave none that can be read, failed, or took too long.

        Raises:
            FailureBudgetError: the judge has been silent for `silent_steps` calls.
        """
        if not pairs:
            return []
        started = time.monotonic()
        self._queue(pairs)
        wanted = set(pairs)
        with self._changed:
            self._changed.wait_for(lambda: self._is_closed or not self._open(wanted), self._patience_s)
            late = self._open(wanted)
            for pair in late:
                self._waiting.pop(pair, None)
            if self._interrupt is not None and not self._asked.isdisjoint(late):
                self._interrupt.set()
            found = [self._known.get(pair) for pair in pairs]
            self._failed -= wanted
            self._seconds["waited"] += time.monotonic() - started
        if late:
            self._tell(f"{len(late)} of {len(wanted)} verdicts are not there after {self._patience_s:g} s")
        self._count(found)
        return found

    @property
    def seconds(self) -> Mapping[str, float]:
        """Since the start: `busy`, that the judge worked, and `waited`, that rewards waited for it."""
        return dict(self._seconds)

    def close(self) -> None:
        """Drop what waits and end what is asked; the thread is waited for, but not for long."""
        with self._changed:
            self._is_closed = True
            self._waiting.clear()
            if self._interrupt is not None and self._asked:
                self._interrupt.set()
            self._changed.notify_all()
        self._thread.join(_LAST_WAIT_S)

    def _open(self, wanted: set[Pair]) -> set[Pair]:
        return {pair for pair in wanted if pair not in self._known and pair not in self._failed}

    def _queue(self, pairs: Sequence[Pair]) -> None:
        with self._changed:
            self._failed.difference_update(pairs)
            new = [pair for pair in pairs if pair not in self._known and pair not in self._asked]
            self._waiting.update(dict.fromkeys(new))
            self._changed.notify_all()

    def _work(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._waiting or self._is_closed)
                if self._is_closed:
                    return
                batch = list(self._waiting)
                self._waiting.clear()
                self._asked = frozenset(batch)
                if self._interrupt is not None:
                    self._interrupt.clear()
            started = time.monotonic()
            answers, causes = self._ask(batch)
            with self._changed:
                self._seconds["busy"] += time.monotonic() - started
                self._asked = frozenset()
                self._known.update(answers)
                self._failed.update(pair for pair in batch if pair not in answers)
                while len(self._known) > _MOST_KEPT:
                    self._known.popitem(last=False)
                self._changed.notify_all()
            for cause in causes:
                self._tell(cause)

    def _ask(self, batch: Sequence[Pair]) -> tuple[dict[Pair, PairScores | None], set[str]]:
        """Answers, without the pairs that a failure cost theirs, and why verdicts are missing."""
        try:
            verdicts = self._judge.judge([PairItem(str(i), pair) for i, pair in enumerate(batch)]).verdicts
        except Exception as error:  # whatever it is, the run can do without these verdicts
            return {}, {f"{type(error).__name__}: {first_line(error)}"}
        found = {pair: verdicts[str(i)] for i, pair in enumerate(batch)}
        answers = {pair: _scores(v) for pair, v in found.items() if v.status is not JudgeStatus.ERROR}
        return answers, {f"{v.status}: {v.cause}" for v in found.values() if v.status is not JudgeStatus.OK}

    def _tell(self, cause: str) -> None:
        """Once a kind of cause: numbers in it do not make another."""
        kind = "".join(c for c in cause if not c.isdigit())
        if kind not in self._causes and len(self._causes) < 20:
            self._causes.add(kind)
            self._say(f"judge: some comparisons have no verdict ({cause[:200]})")

    def _count(self, found: Sequence[Any]) -> None:
        heard = sum(scores is not None for scores in found)
        self._silent = 0 if heard >= _ENOUGH * len(found) else self._silent + 1
        if self._silent >= self._silent_steps:
            raise FailureBudgetError(
                f"the judge gave {heard} verdicts on {len(found)} questions, and as few in each of the last "
                f"{self._silent} calls",
                "Check the judge with scripts/judge_accuracy.py, or raise judge.silent_steps or judge.patience_s",
            )


def _scores(verdict: Verdict) -> PairScores | None:
    return PairScores(verdict.scores["a"], verdict.scores["b"]) if verdict.status is JudgeStatus.OK else None
