"""What is known of a length, and in which order it is believed."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lengthctl.length import Relation, Target, Unit
from lengthctl.rollout.backend import Request, Sampling
from lengthctl.rollout.prediction import LengthPredictor, PastLengths, prompt_key

SIZES = st.lists(st.integers(1, 500), min_size=1, max_size=20)


def request(name: str, *, prompt: int = 1, tokens: int = 8, target: Target | None = None, group: str = "") -> Request:
    return Request(name, (prompt,) * tokens, Sampling(max_tokens=1000), group=group, target=target)


def by_group(request: Request) -> str:
    return request.group


def test_nothing_known_is_the_limit_or_the_target_in_tokens() -> None:
    predictor = LengthPredictor()
    assert predictor.expect(request("a")) == 1000
    assert predictor.expect(request("a", target=Target(50))) == pytest.approx(70)
    assert predictor.expect(request("a", target=Target(50, unit=Unit.TOKENS))) == 50
    between = Target(40, relation=Relation.RANGE, high=60, unit=Unit.TOKENS)
    assert predictor.expect(request("a", target=between)) == 50


def test_a_target_that_is_followed_closely_comes_before_the_group() -> None:
    target = Target(100, unit=Unit.TOKENS)
    asked = request("x", target=target, group="g")
    close, loose = LengthPredictor(), LengthPredictor()
    for i in range(16):
        close.observe(request(str(i), prompt=i + 2, target=target), 105 + i % 3)
        loose.observe(request(str(i), prompt=i + 2, target=target), 60 if i % 2 else 160)
    close.observe(request("m", target=target, group="g"), 300)
    loose.observe(request("m", target=target, group="g"), 300)
    assert close.expect(asked) == 106  # what the target took
    assert loose.expect(asked) == 300  # the finished member


def test_targets_never_asked_take_their_share_of_what_others_took() -> None:
    predictor = LengthPredictor()
    for i in range(8):
        predictor.observe(request(str(i), prompt=i + 2, target=Target(100, unit=Unit.TOKENS)), 150)
    assert predictor.expect(request("x", target=Target(40, unit=Unit.TOKENS))) == pytest.approx(60)


def test_group_then_prompt_then_like_then_all() -> None:
    predictor = LengthPredictor()
    for i in range(8):
        predictor.observe(request(f"s{i}", prompt=10 + i, tokens=8), 50)
        predictor.observe(request(f"l{i}", prompt=30 + i, tokens=64), 400)
    assert predictor.expect(request("x", tokens=9)) == 50  # prompts of 8 to 15 tokens
    assert predictor.expect(request("x", tokens=100)) == 400  # of 64 to 127
    assert predictor.expect(request("x", tokens=300)) == 225  # the median of all
    predictor.observe(request("p", prompt=7), 90)
    assert predictor.expect(request("x", prompt=7)) == 90
    predictor.observe(request("m", prompt=8, group="g"), 120)
    assert predictor.expect(request("x", prompt=7, group="g")) == 120
    predictor.forget_groups()
    assert predictor.expect(request("x", prompt=7, group="g")) == 90


def test_history_is_believed_until_a_prompt_has_shown_enough() -> None:
    past = PastLengths((80, 100, 120, 900), prompt="g")
    predictor = LengthPredictor.from_history([past], prompt_of=by_group)
    asked = request("x", group="g")
    assert predictor.expect(asked) == 110
    predictor.observe(request("m", group="g"), 300)
    assert predictor.expect(asked) == 110  # four completions tell more than one
    for i in range(10):
        predictor.observe(request(str(i), group="g"), 300)
    assert predictor.expect(asked) == 300


def test_history_of_one_kind_tells_of_unseen_prompts_of_it() -> None:
    past = [PastLengths((100 + i,), kind="maths", prompt_tokens=8) for i in range(5)]
    past += [PastLengths((500 + i,), kind="story", prompt_tokens=8) for i in range(5)]
    predictor = LengthPredictor.from_history(past, kind=lambda r: r.id)
    assert predictor.expect(request("maths")) == 102
    assert predictor.expect(request("story", tokens=999)) == 502  # of the kind, whatever the size
    assert predictor.expect(request("recipe")) == pytest.approx(302)


def test_history_with_targets_gives_ratio_and_trust() -> None:
    target = Target(100, unit=Unit.TOKENS)
    predictor = LengthPredictor.from_history([PastLengths((118, 120, 122), target=target)])
    assert predictor.expect(request("x", target=target, group="g")) == 120
    assert predictor.expect(request("x", target=Target(50, unit=Unit.TOKENS))) == pytest.approx(60)
    predictor.observe(request("m", target=target, group="g"), 300)
    assert predictor.expect(request("x", target=target, group="g")) == 120


def test_prompts_are_named_by_their_tokens() -> None:
    asked = request("x", prompt=3)
    predictor = LengthPredictor.from_history([PastLengths((40,), prompt=prompt_key(asked))])
    assert predictor.expect(asked) == 40
    assert prompt_key(Request("y", (), Sampling())) is None


@settings(max_examples=50)
@given(st.lists(SIZES, min_size=1, max_size=4), st.randoms(use_true_random=False))
def test_the_order_of_history_does_not_matter(groups: list[list[int]], rng: random.Random) -> None:
    past = [PastLengths(tuple(s), str(i), 8 * i, Target(i + 1), str(i % 2)) for i, s in enumerate(groups)]
    mixed = [PastLengths(tuple(rng.sample(p.sizes, len(p.sizes))), *list(p.__dict__.values())[1:]) for p in past]
    rng.shuffle(mixed)
    one = LengthPredictor.from_history(past, kind=by_group, prompt_of=by_group)
    other = LengthPredictor.from_history(mixed, kind=by_group, prompt_of=by_group)
    for asked in (request("x"), request("x", group="0"), request("x", target=Target(3)), request("x", tokens=16)):
        assert one.expect(asked) == pytest.approx(other.expect(asked))


@given(SIZES, st.integers(1, 200))
def test_expectations_stay_between_what_was_seen(sizes: list[int], limit: int) -> None:
    predictor = LengthPredictor()
    for i, size in enumerate(sizes):
        predictor.observe(request(str(i), prompt=i), size)
    asked = Request("x", (1,) * 8, Sampling(max_tokens=limit))
    assert min(limit, min(sizes)) <= predictor.expect(asked) <= min(limit, max(sizes))
    assert 1 <= predictor.expect(asked) <= limit


@given(st.lists(st.integers(100, 200), min_size=5, max_size=12))
def test_one_runaway_moves_an_expectation_little(sizes: list[int]) -> None:
    predictor = LengthPredictor()
    for i, size in enumerate([*sizes, 1000]):
        predictor.observe(request(str(i), group="g"), size)
    assert predictor.expect(request("x", group="g")) <= 200
