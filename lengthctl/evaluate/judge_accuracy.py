"""How good a judge of pairs is where the better text is known: accuracy, position bias and length bias."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from lengthctl.evaluate.bootstrap import mean_interval
from lengthctl.evaluate.judge import Judge, JudgeStatus, Verdict
from lengthctl.evaluate.judge_items import PairItem
from lengthctl.judging_pairs import Pair, PairForm, PairScores
from lengthctl.length import count_length

__all__ = ["judge_accuracy"]


@dataclass(frozen=True)
class _Answer:
    """A verdict on a pair whose better text stood first or second; `scores` as (better, worse)."""

    pair: str
    stood_first: bool
    scores: PairScores | None
    longer_is: str
    """`better`, `worse` or `neither`, by words."""

    @property
    def is_right(self) -> bool:
        return self.scores is not None and self.scores.better == "a"

    @property
    def is_decided(self) -> bool:
        return self.scores is not None and self.scores.better is not None

    @property
    def names_first(self) -> bool:
        return self.is_right == self.stood_first

    @property
    def names_longer(self) -> bool:
        return self.is_right == (self.longer_is == "better")


def judge_accuracy(
    judge: Judge[PairForm],
    pairs: Sequence[Pair],
    seed: int = 0,
    *,
    kinds: Sequence[str | None] = (),
    tick: Callable[[int], None] | None = None,
) -> dict[str, Any]:
    """Every pair asked in both orders.

    Args:
        judge: asks by the form of pairs.
        pairs: with the better text as `a`; at least one.
        seed: of the bootstrap.
        kinds: what each pair is about; empty, or as many as pairs.
        tick: told how many answers there are.

    Returns:
        By name `{"value", "low", "high", "n"}`, shares in [0, 1] with 95 % intervals over whole pairs; None where
        nothing counts. `accuracy`: questions with the better text higher, ties and what cannot be read being wrong;
        also where the longer text is the better and where it is the worse one. `swap_consistency`: pairs whose two
        verdicts name the same text, of those with two. `first_position_share`: verdicts for what stood first, and
        `longer_share`, for the longer text, of those that name one. `tie_share`, `unparsable_share`: of all questions.
        `accuracy_by_kind`: by the names in `kinds`.

    Raises:
        ValueError: no pairs.
        EndpointError, EngineError, FailureBudgetError: the judge is gone.
    """
    if not pairs:
        raise ValueError("there are no pairs to ask about")
    items = {
        (n, first): PairItem(f"{n}-{first}", _shown(pair, first))
        for n, pair in enumerate(pairs)
        for first in (True, False)
    }
    verdicts = judge.judge(list(items.values()), tick).verdicts
    answers = [_answer(str(n), pairs[n], first, verdicts[item.id]) for (n, first), item in items.items()]
    decided = [one for one in answers if one.is_decided]
    twice = list(zip(answers[::2], answers[1::2], strict=True))
    both = [(one, other) for one, other in twice if one.scores is not None and other.scores is not None]
    shares: Mapping[str, list[tuple[str, bool]]] = {
        "accuracy": [(one.pair, one.is_right) for one in answers],
        "accuracy_longer_is_better": [(one.pair, one.is_right) for one in answers if one.longer_is == "better"],
        "accuracy_longer_is_worse": [(one.pair, one.is_right) for one in answers if one.longer_is == "worse"],
        "swap_consistency": [(one.pair, _named(one) == _named(other)) for one, other in both],
        "first_position_share": [(one.pair, one.names_first) for one in decided],
        "longer_share": [(one.pair, one.names_longer) for one in decided if one.longer_is != "neither"],
        "tie_share": [(one.pair, one.scores is not None and not one.is_decided) for one in answers],
        "unparsable_share": [(one.pair, one.scores is None) for one in answers],
    }
    by_kind: dict[str, list[tuple[str, bool]]] = {}
    for kind, of_pair in zip(kinds, twice, strict=False):
        if kind is not None:
            by_kind.setdefault(kind, []).extend((one.pair, one.is_right) for one in of_pair)
    told = {name: _share(values, seed) for name, values in shares.items()}
    of_kinds = {kind: _share(values, seed) for kind, values in sorted(by_kind.items())}
    return {"pairs": len(pairs), **told, "accuracy_by_kind": of_kinds}


def _shown(pair: Pair, better_first: bool) -> Pair:
    return pair if better_first else pair.swapped


def _answer(name: str, pair: Pair, stood_first: bool, verdict: Verdict) -> _Answer:
    scores = None
    if verdict.status is JudgeStatus.OK:
        scores = PairScores(verdict.scores["a"], verdict.scores["b"])
        scores = scores if stood_first else scores.swapped
    better, worse = count_length(pair.a), count_length(pair.b)
    longer_is = "neither" if better == worse else "better" if better > worse else "worse"
    return _Answer(name, stood_first, scores, longer_is)


def _named(answer: _Answer) -> str | None:
    return None if answer.scores is None else answer.scores.better


def _share(values: Sequence[tuple[str, bool]], seed: int) -> dict[str, Any] | None:
    if not values:
        return None
    hits = [float(hit) for _, hit in values]
    low, high = mean_interval(hits, [name for name, _ in values], seed)
    return {"value": sum(hits) / len(hits), "low": low, "high": high, "n": len(hits)}
