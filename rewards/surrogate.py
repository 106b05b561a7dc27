"""SurrogateReward: see the class."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from lengthctl.reasoning import THINK_TAGS
from lengthctl.registry import register
from lengthctl.rewards.answer_format import Marker, has_valid_answer
from lengthctl.rewards.answers import read_completions
from lengthctl.rewards.completions import Completions, text_of
from lengthctl.rewards.token_counts import token_counts

__all__ = ["SurrogateReward"]


@register("reward", "surrogate")
@dataclass(frozen=True)
class SurrogateReward:
    """Format and length in place of labels: R_f + R_l for a valid marked answer, min(0, R_l) without one.

    With x = tokens / max_tokens, at most 1: R_l = 1 - (1 - x/p)^2 up to p, then 1 - 2 ((x - p) / (1 - p))^2, from 0
    over 1 at p to -1 at the limit. R_f is 1; `variant: repo` has 0.5, and 1 with a `<think>` block. Tokens as sampled,
    the stop token included; result in [-1, 2]; what the limit cut normally has no answer and earns -1, so do not mask
    it. Completions without an answer tie at 0 up to x = p + (1 - p) / sqrt(2).
    Source: arXiv 2505.19439, Eq. 2 to 5, and its code. Ours: x stops at 1, where the code falls on.
    """

    lowest: ClassVar[float] = -1.0
    highest: ClassVar[float] = 2.0

    max_tokens: int = 3072
    """L_max; set it to the run's limit. 3072 is the paper's."""
    p: float | Literal["measured"] = 0.5
    """Where the length reward peaks, as a share of `max_tokens`, between 0 and 1. The paper's is 0.5, and 0.8 did best
    in its Table 4. `measured`: a run puts the median length of the untouched model's marked answers here (ours)."""
    shape: Literal["quadratic", "polyline"] = "quadratic"
    """`polyline`: 2x up to p, then 3 - 4x (Eq. 4), with p = 0.5 only."""
    variant: Literal["paper", "repo"] = "paper"
    """`repo`: format weighs half against length, as in the paper's code."""
    marker: Marker = "boxed"
    """How the answer is to be marked, see `answer_format`; the paper's is `boxed`."""

    def __post_init__(self) -> None:
        if self.max_tokens < 1 or (self.p != "measured" and not 0 < self.p < 1):
            raise ValueError(f"max_tokens is at least 1 and p between 0 and 1, found {self.max_tokens} and {self.p}")
        if self.shape == "polyline" and self.p != 0.5:
            raise ValueError(f"shape = polyline is continuous for p = 0.5 only, found {self.p}")

    def __call__(self, completions: Completions, **columns: Any) -> list[float | None]:
        """One value a completion.

        Raises:
            ValueError: tokens cannot be counted.
        """
        found = read_completions(completions, columns)
        rows = zip(completions, found, token_counts(completions, columns), strict=True)
        return [self.total(has_valid_answer(one, self.marker), n, _thinks(text_of(text))) for text, one, n in rows]

    def length_term(self, tokens: int) -> float:
        """R_l, in [-1, 1].

        Raises:
            ValueError: p is still to be measured.
        """
        x, p = min(1.0, tokens / self.max_tokens), self.p
        if p == "measured":
            raise ValueError("p = measured is for training runs, which measure it; give a number")
        if self.shape == "polyline":
            return 2 * x if x <= p else 3 - 4 * x
        return 1 - (1 - x / p) ** 2 if x <= p else 1 - 2 * ((x - p) / (1 - p)) ** 2

    def total(self, has_format: bool, tokens: int, thinks: bool = False) -> float:
        """The value of a completion of so many tokens; `thinks` counts in the `repo` variant alone."""
        length = self.length_term(tokens)
        if not has_format:
            return min(0.0, length)
        return length + (1.0 if self.variant == "paper" else 0.5 * (thinks + 1))


def _thinks(text: str) -> bool:
    opening = text.find(THINK_TAGS.opening)
    return opening >= 0 and text.find(THINK_TAGS.closing, opening) >= 0
