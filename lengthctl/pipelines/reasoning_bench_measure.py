"""Sides of a bench measured: each answers all problems with each seed, once, in a journal of its own."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lengthctl.decode.control import Control, Task
from lengthctl.evaluate.attempts import Attempt
from lengthctl.evaluate.cost import Drawn
from lengthctl.models import LoadedTokenizer, load_tokenizer
from lengthctl.pipelines.drawing import conversation_tokens
from lengthctl.pipelines.evaluation import seeded, send_adapter
from lengthctl.pipelines.journal import digest, source_identity
from lengthctl.pipelines.length_history import predictor_of
from lengthctl.pipelines.problem_bench import Answered, answer_problems, problem_tasks, read_answers
from lengthctl.pipelines.reasoning_bench_plan import Side, file_name
from lengthctl.pipelines.sampling import completion_limit
from lengthctl.problem_sources import Problem
from lengthctl.records import read_records
from lengthctl.rollout.backend import Backend
from lengthctl.rollout.pool import RolloutPool
from lengthctl.rundir import write_json

if TYPE_CHECKING:
    from lengthctl.config import Config
    from lengthctl.progress import Narrator

__all__ = ["Measured", "OpenSource", "Opened", "measure_side", "opened_source", "read_side"]

Opened = tuple[Backend, LoadedTokenizer | None]
OpenSource = Callable[["Config", Sequence[Task], Sequence[Control], "Narrator"], AbstractContextManager[Opened]]
"""Opens the backend of a model for these tasks under these controls."""


@dataclass(frozen=True)
class Measured:
    """A side's answers with one seed."""

    answers: list[Answered]
    drawn: list[Drawn]
    """Tokens sampled for each, discarded ones included; a hit is a correct answer."""
    seconds: float
    """Wall-clock time of the sittings that were not killed."""
    timed: int
    """Completions that came in that time."""


@contextmanager
def opened_source(
    config: Config, tasks: Sequence[Task], controls: Sequence[Control], narrator: Narrator
) -> Iterator[Opened]:
    """The backend that a config names, released behind the block."""
    from lengthctl.rollout.cluster import disconnect
    from lengthctl.rollout.open import open_backend

    tokenizer, context = None, 0
    if config.rollout.backend == "vllm":
        tokenizer = load_tokenizer(config.model)
        context = conversation_tokens(config.model, tokenizer, tasks, completion_limit(config), controls)
    try:
        predictor = predictor_of(config, by_group=True)
        backend = open_backend(config, tokenizer, context_tokens=context, say=narrator.say, predictor=predictor)
        try:
            if config.model.adapter is not None and isinstance(backend, RolloutPool):
                send_adapter(config, backend)
            yield backend, tokenizer
        finally:
            backend.close()
    finally:
        disconnect()


def measure_side(
    side: Side, config: Config, problems: Sequence[Problem], folder: Path, opened: Opened, narrator: Narrator
) -> Measured:
    """Answer every problem; what the journal in `folder` holds is not drawn again.

    Raises:
        ConfigError: the backend cannot carry out the control.
        DataError: every completion failed.
        RunFolderError: the journal is of other settings.
    """
    backend, tokenizer = opened
    config, journal, file = seeded(config), _journal(side, folder), _timing(side, folder)
    before, kept = _rows(journal), _kept(file)
    started = time.monotonic()
    try:
        answer_problems(
            config, backend, tokenizer, problems, side.control, side.spec, narrator, asks=[side.ask], journal=journal
        )
    finally:
        spent = time.monotonic() - started
        new = _rows(journal) - before
        timing = {"seconds": kept["seconds"] + spent, "timed": kept["timed"] + new} if new else kept
        write_json(file, {**timing, "key": _key(side, config, problems)})
    return _measured(side, config, problems, folder)


def read_side(side: Side, config: Config, problems: Sequence[Problem], folder: Path) -> Measured | None:
    """What was measured with these settings; None where something is still owed, or was measured with others."""
    config = seeded(config)
    kept, journal = _kept(_timing(side, folder)), _journal(side, folder)
    wanted = len(problem_tasks(config, problems, [side.ask], samples=config.evaluate.samples))
    if kept["key"] != _key(side, config, problems) or _rows(journal) < wanted:
        return None
    return _measured(side, config, problems, folder)


def _measured(side: Side, config: Config, problems: Sequence[Problem], folder: Path) -> Measured:
    journal, kept = _journal(side, folder), _kept(_timing(side, folder))
    drawn = []
    for _, row in read_records(journal):
        attempt = Attempt.parse(row)
        drawn.append(Drawn(attempt.problem_id, int(row["drawn_tokens"]), is_fm=False, is_hit=attempt.is_correct))
    return Measured(read_answers(config, problems, [side.ask], journal), drawn, kept["seconds"], kept["timed"])


def _journal(side: Side, folder: Path) -> Path:
    return folder / f"{file_name(side.name)}.jsonl"


def _timing(side: Side, folder: Path) -> Path:
    return folder / f"{file_name(side.name)}.json"


def _rows(journal: Path) -> int:
    """Whole lines."""
    return journal.read_bytes().count(b"\n") if journal.is_file() else 0


def _kept(file: Path) -> dict[str, Any]:
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
        return {"key": str(found["key"]), "seconds": float(found["seconds"]), "timed": int(found["timed"])}
    except (OSError, ValueError, KeyError, TypeError):  # not there, or torn: only times are lost
        return {"key": "", "seconds": 0.0, "timed": 0}


def _key(side: Side, config: Config, problems: Sequence[Problem]) -> str:
    target = None if side.target is None else side.target.to_row()
    asked = [[problem.id, problem.question, problem.answer] for problem in problems]
    settings = [config.evaluate.model_dump(mode="json"), config.run.seed, config.model.system_prompt]
    return digest(source_identity(config), settings, repr(side.control), target, asked)
