"""What scheduling by expected length gains on a heavy tail: a replay of the pool's own scheduler and predictor.

Command: python scripts/bench/makespan.py OUT.json   (seconds, no engine)
480 requests with targets from a lognormal distribution and lengths that miss them as an untrained model does; engines
are stepped as vLLM is, each step gives every running request one token and costs the same. Makespans are in steps.
"""

from __future__ import annotations

import json
import math
import random
import statistics
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from lengthctl.length import Target, Unit
from lengthctl.rollout.backend import Request, Sampling
from lengthctl.rollout.prediction import LengthPredictor
from lengthctl.rollout.scheduler import Scheduler

REQUESTS, ENGINES, SLOTS, LIMIT, SEEDS = 480, 2, 24, 2048, 20
MISS = 0.35
"""Standard deviation of log(length / target)."""


def make_requests(seed: int) -> tuple[list[Request], dict[str, int]]:
    """Requests in random order, and how many tokens each will take."""
    rng = random.Random(seed)
    requests, lengths = [], {}
    for i in range(REQUESTS):
        target = min(LIMIT // 2, max(5, round(rng.lognormvariate(4.0, 1.2))))
        request = Request(str(i), (1,), Sampling(max_tokens=LIMIT), target=Target(target, unit=Unit.TOKENS))
        requests.append(request)
        lengths[request.id] = min(LIMIT, max(1, round(target * math.exp(rng.gauss(0, MISS)))))
    return requests, lengths


@dataclass(frozen=True)
class Fleet:
    """Engines of equal size that tell every `stride` steps what they have."""

    engines: int = ENGINES
    slots: int = SLOTS
    stride: int = 1


def replay(
    requests: Sequence[Request],
    lengths: Mapping[str, int],
    predictor: LengthPredictor,
    guess: Callable[[Request], float] | None = None,
    *,
    fleet: Fleet = Fleet(),
    longest_first: bool = True,
) -> int:
    """Steps until all requests are done.

    Args:
        lengths: tokens that each request will take.
        predictor: learns from each completion.
        guess: expected tokens of a request; None asks the predictor.
        longest_first: False keeps the order of arrival.
    """
    scheduler = Scheduler(guess or predictor.expect, longest_first=longest_first)
    names = [str(engine) for engine in range(fleet.engines)]
    for name in names:
        scheduler.add_engine(name, fleet.slots)
    scheduler.submit(requests)
    by_id = {request.id: request for request in requests}
    left: dict[str, int] = {}
    steps = 0
    while scheduler.unfinished:
        for made in scheduler.assign():
            left[made.request.id] = lengths[made.request.id]
        scheduler.rebalance(names)
        # nothing changes until the next request ends
        done = fleet.stride * math.ceil(min(left.values()) / fleet.stride)
        steps += min(done, max(left.values()))
        for request_id in list(left):
            scheduler.progress(request_id, min(done, left[request_id]))
            left[request_id] -= done
            if left[request_id] <= 0:
                del left[request_id]
                scheduler.close(request_id)
                predictor.observe(by_id[request_id], lengths[request_id])
    return steps


def oracle(lengths: Mapping[str, int]) -> Callable[[Request], float]:
    """Knows every length."""
    return lambda request: float(lengths[request.id])


def measure() -> dict[str, float | list[float]]:
    """Ratios, medians over the seeds; first come depends on luck, so it has quartiles too. `lower bound` is the larger
    of the longest request and an even share."""
    rows = []
    for seed in range(SEEDS):
        requests, lengths = make_requests(seed)
        spans = {
            "first come": replay(requests, lengths, LengthPredictor(), longest_first=False),
            "ours": replay(requests, lengths, LengthPredictor()),
            "oracle": replay(requests, lengths, LengthPredictor(), oracle(lengths)),
        }
        bound = max(max(lengths.values()), math.ceil(sum(lengths.values()) / (ENGINES * SLOTS)))
        rows.append(
            {
                "lower_bound_over_ours": bound / spans["ours"],
                "first_come_over_ours": spans["first come"] / spans["ours"],
                "ours_over_oracle": spans["ours"] / spans["oracle"],
            }
        )
    middle = {name: round(statistics.median(row[name] for row in rows), 3) for name in rows[0]}
    low, _, high = statistics.quantiles((row["first_come_over_ours"] for row in rows), n=4)
    return {**middle, "first_come_over_ours_quartiles": [round(low, 3), round(high, 3)]}


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(json.dumps(measure(), indent=2) + "\n", encoding="utf-8")
    print(json.dumps(measure()))
