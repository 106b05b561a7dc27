"""Reward-aware stop: no reward changes, and what it saves is counted."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lengthctl.length import Relation, Target
from lengthctl.records import Completion, FinishReason
from lengthctl.rewards.build import build_reward
from lengthctl.rewards.combine import Combined, Part
from lengthctl.rollout.backend import Request, Sampling
from lengthctl.rollout.engine_actor import Event
from lengthctl.rollout.prediction import LengthPredictor
from lengthctl.rollout.samples import RunningCall
from lengthctl.rollout.stopping import StopPolicy, stop_effect

SHAPES = ("band", "asymmetric", "linear", "log_ratio", "s_l", "gaussian", "lifebench")


def words(count: int) -> str:
    return " ".join(f"w{i}" for i in range(count))


def combined(shape: str) -> Combined:
    gates = (
        Part("stop", build_reward("natural_stop", {}), 0.5, "gate"),
        Part("r", build_reward("repetition", {}), 1, "gate"),
    )
    return Combined((Part("length", build_reward(shape, {}), 1.0, "reward"), *gates))


@given(st.sampled_from(SHAPES), st.integers(1, 40), st.integers(1, 300), st.integers(0, 300))
def test_a_spent_text_keeps_its_reward_whatever_follows(shape: str, target: int, length: int, more: int) -> None:
    reward, goal = combined(shape), Target(target)
    if not reward.is_spent(words(length), goal):
        return
    stopped, finished = reward([words(length), words(length + more)], target=[goal] * 2, is_truncated=[True, False])
    assert stopped == finished


@pytest.mark.parametrize("shape", ["band", "asymmetric", "linear", "log_ratio", "s_l"])
def test_far_too_long_is_spent_and_too_short_never(shape: str) -> None:
    assert combined(shape).is_spent(words(500), Target(10))
    assert not combined(shape).is_spent(words(1), Target(100))
    assert not combined(shape).is_spent(words(10), Target(10))
    assert not combined(shape).is_spent(words(500), Target(10, Relation.AT_LEAST))


def test_a_reward_that_declares_nothing_keeps_all_running() -> None:
    own = Part("own", lambda completions, **_: [0.0] * len(completions), 1.0, "reward")
    length = Part("length", build_reward("band", {}), 1.0, "reward")
    assert not Combined((length, own)).is_spent(words(500), Target(10))


def running(only_measure: bool) -> RunningCall:
    requests = [
        Request("a", (1,), Sampling(max_tokens=99), target=Target(2)),
        Request("b", (1,), Sampling(max_tokens=99)),
    ]
    policy = StopPolicy(combined("band").is_spent, only_measure)
    call = RunningCall(
        requests,
        name="1",
        version=3,
        predictor=LengthPredictor(),
        decode=lambda ids: " ".join(f"w{i}" for i in ids),
        stop=policy,
    )
    call.add_engine("e#1", "e", 4)
    call.hand_out()
    return call


def test_it_stops_at_a_poll_and_frees_the_slot() -> None:
    call = running(only_measure=False)
    assert call.apply("e#1", Event("1/a/1", (1, 2), (0.0, 0.0), None)) is None
    done = call.apply("e#1", Event("1/a/1", (3, 4, 5), (0.0,) * 3, None))
    assert done is not None
    assert (done.finish, done.stopped_at, len(done.token_ids)) == (FinishReason.REWARD_CEILING, 5, 5)
    assert done.is_truncated
    assert call.apply("e#1", Event("1/a/1", (6,), (0.0,), "stop")) is None  # a late event
    assert call.held_by("e#1") == ["1/b/1"]
    assert call.apply("e#1", Event("1/b/1", tuple(range(50)), (0.0,) * 50, None)) is None  # no target, no stop


def test_measuring_lets_it_run_and_counts() -> None:
    call = running(only_measure=True)
    assert call.apply("e#1", Event("1/a/1", (1, 2, 3, 4, 5), (0.0,) * 5, None)) is None
    whole = call.apply("e#1", Event("1/a/1", tuple(range(15)), (0.0,) * 15, "stop"))
    assert whole is not None
    assert (whole.finish, whole.stopped_at, len(whole.token_ids)) == (FinishReason.EOS, 5, 20)
    other = Completion("b", "w", tuple(range(20)), (), FinishReason.EOS)
    effect = stop_effect([whole, other])
    assert effect == {"stopped_fraction": 0.5, "saved_token_fraction": 15 / 40, "normaliser_ratio": 25 / 40}
