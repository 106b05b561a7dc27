"""The scheduler: each request done once whatever happens, longest first, near the best makespan."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lengthctl.length import Target
from lengthctl.rollout.backend import Request, Sampling
from lengthctl.rollout.prediction import LengthPredictor
from lengthctl.rollout.scheduler import Scheduler


def request(name: str, *, group: str = "", prompt: int = 4, target: int | None = None, limit: int = 1000) -> Request:
    ids = tuple(range(prompt))
    return Request(name, ids, Sampling(max_tokens=limit), group=group, target=Target(target) if target else None)


@settings(max_examples=200)
@given(st.data(), st.integers(1, 12), st.integers(1, 3), st.integers(1, 4))
def test_every_request_is_done_once_under_any_order_of_events(
    data: st.DataObject, count: int, engines: int, slots: int
) -> None:
    scheduler = Scheduler(lambda r: float(r.sampling.max_tokens))
    for n in range(engines):
        scheduler.add_engine(f"e{n}", slots)
    scheduler.submit([request(str(i), limit=data.draw(st.integers(1, 9))) for i in range(count)])
    done: list[str] = []
    started = []
    alive = {f"e{n}" for n in range(engines)}
    spare = engines
    for _ in range(400):
        for made in scheduler.assign():
            assert made.engine in alive
            started.append(made)
            assert len(scheduler.running(made.engine)) <= slots
        if not scheduler.unfinished:
            break
        event = data.draw(st.sampled_from(["finish", "finish", "finish", "late", "die"]))
        if event == "die" and len(started) < 60:
            victim = data.draw(st.sampled_from(sorted(alive)))
            lost = scheduler.lose_engine(victim)
            assert not set(lost) & set(done)
            alive.remove(victim)
            scheduler.add_engine(f"e{spare}", slots)
            alive.add(f"e{spare}")
            spare += 1
            continue
        made = data.draw(st.sampled_from(started))
        if scheduler.finish(made.engine, made.request.id, made.attempt):
            done.append(made.request.id)
        assert not scheduler.finish(made.engine, made.request.id, made.attempt)
    assert len(done) == len(set(done))
    assert scheduler.unfinished == count - len(done)


def makespan(lengths: list[int], machines: int) -> int:
    """One slot an engine; the next request is taken whenever one is free."""
    scheduler = Scheduler(lambda r: float(r.sampling.max_tokens))
    for n in range(machines):
        scheduler.add_engine(f"e{n}", 1)
    scheduler.submit([request(str(i), limit=n) for i, n in enumerate(lengths)])
    clock = 0
    ends: list[tuple[int, str, str, int]] = []
    while scheduler.unfinished:
        for made in scheduler.assign():
            ends.append((clock + made.request.sampling.max_tokens, made.engine, made.request.id, made.attempt))
        ends.sort()
        clock, engine, name, attempt = ends.pop(0)
        assert scheduler.finish(engine, name, attempt)
    return clock


@settings(max_examples=60)
@given(st.lists(st.integers(1, 20), min_size=1, max_size=7), st.integers(1, 3))
def test_makespan_is_near_the_best(lengths: list[int], machines: int) -> None:
    best = min(
        max(sum(n for n, m in zip(lengths, split, strict=True) if m == k) for k in range(machines))
        for split in itertools.product(range(machines), repeat=len(lengths))
    )
    assert makespan(lengths, machines) <= (4 / 3 - 1 / (3 * machines)) * best + 1e-9


def test_longest_first_and_balanced_over_engines() -> None:
    scheduler = Scheduler(lambda r: float(r.sampling.max_tokens))
    for name in ("a", "b"):
        scheduler.add_engine(name, 4)
    scheduler.submit([request(str(n), limit=n) for n in (1, 9, 5, 7, 3)])
    made = scheduler.assign()
    assert [m.request.id for m in made] == ["9", "7", "5", "3", "1"]
    assert [m.engine for m in made] == ["a", "b", "b", "a", "a"]


def test_a_group_without_target_is_probed_first() -> None:
    scheduler = Scheduler(lambda r: float(r.sampling.max_tokens))
    scheduler.add_engine("a", 2)
    scheduler.submit([request(f"{g}{i}", group=g, limit=10 if g == "x" else 90) for g in "xy" for i in range(3)])
    assert [m.request.id for m in scheduler.assign()] == ["y0", "x0"]


def test_members_of_a_long_prompt_stay_together_while_that_pays() -> None:
    def engines_of(prompt: int, limit: int) -> set[str]:
        scheduler = Scheduler(lambda r: float(r.sampling.max_tokens))
        for name in ("a", "b"):
            scheduler.add_engine(name, 8)
        scheduler.submit([request(str(i), group="g", prompt=prompt, target=5, limit=limit) for i in range(4)])
        return {m.engine for m in scheduler.assign()}

    assert engines_of(prompt=1024, limit=20) == {"a"}
    assert engines_of(prompt=1024, limit=900) == {"a", "b"}
    assert engines_of(prompt=100, limit=20) == {"a", "b"}


def test_an_id_stands_once() -> None:
    scheduler = Scheduler(lambda r: 1.0)
    scheduler.submit([request("a")])
    with pytest.raises(ValueError, match="'a' stands twice"):
        scheduler.submit([request("a")])


def test_prediction_in_order_of_trust() -> None:
    predictor = LengthPredictor()
    plain, asked = request("p", prompt=3), request("q", prompt=5, target=100, group="g")
    assert predictor.expect(plain) == 1000  # nothing known: the limit
    assert predictor.expect(asked) == pytest.approx(140)  # the target in tokens
    predictor.observe(request("r", prompt=7, target=100), 120)
    assert predictor.expect(asked) == 120  # what that target took
    assert predictor.expect(plain) == 120  # the mean of all
    predictor.observe(request("s", prompt=5, target=100), 60)
    assert predictor.expect(asked) == 60  # what that prompt took
    predictor.observe(request("t", prompt=5, target=100, group="g"), 300)
    assert predictor.expect(asked) == 300  # a finished member of the group
    predictor.forget_groups()
    assert predictor.expect(asked) == pytest.approx(180)  # the prompt's running mean
    assert predictor.expect(request("u", prompt=9, target=900, limit=50)) == 50  # never above the limit
