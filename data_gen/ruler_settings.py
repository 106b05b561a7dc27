"""How training data for meta length tokens is made."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

from lengthctl.data_gen.balance import Fill

__all__ = ["RulerSettings"]

_AT_THE_END = ("cap", "fill", "request_forms", "controls")


@dataclass(frozen=True)
class RulerSettings:
    """The defaults are Ruler's cap, and our filters.

    Raises:
        ValueError: a value out of its range, or a form without `{request}`.
    """

    seed: int = 0
    """Of the choice, the near-duplicates, and the forms and wordings; at least 0."""
    cap: int | None = 20_000
    """Rows of each token at most; None: all."""
    fill: Fill = Fill.MIXED
    """Ruler's code: `ordered`."""
    length_demands: Literal["drop", "strip", "keep"] = "drop"
    """What becomes of a prompt that names a length itself: the row is left out, or the demand is."""
    openings: bool = False
    """Take each text's openings too, up to the end of a sentence, as texts of their own."""
    require_finished: bool = True
    """Leave out completions that were cut."""
    max_repetition: float | None = 0.3
    """Highest share of repeated word trigrams, in [0, 1]; None: repetition is not looked at."""
    max_compression: float = 5.0
    """Highest factor by which a completion may compress, above 1; looked at together with the repetition."""
    max_tokens: int | None = None
    """Of prompt and completion together, without the chat template's; needs a tokenizer."""
    near_duplicates: float | None = 0.8
    """Similarity of completions from which on one of two is left out, in (0, 1]; None: all are kept, exact ones too."""
    request_forms: tuple[str, ...] = ()
    """Forms of the request, such as `REQUEST_FORMS`, of which each row takes one; empty: as it stands in the source."""
    controls: tuple[Literal["vanilla", "worded", "marked"], ...] = ()
    """Further files with the same rows: without a token; with the length in words instead; with the token as plain text
    at the end of the prompt."""

    def __post_init__(self) -> None:
        for is_right, said in (
            (self.seed >= 0, "seed is at least 0"),
            (self.cap is None or self.cap >= 1, "cap is at least 1"),
            (self.length_demands in ("drop", "strip", "keep"), "length_demands is drop, strip or keep"),
            (self.max_repetition is None or 0 <= self.max_repetition <= 1, "max_repetition lies in [0, 1]"),
            (self.max_compression > 1, "max_compression is above 1"),
            (self.max_tokens is None or self.max_tokens >= 1, "max_tokens is at least 1"),
            (self.near_duplicates is None or 0 < self.near_duplicates <= 1, "near_duplicates lies in (0, 1]"),
            (all("{request}" in form for form in self.request_forms), "a form holds {request}"),
            (set(self.controls) <= {"vanilla", "worded", "marked"}, "controls are vanilla, worded and marked"),
        ):
            if not is_right:
                raise ValueError(f"{said}, found {self}")
        object.__setattr__(self, "fill", Fill(self.fill))

    def to_row(self) -> dict[str, Any]:
        """A JSON object of all of them."""
        return asdict(self)

    @property
    def of_a_decision(self) -> dict[str, Any]:
        """Those that what is found out about a single row depends on; others may change without a new measurement."""
        return {key: value for key, value in self.to_row().items() if key not in _AT_THE_END}
