"""How long texts are filtered and chosen."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

__all__ = ["CurationSettings"]

_AT_THE_END = ("size", "min_quality", "near_requests", "near_texts")


@dataclass(frozen=True)
class CurationSettings:
    """The defaults are the rules of Minimum Tuning (arXiv 2410.10210): exactly one length stated, S_l of at least 0.8;
    and our filters.

    Raises:
        ValueError: a value out of its range.
    """

    seed: int = 0
    """Of the near-duplicates and the choice among equals; at least 0."""
    size: int | None = None
    """Rows of the subset, even over languages and lengths as far as there are enough; None: all that pass."""
    buckets: tuple[int, ...] = (500, 2000, 4000, 8000)
    """Words at which a new class of lengths begins, rising; the first four are LongBench-Write's."""
    lengths: Literal["stated", "any"] = "stated"
    """`stated`: rows go whose prompt does not state exactly one length. `any`: rows without one are kept, and those
    with one are held to it."""
    min_s_l: float = 0.8
    """Least S_l, in [0, 1], of a completion against the length that its prompt states."""
    min_words: int = 0
    max_words: int | None = None
    min_quality: float = 0.0
    """Least `Quality.value`, in [0, 1]."""
    require_finished: bool = True
    """Leave out completions that were cut."""
    check_repetition: bool = True
    check_leftovers: bool = True
    check_language: bool = True
    near_requests: float | None = 0.7
    """Similarity of requests from which on one completion of two is left out, in (0, 1]; None: only equal ones."""
    near_texts: float | None = 0.5
    """The same of completions; None: all are kept."""

    def __post_init__(self) -> None:
        shares = (self.min_s_l, self.min_quality)
        near = [value for value in (self.near_requests, self.near_texts) if value is not None]
        for is_right, said in (
            (self.seed >= 0, "seed is at least 0"),
            (self.size is None or self.size >= 1, "size is at least 1"),
            (list(self.buckets) == sorted({*self.buckets, 0} - {0}), "buckets are rising numbers from 1"),
            (self.lengths in ("stated", "any"), "lengths is stated or any"),
            (all(0 <= share <= 1 for share in shares), "min_s_l and min_quality lie in [0, 1]"),
            (all(0 < value <= 1 for value in near), "near_requests and near_texts lie in (0, 1]"),
            (self.min_words >= 0, "min_words is at least 0"),
            (self.max_words is None or self.max_words >= max(1, self.min_words), "max_words is at least min_words"),
        ):
            if not is_right:
                raise ValueError(f"{said}, found {self}")

    def to_row(self) -> dict[str, Any]:
        """A JSON object of all of them."""
        return asdict(self)

    @property
    def of_a_decision(self) -> dict[str, Any]:
        """Those that what is found out about a single row depends on; others may change without a new measurement."""
        return {key: value for key, value in self.to_row().items() if key not in _AT_THE_END}

    def bucket(self, words: int) -> str:
        """The class of a length, e.g. `500-1999`, `8000+`."""
        starts = (0, *self.buckets)
        place = sum(words >= start for start in self.buckets)
        return f"{starts[place]}+" if place == len(self.buckets) else f"{starts[place]}-{starts[place + 1] - 1}"
