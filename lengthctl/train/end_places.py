"""Where in a completion a text could end: token places behind whole sentences. Ours."""

from __future__ import annotations

from collections.abc import Sequence

from lengthctl.models import LoadedTokenizer
from lengthctl.sentences import sentence_ends

__all__ = ["find_end_places"]

_WINDOW = 16
"""Tokens that are read again before a place, at least: far more than a character has."""
_HALF = "\ufffd"
"""What a decoder writes for a part of a character."""


def find_end_places(tokenizer: LoadedTokenizer, completion_ids: Sequence[int]) -> tuple[int, ...]:
    """Places of tokens that stand behind a whole sentence, the stop token's among them: where a text ends is decided
    there, and nowhere else.

    Before each place a few tokens are decoded, never all: the work grows with the number of tokens. A place inside a
    mark of several tokens is none.
    """
    ids = list(completion_ids)
    text = tokenizer.decode(ids)
    ends = set(sentence_ends(text))
    places = {len(ids) - 1}
    start = shift = 0  # ids[:start + n] have `shift` characters more than ids[start : start + n], whatever n is
    for place in range(1, len(ids)):
        if place - start >= 3 * _WINDOW:
            known = _whole(tokenizer, ids, start, place - 1)
            new = _whole(tokenizer, ids, start, known - _WINDOW)
            shift += len(tokenizer.decode(ids[start:known])) - len(tokenizer.decode(ids[new:known]))
            start = new
        piece = tokenizer.decode(ids[place - 1 : place]).rstrip()
        if not piece or piece[-1].isalnum():
            continue
        written = tokenizer.decode(ids[start:place]).rstrip()
        length = shift + len(written)
        if length in ends and text[:length].endswith(written[-1:]):
            places.add(place)
    return tuple(sorted(places))


def _whole(tokenizer: LoadedTokenizer, ids: Sequence[int], start: int, most: int) -> int:
    """The last place up to `most` before which no character is half written; `most` where there is none near."""
    near = range(most, most - _WINDOW // 2, -1)
    return next((place for place in near if not tokenizer.decode(ids[start:place]).endswith(_HALF)), most)
