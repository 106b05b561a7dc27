"""Rows of long and short reasoning, each under the condition that asks for it, in an order by hash.

Source: C3oT, arXiv 2412.11664: twins of a question are shuffled freely, and both need not be there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from lengthctl.conditions import COMPRESSION_LEVELS, LONG, SHORT, ask_condition
from lengthctl.data_gen.reasoned_rows import ReasonedRow
from lengthctl.length import Unit, count_length
from lengthctl.prompts import stable_hash

__all__ = ["Ablation", "RowLengths", "build_c3ot_rows", "corpus_compression", "row_rank"]


class Ablation(StrEnum):
    """Which rows are made, under which conditions; those of the paper's comparisons."""

    NONE = "none"
    """C3oT: long and short, each under its condition."""
    SHORT_ONLY = "short_only"
    """Short rows alone, the question as it is."""
    LONG_ONLY = "long_only"
    """Long rows alone, the question as it is: the model that compression is measured against."""
    NO_CONDITION = "no_condition"
    """Long and short, the question as it is."""
    LEVELS = "levels"
    """Long, and six numbered levels of compression, each under its condition."""

    @property
    def conditions(self) -> tuple[str, ...]:
        """Of the short rows."""
        if self is Ablation.LONG_ONLY:
            return ()
        return tuple(COMPRESSION_LEVELS) if self is Ablation.LEVELS else (SHORT,)

    @property
    def has_long(self) -> bool:
        """Long rows are used."""
        return self is not Ablation.SHORT_ONLY

    @property
    def tells_condition(self) -> bool:
        """The question begins with the condition."""
        return self in (Ablation.NONE, Ablation.LEVELS)


@dataclass(frozen=True)
class RowLengths:
    """What rows say of the lengths of their reasoning, and in what."""

    count: Callable[[str], int]
    unit: str


def build_c3ot_rows(
    row: ReasonedRow, shorts: Mapping[str, str], ablation: Ablation, lengths: RowLengths
) -> list[dict[str, Any]]:
    """The rows of one question, in TRL's conversational form; `condition` tells which each is, also where the question
    does not.

    Args:
        row: the long form.
        shorts: short reasoning by condition; those that are missing have no row.
        ablation: see there.
        lengths: of the columns `reasoning_length` and `long_length`.
    """
    forms = {LONG: row.solution.reasoning} if ablation.has_long else {}
    forms |= {name: shorts[name] for name in ablation.conditions if name in shorts}
    long = lengths.count(row.solution.reasoning)
    return [_row(row, name, text, ablation, lengths, long) for name, text in forms.items()]


def _row(
    row: ReasonedRow, condition: str, reasoning: str, ablation: Ablation, lengths: RowLengths, long: int
) -> dict[str, Any]:
    asked = ask_condition(row.messages, condition) if ablation.tells_condition else row.messages
    completion = row.solution.with_reasoning(reasoning)
    return {
        "prompt": [dict(message) for message in asked],
        "completion": [{"role": "assistant", "content": completion}],
        "id": f"{row.id}/{condition}",
        "target": None,
        "words": count_length(completion, Unit.WORDS_MIXED),
        "condition": condition,
        "reasoning_length": lengths.count(reasoning) if reasoning else 0,
        "long_length": long,
        "length_unit": lengths.unit,
        "answer": row.solution.final,
        "source": row.source,
        "licence": row.licence,
    }


def row_rank(seed: int, row: Mapping[str, Any]) -> int:
    """Place of a row in the order of all, by its content, so that neither the order of the sources nor an interruption
    changes it."""
    return stable_hash(f"{seed}|c3ot|{row['prompt']}|{row['completion']}|{row['id']}")


def corpus_compression(pairs: Iterable[tuple[int, int]]) -> float | None:
    """Share of all long reasoning that the short forms leave out: 1 - sum(short) / sum(long) over `(long, short)`
    lengths; at most 1, negative where they are longer, None where there is nothing to compress.

    Not the mean of the rows' shares, which short rows would rule. Source: C3oT's rate (arXiv 2412.11664); on a model's
    outputs, long is the mean length of the long model.
    """
    long = short = 0
    for of_long, of_short in pairs:
        long += of_long
        short += of_short
    return None if long == 0 else 1 - short / long
