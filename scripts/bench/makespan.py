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
from collections.abc import Callable
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


def makespan(requests: list[Request], lengths: dict[str, int], expect: str) -> int:
    """Steps until all are done; `expect` is `first come`, `ours` or `oracle`."""
    predictor = LengthPredictor()
    guess: Callable[[Request], float] = predictor.expect
    if expect == "oracle":
        guess = lambda request: float(lengths[request.id])  # noqa: E731
    scheduler = Scheduler(guess, longest_first=expect != "first come")
    for engine in range(ENGINES):
        scheduler.add_engine(str(engine), SLOTS)
    scheduler.submit(requests)
    by_id = {request.id: request for request in requests}
    left: dict[str, int] = {}
    steps = 0
    while scheduler.unfinished:
        for made in scheduler.assign():
            left[made.request.id] = lengths[made.request.id]
        scheduler.rebalance([str(engine) for engine in range(ENGINES)])
        stride = min(left.values())  # nothing changes until the next request ends
        steps += stride
        for request_id in list(left):
            left[request_id] -= stride
            scheduler.progress(request_id, stride)
            if not left[request_id]:
                del left[request_id]
                scheduler.close(request_id)
                predictor.observe(by_id[request_id], lengths[request_id])
    return steps


def measure() -> dict[str, float | list[float]]:
    """Ratios, medians over the seeds; first come depends on luck, so it has quartiles too. `lower bound` is the larger
    of the longest request and an even share."""
    rows = []
    for seed in range(SEEDS):
        requests, lengths = make_requests(seed)
        spans = {way: makespan(requests, lengths, way) for way in ("first come", "ours", "oracle")}
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
