"""A judge beside a run: asked in a thread of its own while completions are still drawn, and never waited for without
end. Whatever becomes of it, the run goes on; only a judge that says nothing for several steps ends it.
"""

from __future__ import annotations

import functools
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from typing import Generic, TypeVar

from lengthctl.errors import first_line
from lengthctl.evaluate.judge import JudgeStatus
from lengthctl.pipelines.judge_questions import Questions
from lengthctl.pipelines.judge_silence import SilenceWatch
from lengthctl.pipelines.judge_turns import Asker, Interrupt

__all__ = ["JudgeRoom"]

Question = TypeVar("Question")
Answer = TypeVar("Answer")

_MOST_KEPT = 100_000
"""Questions whose answers are remembered, the latest ones; one with its texts may take some kilobytes."""
_LAST_WAIT_S = 5.0
"""Seconds that the end of a run waits for a judge that is at work."""


class JudgeRoom(Generic[Question, Answer]):
    """A judge of one kind of question that can be asked ahead, as rewards call it. Answers are kept by content, so
    a question is judged once; of what failed nothing is kept, and it is asked again when it is wanted again.

    All questions that wait are taken together when the judge is free. What the judge raises costs the verdicts of that
    batch, what is not there after `patience_s` costs its own.

    Args:
        judge: answers; called from one thread only.
        kind: of the questions.
        is_concurrent: `begin` asks; else it does nothing, and everything is asked when it is wanted.
        patience_s: seconds that a call waits.
        silent_steps: training steps in a row with verdicts on less than a tenth of their questions that end the run.
        interrupt: while it is set, a call of the judge that is under way ends with an error; None: nothing can end it.
        say: told once of each cause of missing verdicts.
    """

    def __init__(
        self,
        judge: Asker,
        kind: Questions[Question, Answer],
        *,
        is_concurrent: bool = True,
        patience_s: float = 300.0,
        silent_steps: int = 5,
        interrupt: Interrupt | None = None,
        say: Callable[[str], None] = lambda line: None,
    ) -> None:
        self._judge = judge
        self._kind = kind
        self._is_concurrent = is_concurrent
        self._patience_s = patience_s
        self._silence = SilenceWatch(silent_steps)
        self._interrupt = interrupt
        self._say = say
        self._changed = threading.Condition()
        self._waiting: dict[Question, None] = {}
        self._asked: frozenset[Question] = frozenset()
        self._known: OrderedDict[Question, Answer | None] = OrderedDict()
        self._failed: set[Question] = set()
        """Asked without an answer; forgotten once that was told."""
        self._causes: set[str] = set()
        self._is_closed = False
        self._seconds = {"busy": 0.0, "waited": 0.0}
        self._thread = threading.Thread(target=self._work, daemon=True, name=f"judge of {kind.name}")
        self._thread.start()

    def begin(self, questions: Sequence[Question]) -> None:
        """Ask ahead, without waiting."""
        if self._is_concurrent:
            self._queue(questions)

    def __call__(self, questions: Sequence[Question]) -> list[Answer | None]:
        """The answer to each question; None where the judge gave none that can be read, failed, or took too long. For
        the log of silent steps each call is a step of its own.

        Raises:
            FailureBudgetError: the judge has been silent for `silent_steps` steps.
        """
        return self._answer(None, False, questions)

    def in_step(
        self, step: int | None, *, is_evaluation: bool = False
    ) -> Callable[[Sequence[Question]], list[Answer | None]]:
        """The same as a part of a training step, whose calls count as one, or in an evaluation, which does not count;
        None: a step of its own."""
        return functools.partial(self._answer, step, is_evaluation)

    def _answer(self, step: int | None, is_evaluation: bool, questions: Sequence[Question]) -> list[Answer | None]:
        if not questions:
            return []
        if is_evaluation:
            return self._wait_for(questions)
        self._silence.begin(step)
        found = self._wait_for(questions)
        self._silence.add(len(found), sum(answer is not None for answer in found))
        return found

    def _wait_for(self, questions: Sequence[Question]) -> list[Answer | None]:
        started = time.monotonic()
        self._queue(questions)
        wanted = set(questions)
        with self._changed:
            self._changed.wait_for(lambda: self._is_closed or not self._open(wanted), self._patience_s)
            late = self._open(wanted)
            for question in late:
                self._waiting.pop(question, None)
            if self._interrupt is not None and not self._asked.isdisjoint(late):
                self._interrupt.set()
            found = [self._known.get(question) for question in questions]
            self._failed -= wanted
            self._seconds["waited"] += time.monotonic() - started
        if late:
            self._tell(f"{len(late)} of {len(wanted)} verdicts are not there after {self._patience_s:g} s")
        return found

    @property
    def seconds(self) -> Mapping[str, float]:
        """Since the start: `busy`, that questions were with the judge, and `waited`, that rewards waited for it."""
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

    def _open(self, wanted: set[Question]) -> set[Question]:
        return {question for question in wanted if question not in self._known and question not in self._failed}

    def _queue(self, questions: Sequence[Question]) -> None:
        with self._changed:
            self._failed.difference_update(questions)
            new = [question for question in questions if question not in self._known and question not in self._asked]
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
                self._failed.update(question for question in batch if question not in answers)
                while len(self._known) > _MOST_KEPT:
                    self._known.popitem(last=False)
                self._changed.notify_all()
            for cause in causes:
                self._tell(cause)

    def _ask(self, batch: Sequence[Question]) -> tuple[dict[Question, Answer | None], set[str]]:
        """Answers, without the questions that a failure cost theirs, and why verdicts are missing."""
        try:
            verdicts = self._judge.judge([self._kind.item(str(i), one) for i, one in enumerate(batch)]).verdicts
        except Exception as error:  # whatever it is, the run can do without these verdicts
            return {}, {f"{type(error).__name__}: {first_line(error)}"}
        found = {question: verdicts[str(i)] for i, question in enumerate(batch)}
        answers = {
            question: self._kind.answer(verdict.scores) if verdict.status is JudgeStatus.OK else None
            for question, verdict in found.items()
            if verdict.status is not JudgeStatus.ERROR
        }
        return answers, {f"{v.status}: {v.cause}" for v in found.values() if v.status is not JudgeStatus.OK}

    def _tell(self, cause: str) -> None:
        """Once a kind of cause: numbers in it do not make another."""
        kind = "".join(c for c in cause if not c.isdigit())
        if kind not in self._causes and len(self._causes) < 20:
            self._causes.add(kind)
            self._say(f"judge: some {self._kind.things} have no verdict ({cause[:200]})")
