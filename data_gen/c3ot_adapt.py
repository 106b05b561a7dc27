"""The strongest compression at which a question is still answered: C3oT-Adapt, apart from any training.

Source: C3oT, arXiv 2412.11664. Ours: folds by a hash, and that a question which no level answers keeps its long form
alone.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass

from lengthctl.prompts import stable_hash

__all__ = ["Trial", "assign_levels"]


@dataclass(frozen=True)
class Trial:
    """One training and its test: on rows of `train` at the level, with the questions of `test` answered after it."""

    level: str
    seed: int
    fold: int
    train: tuple[str, ...]
    test: tuple[str, ...]


def assign_levels(
    questions: Collection[str],
    levels: Mapping[str, float],
    answered: Callable[[Trial], Collection[str]],
    *,
    folds: int = 5,
    seeds: Sequence[int] = (0, 1, 2),
    least_right: int = 1,
) -> dict[str, str | None]:
    """The level of each question: the strongest at which it was answered in `least_right` of the seeds' trials, by a
    model that was not trained on it; None where no level is.

    Args:
        questions: distinct ids.
        levels: share that is left out, by name, as `conditions.COMPRESSION_LEVELS`.
        answered: carries a trial out; which of its test questions came out right.
        folds: parts of the open questions, each of which is the test once; as many as there are questions, if fewer.
        seeds: of the repetitions, which divide the questions anew.
        least_right: 1 to the number of seeds.

    Raises:
        ValueError: an argument out of its range, a question twice, or a trial that names a question it had not.
    """
    if folds < 2 or not 1 <= least_right <= len(seeds) or len(set(seeds)) < len(seeds):
        raise ValueError("needs folds >= 2, distinct seeds, and 1 <= least_right <= their number")
    if len(set(questions)) < len(questions):
        raise ValueError("a question stands there twice")
    found: dict[str, str | None] = dict.fromkeys(questions)
    open_ = list(questions)
    for level in sorted(levels, key=lambda name: -levels[name]):
        if len(open_) < 2:  # a lone question would leave nothing to train on
            break
        right = dict.fromkeys(open_, 0)
        for seed in seeds:
            for trial in _trials(open_, level, seed, folds):
                solved = set(answered(trial))
                if not solved <= set(trial.test):
                    raise ValueError(f"a trial of {level} names questions that it did not have")
                for name in solved:
                    right[name] += 1
        found |= {name: level for name in open_ if right[name] >= least_right}
        open_ = [name for name in open_ if found[name] is None]
    return found


def _trials(questions: Sequence[str], level: str, seed: int, folds: int) -> list[Trial]:
    """Every question is in the test of one of them; sizes differ by one at most."""
    ranked = sorted(questions, key=lambda name: (stable_hash(f"{seed}|c3ot-adapt|{level}|{name}"), name))
    count = min(folds, len(ranked))
    fold_of = {name: place % count for place, name in enumerate(ranked)}
    return [
        Trial(
            level,
            seed,
            fold,
            tuple(name for name in questions if fold_of[name] != fold),
            tuple(name for name in questions if fold_of[name] == fold),
        )
        for fold in range(count)
    ]
