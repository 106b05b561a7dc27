"""Stages of Self-Lengthen: each asks a model for many documents and leaves one file, by which it is known as done."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol, TypeVar

from lengthctl.decode.flow import FlowFailedError
from lengthctl.pipelines.document_room import Document, Room, run_documents
from lengthctl.records import read_records
from lengthctl.rundir import write_atomic, write_json

__all__ = ["Engines", "Models", "Stage", "call_totals", "kept_rows"]

R = TypeVar("R")

_REPORT = ".report.json"


class Models(Protocol):
    """Where answers and trained models come from."""

    def opened(self, model: str, folder: Path) -> AbstractContextManager[Room]:
        """Engines for a model, which are gone behind the block; `folder` keeps their answers."""
        ...

    def trained(self, model: str, data: Path, folder: Path) -> str:
        """A model tuned on the rows of a file, in a run folder; an interrupted run goes on, a finished one is taken as
        it is. The new model's name or folder."""
        ...


class Engines:
    """At most one model's engines at a time, started when they are first needed."""

    def __init__(self, models: Models) -> None:
        self._models = models
        self._open: tuple[tuple[str, Path], Room] | None = None
        self._stack = ExitStack()

    def room(self, model: str, folder: Path) -> Room:
        """Engines of this model, after those of another are closed."""
        wanted = (model, folder)
        if self._open is None or self._open[0] != wanted:
            self.close()
            self._open = (wanted, self._stack.enter_context(self._models.opened(model, folder)))
        return self._open[1]

    def close(self) -> None:
        """Training has the machine to itself; safe to call twice."""
        self._open = None
        self._stack.close()


@dataclass(frozen=True)
class Stage:
    """One file of one round."""

    engines: Engines
    model: str
    folder: Path
    """Of the round; its `steps.jsonl` keeps the answers of a stage that was interrupted."""

    def made(
        self,
        name: str,
        documents: Callable[[], Iterable[Document[R]]],
        row_of: Callable[[R], Mapping[str, Any]],
    ) -> list[dict[str, Any]]:
        """Rows of `NAME.jsonl`, in the order of the documents: an `id`, and either what `row_of` makes of a result or a
        `setback`. Read from the file where that is there.

        Raises:
            FailureBudgetError: the backend failed too many of the documents; they are asked for again next time.
        """
        path = self.folder / f"{name}.jsonl"
        if path.is_file():
            return [row for _, row in read_records(path)]
        rows = self.asked(documents(), row_of, name)
        kept_rows(path, rows)
        return rows

    def asked(
        self, documents: Iterable[Document[R]], row_of: Callable[[R], Mapping[str, Any]], name: str
    ) -> list[dict[str, Any]]:
        """The same without the file; what it took is told in `NAME.report.json`."""
        rows: list[dict[str, Any]] = []
        room = self.engines.room(self.model, self.folder)

        def keep(document: Document[R], result: R | FlowFailedError) -> None:
            if isinstance(result, FlowFailedError):
                rows.append({"id": document.id, "setback": str(result.setback), "detail": result.detail})
            else:
                rows.append({"id": document.id, **row_of(result)})

        # that most texts of a small model fail the check is no reason to stop; that the backend fails is
        free = replace(room, setback_budget=1.0)
        report = run_documents(documents, free, on_result=keep, ordered=True, title=name)
        write_json(self.folder / f"{name}{_REPORT}", {**report.to_row(), "totals": report.totals()})
        return rows


def kept_rows(path: Path, rows: Iterable[Mapping[str, Any]]) -> None:
    """A finished stage's file, put in place whole."""
    write_atomic(path, "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))


def call_totals(out: Path) -> dict[str, int]:
    """Calls and tokens of all stages of all rounds in a folder."""
    total: dict[str, int] = {}
    for path in sorted(out.glob(f"*/*{_REPORT}")):
        for key, number in json.loads(path.read_text(encoding="utf-8"))["totals"].items():
            total[key] = total.get(key, 0) + number
    return total
