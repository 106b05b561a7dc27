"""Narration and live view, all on stderr: a rich line on a terminal, plain lines elsewhere."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Protocol

from lengthctl.rundir import write_json

__all__ = ["Bar", "Narrator"]

_PLAIN_SECONDS = 10.0
"""Plain output tells at most one line in this time, and the last."""


class Bar(Protocol):
    """One stage's progress."""

    def update(self, done: int, total: int | None = None, **facts: float | None) -> None:
        """Show `done` of the total, and the numbers that matter here; `total` where it was not known before."""
        ...


class Narrator:
    """Tells what happens; `stages` holds the seconds spent in each stage.

    Args:
        kept: a file that holds the stages of an interrupted run's earlier sittings, and takes this one's. What a
            process spent in a stage that it was killed in (not: interrupted) is missing there.
        quiet: says nothing, for all trainer processes but the first.
    """

    def __init__(self, kept: Path | None = None, *, quiet: bool = False) -> None:
        self._kept = kept
        self._quiet = quiet
        self.stages: dict[str, float] = {}
        if kept is not None and kept.is_file():
            with suppress(ValueError, TypeError, AttributeError):  # torn: only times are lost
                found = json.loads(kept.read_text(encoding="utf-8"))
                self.stages = {name: float(spent) for name, spent in found.items()}
        self._live = sys.stderr.isatty() and not os.environ.get("CI") and not quiet

    def say(self, line: str) -> None:
        """One line."""
        if self._quiet:
            return
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
            if self._kept is not None:
                write_json(self._kept, self.stages)

    @contextmanager
    def bar(self, total: int, description: str) -> Iterator[Bar]:
        """A progress line for `total` items; 0: nobody knows how many there are."""
        if not self._live:
            yield _PlainBar(self, total, description)
            return
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        with Progress(*columns, TextColumn("{task.fields[facts]}"), console=Console(stderr=True)) as progress:
            task = progress.add_task(description, total=total or None, facts="")

            class Live:
                def update(self, done: int, total: int | None = None, **facts: float | None) -> None:
                    progress.update(task, completed=done, total=total, facts=_facts(facts))

            yield Live()


class _PlainBar:
    def __init__(self, narrator: Narrator, total: int, description: str) -> None:
        self._narrator, self._total, self._description = narrator, total, description
        self._told = 0.0
        self._started = time.monotonic()
        self._first: int | None = None

    def update(self, done: int, total: int | None = None, **facts: float | None) -> None:
        now = time.monotonic()
        self._total = total or self._total
        if self._first is None:  # a resumed stage begins above 0
            self._first = done - 1
        if (done < self._total or not self._total) and now - self._told < _PLAIN_SECONDS:
            return
        self._told = now
        if not self._total:
            self._narrator.say(f"{self._description} {done}  {_facts(facts)}".rstrip())
            return
        left = (now - self._started) / max(1, done - self._first) * (self._total - done) / 60
        self._narrator.say(f"{self._description} {done}/{self._total}  {_facts({**facts, 'minutes_left': left})}")


def _facts(facts: dict[str, float | None]) -> str:
    return "  ".join(f"{name} {value:.3g}" for name, value in facts.items() if value is not None)
