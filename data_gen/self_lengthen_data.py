"""What the two models of Self-Lengthen learn from, and which texts: short ones are left out by chance.

Source: arXiv 2410.23933 and its released code. Ours: lengths are compared in words within a language, draws are seeded,
and the final set has one text an instruction.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from lengthctl.data_gen.filters import DropReason
from lengthctl.data_gen.near_duplicates import NearDuplicates
from lengthctl.data_gen.self_lengthen import words_of
from lengthctl.data_gen.self_lengthen_parts import thin
from lengthctl.data_gen.self_lengthen_prompts import extend_messages
from lengthctl.prompts import Message, stable_hash
from lengthctl.writing_system import writing_system

__all__ = ["Lengthened", "drop_short", "extender_row", "final_rows", "generator_row", "keep_probability"]

T = TypeVar("T")


@dataclass(frozen=True)
class Lengthened:
    """A first response and its extension."""

    id: str
    """Distinct among all rounds."""
    instruction: str
    response: str
    text: str
    round: int
    """From 1."""
    source: str
    """Where the instruction is from."""
    licence: str | None = None
    """Of the instruction."""


def keep_probability(rank: float) -> float:
    """With which a text stays: `max(0, 1 - 2 r^3)`. `rank` is 1 for the shortest, towards 0 for the longest: the
    shortest fifth always goes, the median stays with 0.75, and 0.595 of all texts stay."""
    return max(0.0, 1 - 2 * rank**3)


def drop_short(
    items: Sequence[T], text_of: Callable[[T], str], name_of: Callable[[T], str], *, seed: int, least: int = 20
) -> list[T]:
    """The items that stay, in their order; each by a draw of its own, so the order makes no difference.

    Args:
        items: with distinct names.
        text_of: the text whose words are counted; compared with those in the same writing system.
        name_of: what the draw hangs on, with `seed`.
        seed: of the draws.
        least: with fewer items in a writing system all of them stay.
    """
    sizes = [words_of(text_of(item)) for item in items]
    systems = [writing_system(text_of(item)) for item in items]
    by_system = {
        system: sorted(size for size, its in zip(sizes, systems, strict=True) if its is system)
        for system in set(systems)
    }

    def stays(item: T, size: int, among: Sequence[int]) -> bool:
        if len(among) < least:
            return True
        # equal lengths share their mean rank: else all of them would count as the shortest
        place = (bisect_left(among, size) + bisect_right(among, size) - 1) / 2
        draw = stable_hash(f"{seed}|short|{name_of(item)}") / 2**64
        return draw < keep_probability(1 - place / len(among))

    return [
        item for item, size, system in zip(items, sizes, systems, strict=True) if stays(item, size, by_system[system])
    ]


def generator_row(pair: Lengthened) -> dict[str, Any]:
    """Learn to write the extended text at once."""
    return _row(pair, ({"role": "user", "content": pair.instruction},))


def extender_row(pair: Lengthened, *, keep: float, seed: int) -> dict[str, Any]:
    """Learn to extend: from the first response, some of its lines left out, to the extended text."""
    thinned = thin(pair.response, keep=keep, seed=seed, key=pair.id)
    return _row(pair, extend_messages(pair.instruction, thinned))


def final_rows(
    pairs: Iterable[Lengthened], *, near: float = 0.5, on_drop: Callable[[str, DropReason], None] | None = None
) -> Iterator[dict[str, Any]]:
    """Generator rows of all rounds: of an instruction the longest text, and of texts that are nearly the same one.

    Args:
        pairs: all that passed.
        near: similarity of word 5-grams from which on two texts are one.
        on_drop: told the source and the reason of each that goes.
    """
    tell = on_drop or (lambda source, reason: None)
    best: dict[str, Lengthened] = {}
    for pair in pairs:
        other = best.get(pair.instruction)
        if other is not None:
            tell(pair.source, DropReason.SAME_REQUEST)
        if other is None or words_of(pair.text) > words_of(other.text):
            best[pair.instruction] = pair
    seen = NearDuplicates(threshold=near)
    for pair in best.values():
        reason = seen.seen(pair.text)
        if reason is not None:
            tell(pair.source, reason)
        else:
            yield generator_row(pair)


def _row(pair: Lengthened, prompt: Sequence[Message]) -> dict[str, Any]:
    licence: Mapping[str, Any] = {} if pair.licence is None else {"licence": pair.licence}
    return {
        "prompt": [dict(message) for message in prompt],
        "completion": [{"role": "assistant", "content": pair.text}],
        "id": pair.id,
        "target": None,
        "words": words_of(pair.text),
        "source": pair.source,
        **licence,
        "round": pair.round,
        "first_words": words_of(pair.response),
    }
