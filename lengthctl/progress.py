"""Narration and live view, all on stderr: a rich line on a terminal, plain lines elsewhere."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

__all__ = ["Bar", "Narrator"]

_PLAIN_SECONDS = 10.0
"""Plain output tells at most one line in this time, and the last."""


class Bar(Protocol):
    """One stage's progress."""

    def update(self, done: int, **facts: float | None) -> None:
        """Show `done` of the total, and the numbers that matter here."""
        ...


class Narrator:
    """Tells what happens; `stages` holds the seconds spent in each stage."""

    def __init__(self) -> None:
        self.stages: dict[str, float] = {}
        self._live = sys.stderr.isatty() and not os.environ.get("CI")

    def say(self, line: str) -> None:
        """One line."""
        sys.stderr.write(line + "\n")
        sys.stderr.flush()

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Time a stage; a stage entered twice adds up."""
        self.say(f"{name} ...")
        started = time.monotonic()
        try:
            yield
        finally:
            self.stages[name] = self.stages.get(name, 0.0) + time.monotonic() - started

    @contextmanager
    def bar(self, total: int, description: str) -> Iterator[Bar]:
        """A progress line for `total` items."""
        if not self._live:
            yield _PlainBar(self, total, description)
            return
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        with Progress(*columns, TextColumn("{task.fields[facts]}"), console=Console(stderr=True)) as progress:
            task = progress.add_task(description, total=total, facts="")

            class Live:
                def update(self, done: int, **facts: float | None) -> None:
                    progress.update(task, completed=done, facts=_facts(facts))

            yield Live()


class _PlainBar:
    def __init__(self, narrator: Narrator, total: int, description: str) -> None:
        self._narrator, self._total, self._description = narrator, total, description
        self._told = 0.0

    def update(self, done: int, **facts: float | None) -> None:
        now = time.monotonic()
        if done < self._total and now - self._told < _PLAIN_SECONDS:
            return
        self._told = now
        self._narrator.say(f"{self._description} {done}/{self._total} {_facts(facts)}".rstrip())


def _facts(facts: dict[str, float | None]) -> str:
    return "  ".join(f"{name} {value:.3g}" for name, value in facts.items() if value is not None)
