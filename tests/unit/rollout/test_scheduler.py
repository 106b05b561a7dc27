"""The scheduler: each request in one place whatever happens, longest first, near the best makespan, moves that pay."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lengthctl.length import Target
from lengthctl.rollout.backend import Request, Sampling
from lengthctl.rollout.prediction import LengthPredictor
from lengthctl.rollout.scheduler import Assignment, Scheduler


def request(name: str, *, group: str = "", prompt: int = 4, target: int | None = None, limit: int = 1000) -> Request:
    ids = tuple(range(prompt))
    return Request(name, ids, Sampling(max_tokens=limit), group=group, target=Target(target) if target else None)


def tokens_of(r: Request) -> float:
    return float(r.sampling.max_tokens)


@settings(max_examples=60)
@given(st.data(), st.integers(1, 24), st.integers(1, 3), st.integers(1, 14))
def test_every_request_has_one_place_under_any_order_of_events(
    data: st.DataObject, count: int, engines: int, slots: int
) -> None:
    """Finishes, progress, deaths, joins and moves; where each request is, kept in a second book."""
    scheduler = Scheduler(tokens_of)
    alive = [f"e{n}" for n in range(engines)]
    for name in alive:
        scheduler.add_engine(name, slots)
    limits = data.draw(st.lists(st.integers(1, 400), min_size=count, max_size=count))
    scheduler.submit([request(str(i), limit=limit) for i, limit in enumerate(limits)])
    places: dict[str, str] = {}
    attempts: dict[str, int] = {}
    moves: dict[str, int] = {}
    done: set[str] = set()
    spare = engines

    def place(made: Assignment) -> None:
        attempts[made.request.id] = attempts.get(made.request.id, 0) + 1
        assert made.attempt == attempts[made.request.id]
        assert made.engine in alive
        assert made.request.id not in {*places, *done}
        places[made.request.id] = made.engine

    for _ in range(40):
        for made in scheduler.assign(awaited=data.draw(st.booleans())):
            place(made)
        givers = data.draw(st.sets(st.sampled_from(alive)))
        for move in scheduler.rebalance(givers):
            assert move.giver in givers
            assert places.pop(move.assignment.request.id) == move.giver
            place(move.assignment)
            moves[move.assignment.request.id] = moves.get(move.assignment.request.id, 0) + 1
        for name in alive:
            assert sorted(scheduler.running(name)) == sorted(i for i, at in places.items() if at == name)
            assert len(scheduler.running(name)) <= slots
        assert scheduler.unfinished == count - len(done)
        if not scheduler.unfinished:
            break
        event = data.draw(st.sampled_from(["finish", "finish", "progress", "progress", "die", "join"]))
        if event == "die":
            victim = data.draw(st.sampled_from(alive))
            assert set(scheduler.lose_engine(victim)) == {i for i, at in places.items() if at == victim}
            places = {i: at for i, at in places.items() if at != victim}
            alive.remove(victim)
        if event == "join" or not alive:
            alive.append(f"e{spare}")
            scheduler.add_engine(f"e{spare}", slots)
            spare += 1
        if event in ("finish", "progress") and places:
            chosen = data.draw(st.sampled_from(sorted(places)))
            if event == "finish":
                scheduler.close(chosen)
                done.add(chosen)
                del places[chosen]
            else:
                scheduler.progress(chosen, data.draw(st.integers(1, 16)))
    assert max(moves.values(), default=0) <= 2


def end(tokens: dict[str, int], engine_of: dict[str, str]) -> int:
    """Cost until the last engine is done, as a step costs ten tokens and one for each sequence."""
    held: dict[str, list[int]] = {}
    for name, engine in engine_of.items():
        held.setdefault(engine, []).append(tokens[name])
    return max(10 * max(left) + sum(left) for left in held.values())


@settings(max_examples=60)
@given(st.lists(st.integers(1, 500), min_size=1, max_size=60), st.integers(1, 3))
def test_an_engine_that_joins_takes_over_what_pays_and_keeps_it(lengths: list[int], joining: int) -> None:
    scheduler = Scheduler(tokens_of)
    scheduler.add_engine("old", 100)
    scheduler.submit([request(str(i), limit=n) for i, n in enumerate(lengths)])
    places = {made.request.id: made.engine for made in scheduler.assign()}
    tokens = {str(i): n for i, n in enumerate(lengths)}
    first = before = end(tokens, places)
    news = [f"new{n}" for n in range(joining)]
    for name in news:
        scheduler.add_engine(name, 100)
    assert scheduler.rebalance([]) == []  # nobody gives in the middle of a step
    rounds = [scheduler.rebalance(["old", *news]) for _ in range(4)]
    for moves in rounds:
        places |= {move.assignment.request.id: move.assignment.engine for move in moves}
        assert end(tokens, places) <= before
        before = end(tokens, places)
    assert not rounds[0] or before <= first - 16 * (10 + len(lengths) // 2) / 2**joining
    assert rounds[joining] == []


def test_moves_begin_with_the_longest_and_spare_what_is_nearly_done() -> None:
    scheduler = Scheduler(tokens_of)
    scheduler.add_engine("a", 40)
    scheduler.submit([request(str(i), limit=300) for i in range(20)])
    scheduler.assign()
    for i in range(10):
        scheduler.progress(str(i), 299)
    scheduler.add_engine("b", 40)
    moves = scheduler.rebalance({"a"})
    assert {m.assignment.request.id for m in moves} <= {str(i) for i in range(10, 20)}
    assert 4 <= len(moves) <= 6
    assert all(m.giver == "a" and m.assignment.engine == "b" and m.assignment.attempt == 2 for m in moves)


def test_a_busy_engine_takes_no_more_while_another_is_awaited() -> None:
    scheduler = Scheduler(tokens_of)
    for name in ("a", "b"):
        scheduler.add_engine(name, 128)
    scheduler.submit([request(str(i), limit=100) for i in range(120)])
    scheduler.assign()
    lost = scheduler.lose_engine("b")
    assert len(lost) == 60
    assert len(scheduler.assign(awaited=True)) == 4  # up to where more gain little
    scheduler.add_engine("c", 128)
    shared = [made.engine for made in scheduler.assign()]
    assert shared.count("c") == 56
    scheduler.lose_engine("c")
    assert len(scheduler.assign()) == 56  # nobody comes: the one that is left takes all


def test_nothing_moves_while_requests_wait_or_little_is_left() -> None:
    scheduler = Scheduler(tokens_of)
    scheduler.add_engine("a", 8)
    scheduler.submit([request(str(i), limit=300) for i in range(9)])
    scheduler.assign()
    scheduler.add_engine("b", 1)
    assert scheduler.rebalance({"a"}) == []
    assert [m.engine for m in scheduler.assign()] == ["b"]
    for i in range(9):
        scheduler.progress(str(i), 295)
    scheduler.lose_engine("b")
    scheduler.add_engine("c", 8)
    scheduler.assign()
    assert scheduler.rebalance({"a", "c"}) == []


def makespan(lengths: list[int], machines: int) -> int:
    """One slot an engine; the next request is taken whenever one is free."""
    scheduler = Scheduler(tokens_of)
    for n in range(machines):
        scheduler.add_engine(f"e{n}", 1)
    scheduler.submit([request(str(i), limit=n) for i, n in enumerate(lengths)])
    clock = 0
    ends: list[tuple[int, str]] = []
    while scheduler.unfinished:
        ends += [(clock + made.request.sampling.max_tokens, made.request.id) for made in scheduler.assign()]
        assert scheduler.rebalance([f"e{n}" for n in range(machines)]) == []
        ends.sort()
        clock, name = ends.pop(0)
        scheduler.close(name)
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
    scheduler = Scheduler(tokens_of)
    for name in ("a", "b"):
        scheduler.add_engine(name, 4)
    scheduler.submit([request(str(n), limit=n) for n in (1, 9, 5, 7, 3)])
    made = scheduler.assign()
    assert [m.request.id for m in made] == ["9", "7", "5", "3", "1"]
    assert [m.engine for m in made] == ["a", "b", "b", "a", "a"]


def test_a_group_without_target_is_probed_first() -> None:
    scheduler = Scheduler(tokens_of)
    scheduler.add_engine("a", 2)
    scheduler.submit([request(f"{g}{i}", group=g, limit=10 if g == "x" else 90) for g in "xy" for i in range(3)])
    assert [m.request.id for m in scheduler.assign()] == ["y0", "x0"]


def test_members_of_a_long_prompt_stay_together_while_that_pays() -> None:
    def engines_of(prompt: int, limit: int) -> set[str]:
        scheduler = Scheduler(tokens_of)
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
