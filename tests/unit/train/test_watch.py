"""A wait is named while it lasts, and not after."""

from __future__ import annotations

import threading

import pytest

from lengthctl.train.watch import named_wait


def test_a_long_wait_is_named_more_than_once() -> None:
    said: list[str] = []
    twice = threading.Event()

    def say(line: str) -> None:
        said.append(line)
        if len(said) == 2:
            twice.set()

    with named_wait("the rewards", say, every=0.01):
        assert twice.wait(10)
    assert all(line.startswith("waiting for the rewards: ") for line in said)


def test_a_short_one_is_not_and_errors_pass() -> None:
    said: list[str] = []
    with pytest.raises(ValueError, match="of the block"), named_wait("nothing", said.append, every=60):
        raise ValueError("of the block")
    assert said == []
