"""Tokens of an answer with the places where it could end."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import accumulate

from lengthctl.degeneration import is_finished
from lengthctl.sentences import sentence_ends

__all__ = ["Ending", "endings", "token_texts"]

_WINDOW = 4


@dataclass(frozen=True)
class Ending:
    """A place behind a whole sentence: the text up to there, how many tokens make it, and its length."""

    text: str
    tokens: int
    length: int


def token_texts(ids: Sequence[int], decode: Callable[[Sequence[int]], str]) -> list[str]:
    """What each token adds to the text. Decoded beside the few before it, so that a character of several tokens comes
    whole with its last one, and the cost grows with the number of tokens."""
    texts = []
    start = 0
    for index in range(len(ids)):
        before, after = decode(ids[start:index]), decode(ids[start : index + 1])
        if after.endswith("\ufffd"):  # a character is not whole yet
            texts.append("")
            continue
        texts.append(after[len(before.rstrip("\ufffd")) :])
        start = max(start, index + 1 - _WINDOW)
    return texts


def endings(
    ids: Sequence[int],
    decode: Callable[[Sequence[int]], str],
    count: Callable[[str], int],
    *,
    is_natural: bool,
) -> list[Ending]:
    """Where a text of these tokens (without stop token) could end, first to last.

    Args:
        ids: (n,) tokens.
        decode: ids to text.
        count: length of a text.
        is_natural: the model ended it there; else a mark at the very end is not trusted, what follows may belong to it.
    """
    parts = token_texts(ids, decode)
    sizes = list(accumulate(map(len, parts)))
    text = "".join(parts)
    found = []
    token = 0
    for offset in sentence_ends(text):
        while sizes[token] < offset:
            token += 1
        rest = text[offset : sizes[token]]
        is_last = sizes[token] == len(text.rstrip()) or offset >= len(text.rstrip())
        if (is_last and not is_natural) or rest.strip() or not is_finished(text[:offset]):
            continue
        found.append(Ending(text[:offset], token + 1, count(text[:offset])))
    return found
