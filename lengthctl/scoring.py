"""One completion measured against its target. Evaluation and the training log both use this record."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from lengthctl import length as lengths
from lengthctl.degeneration import is_finished, repetition
from lengthctl.length import BandKind, Encoder, Target, count_length, ruler_band

__all__ = ["Scored", "score_text"]


@dataclass(frozen=True)
class Scored:
    """A completion and its measures; lengths are in the target's unit, `tokens` in tokens of the model.

    `prompt_id` names the request without its length: completions that share it are one cluster of the bootstrap.
    """

    prompt_id: str
    target: Target
    length: int
    tokens: int
    is_truncated: bool
    repetition: float
    is_finished: bool
    text: str

    @property
    def pm(self) -> bool:
        """Precise match: inside Ruler's tight band. An empty text never is."""
        return self.length > 0 and self.length in ruler_band(self.target, BandKind.PRECISE)

    @property
    def fm(self) -> bool:
        """Flexible match: inside Ruler's wide band."""
        return self.length > 0 and self.length in ruler_band(self.target, BandKind.FLEXIBLE)

    @property
    def relative_deviation(self) -> float:
        """Signed; -1 for an empty text."""
        return lengths.relative_deviation(self.length, self.target)

    @property
    def log_ratio(self) -> float:
        """`ln((length + 1) / (target + 1))`."""
        return lengths.log_ratio(self.length, self.target)

    def to_row(self) -> dict[str, Any]:
        """A JSON object; `parse` reads it back."""
        return {**self.__dict__, "target": self.target.to_row()}

    @classmethod
    def parse(cls, row: Mapping[str, Any]) -> Scored:
        """From a record; fields that are not ours are passed over."""
        fields = {key: row[key] for key in cls.__dataclass_fields__ if key != "target"}
        return cls(target=Target.parse(row["target"]), **fields)


def score_text(
    text: str, target: Target, *, prompt_id: str, tokens: int, is_truncated: bool, tokenizer: Encoder | None = None
) -> Scored:
    """Measure a completion; `tokenizer` is needed where the target counts tokens."""
    return Scored(
        prompt_id=prompt_id,
        target=target,
        length=count_length(text, target.unit, tokenizer),
        tokens=tokens,
        is_truncated=is_truncated,
        repetition=repetition(text),
        is_finished=is_finished(text),
        text=text,
    )
