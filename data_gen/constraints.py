"""Rows whose prompt asks for the length that the completion has: about, range, at least, at most, in several units.

Source: Self-Lengthen, arXiv 2410.23933, eval/add_length_control.py of its code: the four kinds and their shares, the
steps to which lengths are rounded. Ours: the demand is made from the length that was counted and is held against
LonGen's interval before it is used (in the code, a third of the Chinese demands contradict the text); steps for texts
of any length; the wordings, by a hash; units other than words. Their model that rewrites the prompt is not asked.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from random import Random
from typing import Any, NamedTuple

from lengthctl.data_gen.demand_forms import draw_phrase, put_demand
from lengthctl.data_gen.filters import DropReason, asks_for_length
from lengthctl.data_gen.instruction_data import Instruction
from lengthctl.data_gen.length_demands import strip_length_demands
from lengthctl.data_gen.row_shapes import parse_row
from lengthctl.data_gen.stated_length import LONGEN_TOLERANCE, Unstated, find_stated_length
from lengthctl.length import Encoder, Relation, Target, Unit, count_length
from lengthctl.normal_text import content_digest
from lengthctl.row_columns import Columns
from lengthctl.scoring import longen_score
from lengthctl.writing_system import wording_language

__all__ = ["ConstraintSettings", "Rounded", "constrained", "draw_true_target", "is_true_of", "round_length", "step_of"]

KINDS: Mapping[Relation, float] = {
    Relation.ABOUT: 0.40,
    Relation.RANGE: 0.25,
    Relation.AT_LEAST: 0.10,
    Relation.AT_MOST: 0.25,
}
"""Shares of Self-Lengthen's code, in whose English form the third kind is "above" and the fourth "below"."""
_COARSE = 0.2
"""Share of lengths that are rounded to twice the step; theirs."""


@dataclass(frozen=True)
class ConstraintSettings:
    """How demands are drawn.

    Raises:
        ValueError: no unit or kind, a negative share, or a seed below 0.
    """

    units: tuple[Unit, ...] = (Unit.WORDS_MIXED,)
    """Each row gets one of them."""
    kinds: Mapping[Relation, float] = field(default_factory=lambda: dict(KINDS))
    """Kinds of demand by their share; any numbers that are not negative, nor all 0."""
    min_length: int = 1
    """Shorter completions get none, in the row's unit."""
    keep_stated: bool = False
    """Use a prompt that states its length as it stands, where that is true of the completion; else what it says of a
    length is taken out first."""
    seed: int = 0

    def __post_init__(self) -> None:
        object.__setattr__(self, "units", tuple(map(Unit, self.units)))
        kinds = {Relation(kind): share for kind, share in self.kinds.items()}
        object.__setattr__(self, "kinds", kinds)
        if not self.units:
            raise ValueError("a demand needs a unit")
        if not kinds or min(kinds.values()) < 0 or not sum(kinds.values()) > 0:
            raise ValueError(f"shares of kinds are from 0 and not all 0, found {kinds}")
        if self.seed < 0 or self.min_length < 1:
            raise ValueError(f"seed is at least 0 and min_length at least 1, found {self.seed} and {self.min_length}")


class Rounded(NamedTuple):
    """A length in steps."""

    nearest: int
    floor: int
    ceil: int


def round_length(length: int, step: int) -> Rounded:
    """The multiples of `step` nearest to a length (of two equally near ones the even multiple), below and above it."""
    return Rounded(round(length / step) * step, length // step * step, -(-length // step) * step)


def step_of(length: int) -> int:
    """The step to which a length is rounded: 1,000 for 2,000 to 7,999, as in Self-Lengthen, 100 for 200 to 799, and so
    on; between them (800 to 1,999) twice the smaller one."""
    power = 1
    while 20 * power <= length:
        power *= 10
    return power if length < 8 * power else 2 * power


def is_true_of(target: Target, length: int) -> bool:
    """The length satisfies the demand, and LonGen would give it full marks: "at least 2,000" is no fair demand on a
    text of 5,000 words."""
    return length in target.band and longen_score(length, target) == 1.0


def draw_true_target(length: int, unit: Unit, rng: Random, kinds: Mapping[Relation, float] = KINDS) -> Target | None:
    """A round demand that a text of this length satisfies; None where there is none, as for an empty text.

    Where the drawn step is too coarse to be true, finer ones are taken, and in the end the length itself.
    """
    if length < 1:
        return None
    relation = rng.choices(list(kinds), weights=list(kinds.values()))[0]
    step = step_of(length) * (2 if rng.random() < _COARSE else 1)
    found = (_target(relation, round_length(length, size), size, unit) for size in _finer(step))
    return next((target for target in found if target is not None and is_true_of(target, length)), None)


def _finer(step: int) -> Iterator[int]:
    """The step, its half, a fifth and a tenth of it, and so on down to 1."""
    yield step
    for size in (step // 2, step // 5):
        if size > 1:
            yield size
    if step > 1:
        yield from _finer(max(1, step // 10))


def _target(relation: Relation, rounded: Rounded, step: int, unit: Unit) -> Target | None:
    if relation is Relation.RANGE:
        # a length that is a multiple of the step has the same floor and ceiling, which is no range
        high = rounded.ceil if rounded.ceil > rounded.floor else rounded.floor + step
        return Target(rounded.floor, relation, unit, high=high) if rounded.floor >= 1 else None
    by_kind = {Relation.AT_LEAST: rounded.floor, Relation.AT_MOST: rounded.ceil}
    value = by_kind.get(relation, rounded.nearest)
    if value < 1:
        return None
    return Target(value, relation, unit, tolerance=LONGEN_TOLERANCE if relation is Relation.ABOUT else None)


def constrained(
    row: Mapping[str, Any],
    settings: ConstraintSettings,
    *,
    tokenizer: Encoder | None = None,
    source: str = "",
    columns: Columns | None = None,
) -> dict[str, Any] | DropReason:
    """A row of instruction data in TRL's conversational form whose prompt asks for a length that its completion has.

    Adds `target`, `demand` (the phrase; null where the prompt's own was kept), `length` in the target's unit, `words`,
    and `id`, `source` and `licence` where the row lacks them; keeps its other columns. The draw hangs on a hash of seed
    and content: it does not depend on other rows.

    Args:
        row: of any known shape, see `instruction_data.read_instructions`.
        settings: see there.
        tokenizer: for a unit of tokens.
        source: of rows that name none.
        columns: names of columns, instead of the known shapes.

    Raises:
        DataError: columns of no known shape.
        ValueError: a unit of tokens without tokenizer.
    """
    parsed = parse_row(row, columns, source or "row")
    if isinstance(parsed, DropReason):
        return parsed
    name = str(parsed.columns.get("source") or source)
    found = Instruction(parsed.id or "", parsed.messages, parsed.completion, name, parsed.licence).with_id()
    rng = Random(content_digest(settings.seed, found.digest))
    *rest, last = found.messages
    request = last["content"]
    drawn = _demand(request, found.completion, settings, rng, tokenizer)
    if isinstance(drawn, DropReason):
        return drawn
    content, target, phrase, length = drawn
    return {
        **parsed.columns,
        "id": found.id,
        "prompt": [*map(dict, rest), {**last, "content": content}],
        "completion": [{"role": "assistant", "content": found.completion}],
        "target": target.to_row(),
        "demand": phrase,
        "length": length,
        "words": count_length(found.completion, Unit.WORDS_MIXED),
        "source": name,
        "licence": found.licence,
    }


def _demand(
    request: str, text: str, settings: ConstraintSettings, rng: Random, tokenizer: Encoder | None
) -> tuple[str, Target, str | None, int] | DropReason:
    """The request with its demand, the target, the demand's phrase and the text's length."""
    unit = rng.choice(settings.units)
    stated = find_stated_length(request)
    if isinstance(stated, Target) and settings.keep_stated:
        if stated.relation is Relation.EXACT:  # a bare number is about that much, in LonGen as between people
            stated = replace(stated, relation=Relation.ABOUT, tolerance=LONGEN_TOLERANCE)
        length = count_length(text, stated.unit, tokenizer)
        if is_true_of(stated, length):
            return request, stated, None, length
    bare = strip_length_demands(request).strip()
    if not bare or asks_for_length(bare) or find_stated_length(bare) is not Unstated.ABSENT:
        return DropReason.LENGTH_DEMAND
    length = count_length(text, unit, tokenizer)
    language = wording_language(request)
    target = draw_true_target(length, unit, rng, settings.kinds) if length >= settings.min_length else None
    if target is None:
        return DropReason.NO_TRUE_DEMAND
    phrase = draw_phrase(target, language, rng)
    return put_demand(bare, phrase, language, rng), target, phrase, length
