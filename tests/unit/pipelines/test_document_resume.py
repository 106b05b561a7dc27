"""Documents whose command was killed, interrupted or set otherwise: what is made again, and what is not."""

from __future__ import annotations

import json
import multiprocessing
import os
import random
import signal
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from echo_room import Echo, made, one_at_a_time, room, single, stories

from lengthctl.pipelines.document_room import Document, run_documents
from lengthctl.pipelines.step_store import StepStore
from lengthctl.records import Completion
from lengthctl.rollout.backend import Request, Sampling


def test_finished_calls_are_never_made_again(tmp_path: Path) -> None:
    first, again = Echo(), Echo()
    with StepStore(tmp_path / "steps.jsonl") as store:
        results, report = made(stories(10), room(first, store=store))
    with StepStore(tmp_path / "steps.jsonl") as store:
        repeated, second = made(stories(10), room(again, store=store))
    assert repeated == results == one_at_a_time(10)
    assert again.asked == []
    assert (second.calls_made, second.calls_stored) == (0, report.calls_made)
    assert second.totals() == report.totals() == {"calls": 43, "prompt_tokens": 0, "completion_tokens": 5 * 43}


@pytest.mark.parametrize(
    "change",
    [
        {"seed": 4},
        {"source": ["fake", 2]},
        {"sampling": Sampling(temperature=0.6)},
        {"sampling": Sampling(temperature=0.5, top_k=3)},
    ],
    ids=["seed", "model", "temperature", "top_k"],
)
def test_other_settings_use_no_answer_of_these(tmp_path: Path, change: dict[str, Any]) -> None:
    with StepStore(tmp_path / "steps.jsonl") as store:
        made(stories(2), room(Echo(), store=store))
        other = Echo()
        made(stories(2), replace(room(other, store=store), **change))
    assert len(other.asked) == 7


def test_key_parts_belong_to_the_key(tmp_path: Path) -> None:
    with StepStore(tmp_path / "steps.jsonl") as store:
        asked = []
        for parts in ((), (1,), (1,)):
            backend = Echo()
            made([Document("d", lambda: single(), parts)], room(backend, store=store))
            asked.append(len(backend.asked))
    assert asked == [1, 1, 0]


class Paid(Echo):
    """Writes down each call before it is answered, and takes a moment for it."""

    def __init__(self, log: Path, **options: Any) -> None:
        super().__init__(**options)
        self._log = log

    def _answer(self, request: Request) -> Completion:
        with self._log.open("a") as file:
            file.write(request.id + "\n")
        time.sleep(0.0005)
        return super()._answer(request)


def write_stories(folder: Path, seed: int) -> None:
    """What a command does: results in order into a file that is replaced at the end."""
    drawn = random.Random(seed)
    rows: list[str] = []
    with StepStore(folder / "steps.jsonl") as store:
        backend = Paid(folder / "paid.log", pick=drawn.randrange)
        run_documents(
            stories(40),
            room(backend, store=store),
            on_result=lambda d, r: rows.append(f"{d.id}\t{r!r}\n"),
            ordered=True,
        )
    (folder / "rows.part").write_text("".join(rows))
    os.replace(folder / "rows.part", folder / "rows.txt")


def stored_calls(folder: Path) -> set[str]:
    lines = (folder / "steps.jsonl").read_bytes().split(b"\n")[:-1] if (folder / "steps.jsonl").exists() else []
    return {f"{row['document']} {row['call']}" for row in map(json.loads, lines)}


def test_ten_kills_cost_no_finished_call_and_change_no_byte(tmp_path: Path) -> None:
    undisturbed, killed = tmp_path / "undisturbed", tmp_path / "killed"
    undisturbed.mkdir()
    killed.mkdir()
    write_stories(undisturbed, 0)
    log = killed / "paid.log"
    log.touch()
    moments = random.Random(5)
    kills = 0
    for sitting in range(60):
        before, paid = stored_calls(killed), len(log.read_text().splitlines())
        process = multiprocessing.get_context("fork").Process(target=write_stories, args=(killed, sitting))
        process.start()
        process.join(moments.uniform(0.005, 0.025) if kills < 10 else 30)
        if process.is_alive():
            os.kill(process.pid or 0, signal.SIGKILL)
            process.join()
            kills += 1
        repeated = before & set(log.read_text().splitlines()[paid:])
        assert not repeated
        if process.exitcode == 0:
            break
    assert kills == 10
    assert (killed / "rows.txt").read_bytes() == (undisturbed / "rows.txt").read_bytes()
    assert stored_calls(killed) == stored_calls(undisturbed)


def test_an_interrupt_loses_nothing(tmp_path: Path) -> None:
    def interrupt(request: Request) -> str | None:
        if len(first.asked) > 20:
            raise KeyboardInterrupt
        return None

    first, second = Echo(fails=interrupt), Echo()
    with StepStore(tmp_path / "steps.jsonl") as store, pytest.raises(KeyboardInterrupt):
        made(stories(12), room(first, store=store))
    with StepStore(tmp_path / "steps.jsonl") as store:
        results, report = made(stories(12), room(second, store=store))
    assert results == one_at_a_time(12)
    assert report.calls_stored == 20
    assert len({r.id for r in first.asked[:20]} & {r.id for r in second.asked}) == 0
