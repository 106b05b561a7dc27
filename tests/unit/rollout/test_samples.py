"""A call's samples: each token once and each request once, whatever engines do meanwhile."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lengthctl.records import FinishReason
from lengthctl.rollout.backend import Request, Sampling
from lengthctl.rollout.engine_actor import Event
from lengthctl.rollout.prediction import LengthPredictor
from lengthctl.rollout.samples import HandedOut, RunningCall


@dataclass
class Counting:
    """An engine whose n-th token of a completion is n: after a prompt of one token it counts on from the last."""

    running: dict[str, tuple[int, int]] = field(default_factory=dict)
    """By key: the token that comes next, and how many are left."""

    def step(self, tokens: int) -> list[Event]:
        events = []
        for key, (first, left) in list(self.running.items()):
            made = range(first, first + min(tokens, left))
            self.running[key] = (made.stop, left - len(made))
            finish = "length" if left == len(made) else None
            events.append(Event(key, tuple(made), tuple(float(n) for n in made), finish))
            if finish:
                del self.running[key]
        return events


def tell(orders: HandedOut, engines: dict[str, Counting]) -> None:
    for name, keys in orders.aborts.items():
        for key in keys:
            del engines[name].running[key]
    for name, submissions in orders.submissions.items():
        for key, ids, sampling in submissions:
            engines[name].running[key] = (len(ids) - 1, sampling["max_tokens"])


@settings(max_examples=40)
@given(
    st.data(),
    st.lists(st.integers(1, 120), min_size=1, max_size=16),
    st.lists(st.integers(1, 120), max_size=4),
    st.integers(1, 3),
    st.integers(1, 16),
)
def test_every_token_counts_once_under_any_order_of_events(
    data: st.DataObject, limits: list[int], added: list[int], count: int, slots: int
) -> None:
    """Engines step, die, join and hand requests over, and further requests come; what a former holder tells late
    changes nothing."""
    requests = [Request(str(i), (7,), Sampling(max_tokens=limit)) for i, limit in enumerate(limits)]
    call = RunningCall(requests, name="c", version=1, predictor=LengthPredictor(), decode=str)
    engines: dict[str, Counting] = {}
    late: list[tuple[str, Event]] = []
    ended: list[str] = []
    deaths = 0
    names = (f"e{n}" for n in itertools.count())

    def join() -> None:
        name = next(names)
        engines[name] = Counting()
        call.add_engine(name, name, slots)

    for _ in range(count):
        join()
    while call.is_open:
        event = data.draw(st.sampled_from(["step", "step", "step", "die", "join", "late"]))
        idle = data.draw(st.sets(st.sampled_from(sorted(engines))))
        before = {name: dict(engine.running) for name, engine in engines.items()}
        orders = call.hand_out(idle)
        assert set(orders.aborts) <= idle
        tell(orders, engines)
        for name, engine in engines.items():
            assert sorted(call.held_by(name)) == sorted(engine.running)
            assert len(engine.running) <= slots
        for giver, keys in orders.aborts.items():  # a token that was under way when the request left
            late += [(giver, Event(key, (before[giver][key][0],), (0.0,), None)) for key in keys]
        name = data.draw(st.sampled_from(sorted(engines)))
        if event == "die" and deaths < 4:
            deaths += 1
            late += [(name, told) for told in engines.pop(name).step(3)]
            ended += [done.request_id for done in call.lose_engine(name, "killed")]
            join()
        elif event == "join" and len(engines) < 4:
            join()
        elif event == "late" and late:
            assert call.apply(*data.draw(st.sampled_from(late))) is None
        else:
            for told in engines[name].step(data.draw(st.integers(1, 40))):
                done = call.apply(name, told)
                assert (done is not None) == (told.finish is not None)
                if done is not None:
                    ended.append(done.request_id)
                    late.append((name, told))
                    if added:
                        new = Request(str(len(requests)), (7,), Sampling(max_tokens=added.pop()))
                        requests.append(new)
                        call.add([new])
    assert call.total == len(requests)
    assert sorted(ended, key=int) == [r.id for r in requests]
    for request, done in zip(requests, call.completions(), strict=True):  # added ones behind the first
        assert done.finish is FinishReason.LIMIT
        assert done.token_ids == tuple(range(request.sampling.max_tokens))
        assert done.logprobs == tuple(float(n) for n in done.token_ids)


def test_an_added_request_has_an_id_of_its_own_and_counts_for_the_failures() -> None:
    requests = [Request("a", (7,), Sampling(max_tokens=4))]
    call = RunningCall(requests, name="c", version=1, predictor=LengthPredictor(), decode=str)
    with pytest.raises(ValueError, match="'a' stands twice"):
        call.add(requests)
    call.add_engine("e", "e", 4)
    call.add([Request("b", (7,), Sampling(max_tokens=4))])
    (first, second) = [key for key, _, _ in call.hand_out().submissions["e"]]
    assert call.apply("e", Event(first, (), (), "refused: too long")) is not None
    assert (call.failures, call.total, call.is_open) == (1, 2, True)
    assert call.apply("e", Event(second, (1,), (0.0,), "stop")) is not None
    assert (call.failures, call.is_open) == (1, False)
    assert [done.request_id for done in call.completions()] == ["a", "b"]
