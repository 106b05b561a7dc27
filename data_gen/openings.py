"""A text's openings as texts of their own: what stands up to the end of a sentence, where that has a wanted length.

One long text then teaches several lengths for the same request, so that a model has to read the length off its token
and not off the request. Ours.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import replace

from lengthctl.data_gen.filters import unfinished
from lengthctl.data_gen.instruction_data import Instruction, Instructions
from lengthctl.data_gen.preference_texts import Text
from lengthctl.length import Encoder, count_length
from lengthctl.mlt import split_text
from lengthctl.mlt_table import MltTable
from lengthctl.records import FinishReason
from lengthctl.sentences import sentence_ends

__all__ = ["WithOpenings", "openings", "with_openings"]

_LONGEST = 100_000
"""Characters of a text in which openings are looked for."""


def openings(text: str, table: MltTable, tokenizer: Encoder | None = None) -> dict[str, str]:
    """By the name of a token, the opening in its `data` band that comes closest to its target; the whole text counts.

    Args:
        text: without meta length tokens; its first 100,000 characters are looked at.
        table: the lengths, and their unit.
        tokenizer: for a table in tokens.
    """
    best: dict[str, tuple[float, int]] = {}
    last, text = table.tokens[-1], text[:_LONGEST]
    for end in sentence_ends(text):
        length = count_length(text[:end], table.unit, tokenizer)
        if length > last.data.high or (last.name in best and math.isinf(last.data.high)):
            break  # what is longer is of no more use
        token = table.token_for_text(length)
        if token is not None:
            found = (abs(token.target.reference(length) - length), end)
            best[token.name] = min(best.get(token.name, found), found)
    return {name: text[:end] for name, (_, end) in best.items()}


class WithOpenings(Instructions):
    """The rows of a source, each followed by its openings, which count as ended by us on a whole sentence.

    An opening keeps the row's prompt, and gets its id with `#` and the token's name. Texts that were cut have openings
    too.

    Args:
        rows: the source.
        table: the lengths, and their unit.
        tokenizer: for a table in tokens.
    """

    def __init__(self, rows: Instructions, table: MltTable, tokenizer: Encoder | None = None) -> None:
        self.source = rows.source
        self._whole, self._table, self._tokenizer = rows, table, tokenizer
        self.dropped = rows.dropped  # counted there

    def __iter__(self) -> Iterator[Instruction]:
        """As `Instructions.__iter__`."""
        for row in self._whole:
            yield row
            text = split_text(row.completion, self._table).text.strip()
            for name, part in openings(text, self._table, self._tokenizer).items():
                if part != text or unfinished(text, row.finish):  # else it is the row itself
                    yield replace(row, id=f"{row.id}#{name}", completion=part, finish=FinishReason.CLOSED)


def with_openings(texts: Iterable[Text], table: MltTable, tokenizer: Encoder | None = None) -> Iterator[Text]:
    """Each text and its openings, which are not cut: `WithOpenings` for preference pairs."""
    for text in texts:
        yield text
        if text.target.unit is not table.unit:
            continue
        whole = text.text.strip()
        for part in openings(whole, table, tokenizer).values():
            if part != whole or text.fault is not None:
                length = count_length(part, table.unit, tokenizer)
                whole_sentences = replace(text, finish=FinishReason.CLOSED, is_truncated=False, is_cut=False)
                yield replace(whole_sentences, text=part, length=length, quality=None)
