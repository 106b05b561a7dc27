"""How well completion lengths can be told before they are known, and what that gains when rollouts are scheduled.

Command: python scripts/length_prediction.py CASTILLO.csv docs/results/lengths.json   (8 minutes on one core)
CASTILLO.csv (arXiv 2505.16881) has `prompt_id, dataset, model, prompt_tokens, lengths`: ten completions a prompt of
each of 13 models, run-aways up to 15,001 tokens among them. Prompts are split in two halves by `prompt_id`; each half
is predicted from the other, model by model. Makespans come from the pool's own scheduler and predictor, as in
`scripts/bench/makespan.py`: a step gives each running request one token, whatever the model.
"""

from __future__ import annotations

import math
import random
import statistics
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from bench.makespan import Fleet, oracle, replay
from numpy.typing import NDArray

from lengthctl.evaluate.bootstrap import interval, resampled
from lengthctl.evaluate.distribution import PromptLengths
from lengthctl.evaluate.length_table import read_lengths
from lengthctl.prompts import stable_hash
from lengthctl.rollout.backend import Request, Sampling
from lengthctl.rollout.prediction import LengthPredictor, PastLengths
from lengthctl.rundir import write_json

SEED, LIMIT = 0, 15_000
SHUFFLES, PROMPTS, GROUP = 8, 96, 5
"""Each half is cut into batches of PROMPTS x GROUP requests so many times; the batches of one shuffle share no prompt,
and all models get the same. The other five completions of a prompt are its past where it counts as known."""
FLEETS = (Fleet(engines=2, slots=64, stride=16), Fleet(engines=4, slots=64, stride=16))
Half = Sequence[PromptLengths]
Floats = NDArray[np.float64]


def halves(rows: Half) -> tuple[list[PromptLengths], list[PromptLengths]]:
    """By prompt, the same for every model."""
    sides: tuple[list[PromptLengths], list[PromptLengths]] = ([], [])
    for row in rows:
        sides[stable_hash(f"{SEED}|{row.prompt_id}") % 2].append(row)
    return sides


def request(row: PromptLengths, sample: int) -> Request:
    """One completion of a prompt whose tokens are made up, as many as it has."""
    ids = (stable_hash(row.prompt_id) % 2**31,) * (row.input_size or 1)
    return Request(f"{row.prompt_id}#{sample}", ids, Sampling(max_tokens=LIMIT + 1), group=row.prompt_id)


def known(history: Sequence[PastLengths], rows: Half) -> LengthPredictor:
    """A predictor that knows this history; the kind of a prompt is its data set."""
    kinds = {row.prompt_id: row.dataset for row in rows}
    return LengthPredictor.from_history(history, kind=lambda r: kinds[r.group], prompt_of=lambda r: r.group)


def predictions(learn: Half, test: Half) -> dict[str, Floats]:
    """Expected tokens of (prompt, completion): nan where a completion is what the others are told from."""
    past = [row.past() for row in learn]
    plain = LengthPredictor.from_history(PastLengths(p.sizes) for p in past)
    sized = LengthPredictor.from_history(PastLengths(p.sizes, prompt_tokens=p.prompt_tokens) for p in past)
    kinds = known(past, test)
    sizes = np.array([row.stats.output_sizes for row in test], dtype=float)
    prompts, n = sizes.shape

    def by(predictor: LengthPredictor) -> Floats:
        return np.array([[predictor.expect(request(row, 0))] * n for row in test])

    first = np.broadcast_to(sizes[:, :1], sizes.shape).copy()
    first[:, 0] = math.nan
    shortest = np.broadcast_to(sizes.min(axis=1, keepdims=True), sizes.shape).copy()
    shortest[np.arange(prompts), sizes.argmin(axis=1)] = math.nan
    others = np.stack([np.median(np.delete(sizes, i, axis=1), axis=1) for i in range(n)], axis=1)
    return {
        "median of all": by(plain),
        "prompt tokens": by(sized),
        "data set and prompt tokens": by(kinds),
        "one member, drawn": first,
        "first of ten to finish": shortest,
        "median of nine others": others,
    }


def errors(rows: Half) -> tuple[list[str], dict[str, dict[str, Floats]]]:
    """Prompt ids, and per way to predict: absolute error, relative error, log ratio, of (prompt, completion)."""
    left, right = halves(rows)
    found = [predictions(left, right), predictions(right, left)]
    tested = [*right, *left]
    sizes = np.array([row.stats.output_sizes for row in tested], dtype=float)
    out = {}
    for way in found[0]:
        expected = np.concatenate([side[way] for side in found])
        missed = np.abs(sizes - expected)
        out[way] = {"tokens": missed, "relative": missed / sizes, "log": np.abs(np.log(sizes / expected))}
    return [row.prompt_id for row in tested], out


def summary(ids: Sequence[str], missed: Mapping[str, Mapping[str, Floats]]) -> dict[str, Any]:
    """Means over completions, with intervals that draw prompts; the log ratio is a median."""
    _, owner = np.unique(ids, return_inverse=True)
    weights = resampled(int(owner.max()) + 1, SEED)
    out: dict[str, Any] = {}
    for way, kinds in missed.items():
        out[way] = {}
        for kind, name in (("tokens", "mean_abs_error_tokens"), ("relative", "mean_relative_error")):
            sums = np.bincount(owner, np.nanmean(kinds[kind], axis=1))
            counts = np.bincount(owner)
            low, high = interval((weights @ sums) / (weights @ counts))
            out[way][name] = rounded(sums.sum() / counts.sum(), low, high, len(sums))
        out[way]["median_abs_log_ratio"] = round(float(np.nanmedian(kinds["log"])), 3)
    return out


def rounded(value: float, low: float, high: float, n: int) -> dict[str, float]:
    """A metric to three places."""
    return {"value": round(float(value), 3), "low": round(low, 3), "high": round(high, 3), "n": n}


def batches(rows: Half) -> list[tuple[int, list[str]]]:
    """Side and prompt ids of each batch; the ids of all models are dealt."""
    out = []
    for side, half in enumerate(halves(rows)):
        ids = sorted({row.prompt_id for row in half})
        for shuffle in range(SHUFFLES):
            random.Random(f"{SEED}|{side}|{shuffle}").shuffle(ids)
            out += [(side, ids[i : i + PROMPTS]) for i in range(0, len(ids) - PROMPTS + 1, PROMPTS)]
    return out


def makespans(learn: Half, batch: Half, seed: str, fleet: Fleet) -> dict[str, float]:
    """Steps that one batch takes under each order; the members of a group arrive together."""
    rng = random.Random(seed)
    past = [row.past() for row in learn]
    requests, lengths, seen = [], {}, []
    for row in batch:
        order = rng.sample(row.stats.output_sizes, row.stats.n)
        seen.append(PastLengths(tuple(order[GROUP:]), row.prompt_id, row.input_size, None, row.dataset))
        for sample, size in enumerate(order[:GROUP]):
            requests.append(request(row, sample))
            lengths[requests[-1].id] = size
    longest = [replace(p, sizes=(max(p.sizes),)) for p in seen]

    def run(history: Sequence[PastLengths], guess: Callable[[Request], float] | None = None, **order: bool) -> float:
        return replay(requests, lengths, known(history, batch), guess, fleet=fleet, **order)

    share = sum(lengths.values()) / (fleet.engines * fleet.slots)
    return {
        "first come": run([], longest_first=False),
        "probes alone": run([]),
        "other prompts known": run(past),
        "same prompts known": run([*past, *seen]),
        "same prompts known by their longest": run([*past, *longest]),
        "oracle": run([], oracle(lengths)),
        "lower bound": max(*lengths.values(), share),
    }


def gains(models: Mapping[str, Half], fleet: Fleet) -> dict[str, Any]:
    """First come over each order, by model and in all: mean over batches, with intervals that draw batches."""
    plan = batches([row for rows in models.values() for row in rows])
    weights = resampled(len(plan), SEED)
    ratios: dict[str, dict[str, list[float]]] = {model: {} for model in models}
    for model, rows in models.items():
        sides = halves(rows)
        by_id = {row.prompt_id: row for row in rows}
        for number, (side, ids) in enumerate(plan):
            batch = [by_id[prompt] for prompt in ids if prompt in by_id]
            spans = makespans(sides[1 - side], batch, f"{SEED}|{number}", fleet)
            for way, span in spans.items():
                ratios[model].setdefault(way, []).append(spans["first come"] / span)
        print(fleet.engines, model, {way: round(statistics.fmean(found), 3) for way, found in ratios[model].items()})
    ways = [way for way in next(iter(ratios.values())) if way != "first come"]
    shown = {**ratios, "all": {way: np.mean([ratios[m][way] for m in models], axis=0).tolist() for way in ways}}
    return {
        name: {
            way: rounded(statistics.fmean(r[way]), *interval(weights @ r[way] / len(plan)), len(plan)) for way in ways
        }
        for name, r in shown.items()
    }


def spread(rows: Half) -> dict[str, float]:
    """How much lengths vary, and how many completions run away."""
    stats = [row.stats for row in rows]
    return {
        "prompts": len(stats),
        "median_tokens": statistics.median(size for s in stats for size in s.output_sizes),
        "median_variation": round(statistics.median(s.variation or 0.0 for s in stats), 3),
        "median_mad_over_median": round(statistics.median(s.mad / s.median for s in stats), 3),
        "at_limit_per_1000": round(1000 * sum(s.at_limit for s in stats) / sum(s.n for s in stats), 2),
        "prompts_with_one_at_limit": sum(s.at_limit > 0 for s in stats),
    }


def main(source: Path, out: Path) -> None:
    """Measure and write."""
    models: dict[str, list[PromptLengths]] = {}
    for row in read_lengths(source, limit=LIMIT):
        models.setdefault(row.model, []).append(row)
    found = {model: errors(rows) for model, rows in models.items()}
    pooled_ids = [prompt for ids, _ in found.values() for prompt in ids]
    first = next(iter(found.values()))[1]
    pooled = {
        way: {kind: np.concatenate([missed[way][kind] for _, missed in found.values()]) for kind in kinds}
        for way, kinds in first.items()
    }
    write_json(
        out,
        {
            "schema": 1,
            "command": f"python scripts/length_prediction.py {source.name} docs/results/{out.name}",
            "seed": SEED,
            "intervals": "95 % bootstrap; errors draw prompts, makespans draw batches, which share prompts "
            f"between the {SHUFFLES} shuffles: those intervals are too narrow",
            "spread": {model: spread(rows) for model, rows in models.items()},
            "errors": {**{m: summary(*f) for m, f in found.items()}, "all": summary(pooled_ids, pooled)},
            "first_come_over": {f"{fleet.engines} engines": gains(models, fleet) for fleet in FLEETS},
        },
    )


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
