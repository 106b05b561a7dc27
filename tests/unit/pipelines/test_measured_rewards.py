"""`p: measured` with several trainer processes: the first measures, and all train with its number."""

from __future__ import annotations

import copy
import sys
from types import ModuleType
from typing import Any

import pytest

from lengthctl.checking import Status
from lengthctl.config import Config, RewardSpec
from lengthctl.evaluate.attempts import Attempt
from lengthctl.pipelines.measured_rewards import settle_rewards
from lengthctl.pipelines.problem_bench import Answered


class FakeBroadcast(ModuleType):
    """`accelerate.utils` for processes that run one after the other: what the first sends, the others receive."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, processes: int) -> None:
        super().__init__("accelerate.utils")
        self._monkeypatch = monkeypatch
        self._sent: list[Any] | None = None
        self._is_first = True
        monkeypatch.setitem(sys.modules, "accelerate", ModuleType("accelerate"))
        monkeypatch.setitem(sys.modules, "accelerate.utils", self)
        monkeypatch.setenv("WORLD_SIZE", str(processes))

    def become(self, rank: int) -> None:
        """The process of this number."""
        self._is_first = rank == 0
        self._monkeypatch.setenv("RANK", str(rank))

    def broadcast_object_list(self, told: list[Any]) -> None:
        """In place, as accelerate's."""
        if self._is_first:
            assert self._sent is None
            self._sent = copy.deepcopy(told)
        else:
            assert self._sent is not None
            told[:] = copy.deepcopy(self._sent)


def answered(tokens: int) -> Answered:
    attempt = Attempt(f"p{tokens}", 0, Status.WRONG, 0, tokens, tokens, is_truncated=False)
    return Answered(attempt, attempt)


def surrogate(label: str, max_tokens: int) -> RewardSpec:
    args = {"p": "measured", "max_tokens": max_tokens}
    return RewardSpec(name="surrogate", label=label, args=args)  # type: ignore[call-arg]


def measured() -> list[Answered]:
    return [answered(tokens) for tokens in (40, 60, 90)]


def never() -> list[Answered]:
    raise AssertionError("only the first process has answers")


def test_every_process_trains_with_the_first_ones_number(monkeypatch: pytest.MonkeyPatch) -> None:
    config = Config(rewards=[surrogate("near", 100), surrogate("far", 150)])  # type: ignore[call-arg]
    processes, told = FakeBroadcast(monkeypatch, 2), list[str]()
    processes.become(0)
    first = settle_rewards(config, measured, told.append)
    processes.become(1)
    second = settle_rewards(config, never, told.append)
    assert second == first
    assert [spec.args["p"] for spec in second.rewards] == [0.6, 0.4]
    assert len(told) == 2  # by the first alone


def test_where_nothing_is_open_nothing_is_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that sent, and one that did not wait, would meet in the wrong broadcast later."""
    config = Config(rewards=[RewardSpec(name="finished")])  # type: ignore[call-arg]
    processes = FakeBroadcast(monkeypatch, 2)
    for rank in (1, 0):
        processes.become(rank)
        assert settle_rewards(config, never) == config


def test_a_failed_measurement_ends_the_others_too(monkeypatch: pytest.MonkeyPatch) -> None:
    config = Config(rewards=[surrogate("near", 100)])  # type: ignore[call-arg]
    processes = FakeBroadcast(monkeypatch, 2)
    processes.become(0)
    with pytest.raises(AssertionError):
        settle_rewards(config, never)
    processes.become(1)
    with pytest.raises(SystemExit):
        settle_rewards(config)
