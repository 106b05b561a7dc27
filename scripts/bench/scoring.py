"""How fast texts are scored on one core: count, PM, FM, relative deviation and S_l, against a bare count of words.

Command: python scripts/bench/scoring.py OUT.json   (seconds, no model)
Texts are made of random words with punctuation, their lengths within a third of Ruler's nine targets. The ratio is the
time of scoring over that of `len(re.findall(r"\\w+", text))` for the same texts; each is the best of several rounds in
turn, so that a neighbour on the machine disturbs both or neither.
"""

from __future__ import annotations

import json
import random
import re
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from lengthctl.evaluate.tlg import TARGETS
from lengthctl.length import Target
from lengthctl.scoring import score_text

WORDS_A_TARGET, ROUNDS = 40_000, 7
Pair = tuple[str, Target]


def make_texts(target: Target, rng: random.Random) -> list[Pair]:
    """As many texts as hold `WORDS_A_TARGET` words."""
    texts, words = [], 0
    while words < WORDS_A_TARGET:
        count = max(1, round(target.value * rng.uniform(2 / 3, 4 / 3)))
        parts = ["".join(rng.choices("etaoinshrdlu", k=rng.randint(1, 9))) for _ in range(count)]
        ends = rng.choices(["", ",", ".", "'s"], weights=[17, 1, 1, 1], k=count)
        texts.append((" ".join(word + end for word, end in zip(parts, ends, strict=True)), target))
        words += count
    return texts


def count_bare(pairs: Sequence[Pair]) -> None:
    """What is compared with."""
    for text, _ in pairs:
        len(re.findall(r"\w+", text))


def score_all(pairs: Sequence[Pair]) -> None:
    """Everything that is measured of a length."""
    for text, target in pairs:
        scored = score_text(text, target, prompt_id="", tokens=0, is_truncated=False)
        _ = scored.pm, scored.fm, scored.relative_deviation, scored.s_l


def seconds(run: Callable[[Sequence[Pair]], None], pairs: Sequence[Pair]) -> float:
    """Processor time of one round, so that waiting for the core does not count."""
    started = time.process_time()
    run(pairs)
    return time.process_time() - started


def best_of(pairs: Sequence[Pair]) -> tuple[float, float]:
    """Best times of the bare count and of scoring."""
    rounds = [(seconds(count_bare, pairs), seconds(score_all, pairs)) for _ in range(ROUNDS)]
    bare, scoring = zip(*rounds, strict=True)
    return min(bare), min(scoring)


def measure() -> dict[str, object]:
    """`ratio` pools the targets, the same number of texts each; `ratio_by_target` shows that short texts cost more."""
    rng = random.Random(0)
    by_target = {name: make_texts(target, rng) for name, target in TARGETS.items()}
    times = {name: best_of(pairs) for name, pairs in by_target.items()}
    fewest = min(map(len, by_target.values()))
    bare, scoring = best_of([pair for pairs in by_target.values() for pair in pairs[:fewest]])
    return {
        "texts_per_second": round(fewest * len(by_target) / scoring),
        "ratio": round(scoring / bare, 2),
        "ratio_by_target": {name: round(scored / plain, 2) for name, (plain, scored) in times.items()},
        "texts_per_second_by_target": {
            name: round(len(by_target[name]) / scored) for name, (_, scored) in times.items()
        },
    }


if __name__ == "__main__":
    found = json.dumps(measure(), indent=2) + "\n"
    Path(sys.argv[1]).write_text(found, encoding="utf-8")
    print(found)
