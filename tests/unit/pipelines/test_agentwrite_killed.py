"""The command killed ten times: no finished call is paid for twice, and the data are those of an undisturbed run."""

from __future__ import annotations

import json
import multiprocessing
import os
import random
import signal
import time
from pathlib import Path

from perfect_writer import PerfectWriter

from lengthctl.data_gen.agentwrite import AgentWriteSettings, long_prompt
from lengthctl.length import Target
from lengthctl.pipelines.agentwrite_data import build_agentwrite_data
from lengthctl.pipelines.room import Room
from lengthctl.pipelines.step_store import STEPS_FILE, StepStore
from lengthctl.records import Completion
from lengthctl.rollout.backend import Request, Sampling

_FILES = ("train.jsonl", "train.parquet")


class Paid(PerfectWriter):
    """Notes each call before it is answered; takes its time."""

    def __init__(self, log: Path) -> None:
        super().__init__()
        self._log = log

    def _answer(self, request: Request) -> Completion:
        with self._log.open("a") as file:
            file.write(request.id + "\n")
        time.sleep(0.02)  # ten kills in 10 to 50 ms each must not outlast it
        return super()._answer(request)


def write(out: Path) -> None:
    prompts = [
        long_prompt(
            ({"role": "user", "content": f"Write of river {n}."},), "src", target=Target(300 + 400 * n), id=f"r{n}"
        )
        for n in range(6)
    ]
    with StepStore(out / STEPS_FILE) as store:
        room = Room(Paid(out / "paid.log"), None, ["script"], Sampling(), store=store, in_flight=3)
        build_agentwrite_data(prompts, AgentWriteSettings(), room, out)


def stored(out: Path) -> int:
    """Whole lines of the store."""
    path = out / STEPS_FILE
    return path.read_bytes().count(b"\n") if path.exists() else 0


def test_ten_kills_cost_no_finished_call_and_change_no_byte(tmp_path: Path) -> None:
    undisturbed, killed = tmp_path / "undisturbed", tmp_path / "killed"
    for out in (undisturbed, killed):
        out.mkdir()
    write(undisturbed)
    moments, kills = random.Random(3), 0
    for _ in range(60):
        process = multiprocessing.get_context("fork").Process(target=write, args=(killed,))
        process.start()
        process.join(moments.uniform(0.01, 0.05) if kills < 10 else 30)
        if process.is_alive():
            os.kill(process.pid or 0, signal.SIGKILL)
            process.join()
            kills += 1
        if process.exitcode == 0:
            break
    assert kills == 10
    for name in _FILES:
        assert (killed / name).read_bytes() == (undisturbed / name).read_bytes()
    paid = (killed / "paid.log").read_text().splitlines()
    assert stored(killed) == stored(undisturbed) == len(set(paid))
    # a call that was out when the process died was not finished: at most one a kill with this writer
    assert len(paid) - len(set(paid)) <= kills
    measured = [json.loads((out / "stats.json").read_text())["measured"] for out in (killed, undisturbed)]
    assert measured[0] == measured[1]
    assert {path.name for path in killed.iterdir()} == {path.name for path in undisturbed.iterdir()}
