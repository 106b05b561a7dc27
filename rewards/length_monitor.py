"""Targets by difficulty, chosen from the lengths of past completions: LASER-D's monitor."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from itertools import accumulate
from typing import Any

from lengthctl.rewards.graded import Graded

__all__ = ["DIFFICULTIES", "LengthMonitor", "choose_target", "difficulty"]

DIFFICULTIES = {"easy": 2, "medium": 1, "hard": 0}
"""Thirds of the group that are right at least."""


def difficulty(group: Sequence[Graded]) -> str:
    """Of a prompt, by the share of its completions that are right."""
    right = sum(row.is_correct for row in group)
    return next(name for name, thirds in DIFFICULTIES.items() if 3 * right >= thirds * len(group))


def choose_target(candidates: Sequence[int], coverage: Sequence[float], expected_right: int) -> int:
    """The least of `candidates` (tokens, rising) that keeps a right completion of a prompt, else the greatest.

    `coverage` is the share of completions within each, in [0, 1]; `expected_right` how many of a prompt are right.
    """
    fitting = (n for n, share in zip(candidates, coverage, strict=True) if share * expected_right >= 1)
    return next(fitting, candidates[-1])


class LengthMonitor:
    """Counts lengths by difficulty and chooses targets from them every `every` steps.

    A target is the least multiple of `spacing` within which a prompt of that difficulty is expected to keep one right
    completion: coverage of all its completions, right or wrong, times the least number right of that difficulty (6, 3
    and 1 of 8). A difficulty that was not seen keeps its target. Memory is bounded: counts only.
    Source: LASER-D, arXiv 2505.15612, Sec. 5.2; coverage as in its code. ValueError for arguments out of range.
    """

    def __init__(self, start_tokens: int, spacing: int, max_tokens: int, every: int) -> None:
        if min(start_tokens, spacing, every) < 1 or max_tokens < spacing:
            raise ValueError("start_tokens, spacing and every are at least 1, and max_tokens at least spacing")
        self.targets = dict.fromkeys(DIFFICULTIES, start_tokens)
        self._candidates = [*range(spacing, max_tokens, spacing), max_tokens]
        self._every = every
        self._calls = self._group_size = 0
        self._since: int | None = None
        self._forget(step=None)

    def begin_step(self, columns: Mapping[str, Any]) -> None:
        """Choose targets where it is time to; by the trainer's step where a call has it, else every call is one."""
        state = columns.get("trainer_state")
        self._calls += 1
        step = self._calls if state is None else int(state.global_step)
        if self._since is None or step < self._since:
            self._since = step
        elif step - self._since >= self._every:
            self._choose()
            self._forget(step)
        if (log_metric := columns.get("log_metric")) is not None:
            for name, target in self.targets.items():
                log_metric(f"laser_d/target_{name}", target)

    def add(self, group: Sequence[Graded]) -> None:
        """Count the completions of a prompt."""
        self._group_size = max(self._group_size, len(group))
        counts = self._counts[difficulty(group)]
        for row in group:
            counts[bisect_left(self._candidates, row.tokens)] += 1

    def state_dict(self) -> dict[str, Any]:
        """All that later choices follow from, in JSON values."""
        counts = {name: list(row) for name, row in self._counts.items()}
        place = {"since": self._since, "calls": self._calls, "group_size": self._group_size}
        return {"targets": dict(self.targets), "candidates": self._candidates, "counts": counts, **place}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """As `state_dict` gave it; counts for other candidates than ours are dropped."""
        self.targets = {name: int(state["targets"][name]) for name in DIFFICULTIES}
        self._forget(state["since"])
        self._calls = int(state["calls"])
        if list(state["candidates"]) == self._candidates:
            self._counts = {name: [int(n) for n in state["counts"][name]] for name in DIFFICULTIES}
            self._group_size = int(state["group_size"])

    def _choose(self) -> None:
        for name, thirds in DIFFICULTIES.items():
            counts = self._counts[name]
            if total := sum(counts):
                coverage = [within / total for within in accumulate(counts[:-1])]
                expected = max(1, -(-thirds * self._group_size // 3))
                self.targets[name] = choose_target(self._candidates, coverage, expected)

    def _forget(self, step: int | None) -> None:
        self._since = step
        self._group_size = 0
        self._counts = {name: [0] * (len(self._candidates) + 1) for name in DIFFICULTIES}
