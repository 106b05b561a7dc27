"""O1PrunerReward: see the class."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from lengthctl.registry import register
from lengthctl.rewards.completions import Completions
from lengthctl.rewards.graded import Graded, Scope, graded

__all__ = ["O1PrunerReward"]

_REFERENCES = ("reference_tokens", "reference_accuracy")
_CUT = (-2.0, 4.0)


@register("reward", "o1_pruner")
@dataclass(frozen=True)
class O1PrunerReward:
    """n_ref / n - 1 + accuracy_weight ([right] - c_ref), against what a reference model did with the same prompt.

    n_ref and c_ref are the columns `reference_tokens` (mean length of its completions, right and wrong) and
    `reference_accuracy` (share right, in [0, 1]). Length in tokens; result cut to [-2, 4]; an empty completion counts
    as wrong and of the reference's length. None for a row without answer or reference.
    Source: O1-Pruner, arXiv 2501.12570, Eq. 10. The cut is its code's: without it a completion of a few tokens earns
    more than any right one can. Differs from the code: not whitened over the dataset, which is an advantage's part.
    """

    lowest: ClassVar[float] = _CUT[0]
    highest: ClassVar[float] = _CUT[1]
    scope: ClassVar[Scope] = "completion"
    columns: ClassVar[tuple[str, ...]] = ("answer", *_REFERENCES)

    accuracy_weight: float = 2.0
    """Worth of a right answer; above 0. The paper's best is 2, its code's example has 5."""

    def __post_init__(self) -> None:
        if self.accuracy_weight <= 0:
            raise ValueError(f"accuracy_weight is above 0, found {self.accuracy_weight}")

    def __call__(self, completions: Completions, **columns: Any) -> list[float | None]:
        """One value a completion.

        Raises:
            ValueError: a column is missing or out of range.
        """
        for name in _REFERENCES:
            if columns.get(name) is None:
                raise ValueError(
                    f"the column {name} is missing; add it to the prompts, from samples of the first model"
                )
        lengths, shares = (columns[name] for name in _REFERENCES)
        values: list[float | None] = []
        for row, length, share in zip(graded(completions, columns), lengths, shares, strict=True):
            known = row is not None and length is not None and share is not None
            values.append(self._score(row, length, share) if row is not None and known else None)
        return values

    def _score(self, row: Graded, length: float, share: float) -> float:
        if length < 0 or not 0 <= share <= 1:
            raise ValueError(f"reference_tokens >= 0 and reference_accuracy in [0, 1], found {length} and {share}")
        ratio = length / row.tokens - 1 if row.tokens else 0.0
        is_correct = row.is_correct and row.tokens > 0
        return min(_CUT[1], max(_CUT[0], ratio + self.accuracy_weight * (is_correct - share)))
