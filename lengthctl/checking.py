"""Guarded answer checking: is the answer of a completion equal to the reference answer?

Plain numbers and equal texts are compared here, exactly. Whatever needs mathematics goes to math-verify in processes of
their own, with limits on size, time and memory: model text never reaches a mathematics parser in this process.
"""

from __future__ import annotations

import importlib.util
import json
import os
import selectors
import subprocess
import sys
import threading
import time
import weakref
from collections import OrderedDict
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from lengthctl.errors import LengthctlError, MissingDependencyError
from lengthctl.plain_answers import compare_plain
from lengthctl.reasoning import THINK_TAGS, ThinkTags, parse_reasoning

__all__ = ["AnswerChecker", "Status", "Verdict"]

_WORKER = Path(__file__).with_name("checking_worker.py")
_MAX_ANSWER, _MAX_REFERENCE = 512, 4000
_MAX_DEPTH = 32  # real answers nest less than ten deep; a LaTeX parser takes exponential time in it
_READY_SECONDS = 60.0
# A worker sees no secrets: only what an interpreter needs to start and to find packages.
_ENVIRONMENT = ("PATH", "HOME", "LANG", "LC_ALL", "LD_LIBRARY_PATH", "PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV")


class Status(StrEnum):
    """What became of one check. All but `correct` count as not solved and are counted apart."""

    CORRECT = "correct"
    WRONG = "wrong"
    NO_ANSWER = "no_answer"
    """No final answer is marked, or reasoning was never closed."""
    TIMEOUT = "timeout"
    """Comparing took too long: the answer hides something giant, or the machine is overloaded."""
    ERROR = "error"
    """The check itself failed (`Verdict.detail`): an answer too long or too deep, a reference that is none."""


@dataclass(frozen=True)
class Verdict:
    """Result of one check; `answer` is the final answer as written, None where there is none."""

    status: Status
    answer: str | None
    detail: str = ""


class AnswerChecker:
    """Compares answers; safe to use from several threads. Processes start when first needed.

    Limits (ours): 512 characters and 32 open brackets an answer, 5 s to read and 5 s to compare it, `seconds` on the
    wall, `memory_mb`. A worker is replaced after `items_per_worker` checks, or when a limit had to kill it. Verdicts
    are kept by (reference, answer), those of timeouts too.

    Raises:
        ValueError: a limit below 1, or use after `close`.
        MissingDependencyError: an answer needs math-verify, and it is not installed.
        LengthctlError: a worker does not start.
    """

    def __init__(
        self,
        workers: int = 1,
        *,
        seconds: float = 15.0,
        memory_mb: int = 1024,
        items_per_worker: int = 256,
        cache_size: int = 100_000,
    ) -> None:
        if min(workers, memory_mb, items_per_worker, cache_size) < 1 or seconds <= 0:
            raise ValueError("the limits of an answer checker are above 0")
        self.workers = workers
        self.seconds = seconds
        self.memory_mb = memory_mb
        self.items_per_worker = items_per_worker
        self.cache_size = cache_size
        self._lock = threading.Lock()
        self._slots = threading.BoundedSemaphore(workers)
        self._idle: list[_Worker] = []
        self._alive: set[_Worker] = set()
        self._cache: OrderedDict[tuple[str, str], Verdict] = OrderedDict()
        self._is_closed = False
        self._finalizer = weakref.finalize(self, _kill_all, self._alive)

    def check_text(
        self, text: str, reference: str, *, starts_open: bool = False, tags: ThinkTags = THINK_TAGS
    ) -> Verdict:
        """Check a completion: its final answer outside of reasoning, see `parse_reasoning`."""
        return self.check_answer(parse_reasoning(text, starts_open=starts_open, tags=tags).final, reference)

    def check_answer(self, answer: str | None, reference: str) -> Verdict:
        """Check a final answer against the reference answer; None is no answer. Not symmetric in the two."""
        verdict = self._judge_here(answer, reference)
        return self._compare(answer or "", reference) if verdict is None else verdict

    def check_many(self, pairs: Sequence[tuple[str | None, str]]) -> list[Verdict]:
        """Check (answer, reference) pairs over all workers; verdicts in the order of the pairs."""
        # most answers are plain: threads are started for those alone that have to wait for a process
        verdicts = [self._judge_here(*pair) for pair in pairs]
        left = [pair for pair, verdict in zip(pairs, verdicts, strict=True) if verdict is None]
        if self.workers == 1 or len(left) < 2:
            compared = iter([self.check_answer(*pair) for pair in left])
        else:
            with ThreadPoolExecutor(self.workers) as threads:
                compared = iter(list(threads.map(lambda pair: self.check_answer(*pair), left)))
        return [next(compared) if verdict is None else verdict for verdict in verdicts]

    def _judge_here(self, answer: str | None, reference: str) -> Verdict | None:
        """The verdict on what needs no mathematics or was compared before, else None."""
        if answer is None or not answer.strip():
            return Verdict(Status.NO_ANSWER, None)
        if not reference.strip() or len(reference) > _MAX_REFERENCE:
            return Verdict(Status.ERROR, answer, f"the reference answer has {len(reference.strip())} characters")
        if len(answer) > _MAX_ANSWER:
            return Verdict(Status.ERROR, answer, f"the answer has {len(answer)} characters, over {_MAX_ANSWER}")
        if (depth := _depth(answer)) > _MAX_DEPTH:
            return Verdict(Status.ERROR, answer, f"the answer nests {depth} deep, over {_MAX_DEPTH}")
        if (is_equal := compare_plain(reference, answer)) is not None:
            return Verdict(Status.CORRECT if is_equal else Status.WRONG, answer)
        key = (reference, answer)
        with self._lock:
            if key not in self._cache:
                return None
            self._cache.move_to_end(key)
            return self._cache[key]

    def _compare(self, answer: str, reference: str) -> Verdict:
        """The verdict of a worker, kept for the next time."""
        verdict = self._ask_worker(reference, answer)
        with self._lock:
            self._cache[(reference, answer)] = verdict
            if len(self._cache) > self.cache_size:
                self._cache.popitem(last=False)
        return verdict

    def close(self) -> None:
        """End all processes, busy ones too; safe to call twice."""
        with self._lock:
            self._is_closed = True
            for worker in self._idle:
                worker.release()
            self._alive.difference_update(self._idle)
            self._idle.clear()
            _kill_all(self._alive)  # the threads that wait for these release them

    def __enter__(self) -> AnswerChecker:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _ask_worker(self, reference: str, answer: str) -> Verdict:
        request = {"reference": _bare(reference), "answer": _bare(answer)}
        with self._slots:
            worker = self._take()
            try:
                worker.start()
                reply = worker.ask(request, self.seconds)
            except TimeoutError:
                self._drop(worker)
                return Verdict(Status.TIMEOUT, answer, f"no verdict within {self.seconds:g} s")
            except OSError:
                self._drop(worker)
                return Verdict(Status.ERROR, answer, "the process that compares answers died")
            except BaseException:  # an interrupt in between: the reply of this item would meet the next one
                self._drop(worker)
                raise
            self._give_back(worker)
        return Verdict(Status(reply["status"]), answer, reply["detail"])

    def _take(self) -> _Worker:
        with self._lock:
            if self._is_closed:
                raise ValueError("the answer checker is closed")
            if self._idle:
                return self._idle.pop()
            worker = _Worker(self.memory_mb, self.seconds)
            self._alive.add(worker)
            return worker

    def _give_back(self, worker: _Worker) -> None:
        with self._lock:
            if worker.items < self.items_per_worker and not self._is_closed:
                self._idle.append(worker)
                return
        self._drop(worker)

    def _drop(self, worker: _Worker) -> None:
        worker.release()
        with self._lock:
            self._alive.discard(worker)


def _depth(text: str) -> int:
    """Most brackets open at once, whatever their kind."""
    depth = most = 0
    for character in text:
        if character in "([{":
            depth += 1
            most = max(most, depth)
        elif character in ")]}":
            depth = max(0, depth - 1)
    return most


def _bare(answer: str) -> str:
    """Without maths delimiters, which would end the ones put around it."""
    return answer.replace("\\$", "").replace("$", " ").strip()


def _kill_all(workers: set[_Worker]) -> None:
    for worker in list(workers):
        worker.kill()
    workers.clear()


class _Worker:
    """One process. Used by one thread at a time, killed by any."""

    def __init__(self, memory_mb: int, seconds: float) -> None:
        if importlib.util.find_spec("math_verify") is None:
            raise MissingDependencyError("math-verify is not installed", "Run: pip install math-verify")
        self.items = 0
        self._is_ready = False
        self._buffer = b""
        limits = [str(memory_mb * 2**20), str(int(seconds) + 1)]
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-B", str(_WORKER), *limits],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={key: os.environ[key] for key in _ENVIRONMENT if key in os.environ},
            start_new_session=True,  # Ctrl-C in the terminal is for the parent alone
            bufsize=0,
        )

    def start(self) -> None:
        """Wait for the imports of the process.

        Raises:
            LengthctlError: it ends before it is ready, or takes longer than a minute.
        """
        if self._is_ready:
            return
        try:
            self._read(_READY_SECONDS)
        except OSError as error:
            raise LengthctlError(
                "the process that compares answers does not start", "Give it more memory, or try: import math_verify"
            ) from error
        self._is_ready = True

    def ask(self, request: dict[str, str], seconds: float) -> dict[str, Any]:
        """Send one request and wait for its reply.

        Raises:
            TimeoutError: no reply in time; the process is to be killed.
            OSError: the process died.
        """
        assert self._process.stdin is not None
        self.items += 1
        self._process.stdin.write(json.dumps(request).encode() + b"\n")
        return self._read(seconds)

    def _read(self, seconds: float) -> dict[str, Any]:
        stream = self._process.stdout
        assert stream is not None
        deadline = time.monotonic() + seconds
        with selectors.DefaultSelector() as selector:
            selector.register(stream, selectors.EVENT_READ)
            while b"\n" not in self._buffer:
                if not selector.select(max(0.0, deadline - time.monotonic())):
                    raise TimeoutError
                chunk = os.read(stream.fileno(), 4096)
                if not chunk:
                    raise BrokenPipeError
                self._buffer += chunk
        line, _, self._buffer = self._buffer.partition(b"\n")
        reply: dict[str, Any] = json.loads(line)
        return reply

    def kill(self) -> None:
        """End the process at once and wait for its end; safe to call twice and while another thread waits for it."""
        self._process.kill()
        self._process.wait()

    def release(self) -> None:
        """End the process and close its pipes; only for the thread that uses it."""
        self.kill()
        for pipe in (self._process.stdin, self._process.stdout):
            assert pipe is not None
            pipe.close()
