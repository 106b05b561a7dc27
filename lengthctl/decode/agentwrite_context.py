"""What fits into a call of AgentWrite: the limit of a part, and what is shown of a text that has grown too long."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable
from itertools import pairwise

from lengthctl.length import Unit, count_length
from lengthctl.sentences import sentence_ends
from lengthctl.token_rates import expected_tokens
from lengthctl.writing_system import WritingSystem, writing_system

__all__ = ["GAP_MARK", "estimated_tokens", "is_ideographic", "shown_text", "step_limit", "words_of"]

GAP_MARK = "[...]"
"""Stands where a part of the text so far is left out."""
_HEAD_SHARE = 0.1
_LEAST_LIMIT = 256
_PER_WORD, _PER_IDEOGRAPH, _PER_FOREIGN_WORD = 2.0, 1.6, 4.0
_IDEOGRAPHIC = frozenset({WritingSystem.HAN, WritingSystem.KANA})


def is_ideographic(text: str) -> bool:
    """Chinese or Japanese: a character is about as much as a word of other languages."""
    return writing_system(text) in _IDEOGRAPHIC


def words_of(length: float, unit: Unit, request: str) -> float:
    """A length in `unit` as words, about; an ideograph counts as one."""
    if unit is Unit.CHARACTERS and is_ideographic(request):
        return length
    return expected_tokens(length, unit) / expected_tokens(1, Unit.WORDS)


def step_limit(length: int, unit: Unit, request: str) -> int:
    """Tokens that a part of this length may have, >= 256: 2.0 a word, 1.6 an ideograph, 4.0 a word in other scripts
    than Latin, whose words few tokenizers hold whole. Ours."""
    if unit is Unit.TOKENS:
        return max(_LEAST_LIMIT, round(1.5 * length))
    system = writing_system(request)
    rate = _PER_IDEOGRAPH if system in _IDEOGRAPHIC else _PER_FOREIGN_WORD
    if system in (None, WritingSystem.LATIN):
        rate = _PER_WORD
    return max(_LEAST_LIMIT, round(rate * words_of(length, unit, request)))


def estimated_tokens(text: str) -> int:
    """Tokens of a text without its tokenizer, rather too many: 2 a word or ideograph, or a third of its bytes."""
    return max(2 * count_length(text, Unit.WORDS_MIXED), -(-len(text.encode("utf-8", "replace")) // 3))


def shown_text(text: str, budget: int, count: Callable[[str], int] = estimated_tokens) -> str:
    """The text, or its first tenth and as much of its end as there is room for, with a mark between; cut behind whole
    sentences where that leaves anything of its end.

    Args:
        text: what stands.
        budget: tokens at most, the mark not counted; 0 shows nothing.
        count: tokens of a text; those of sentences add up to about those of the text.
    """
    if count(text) <= budget:
        return text
    edges = [0, *(end for end in sentence_ends(text) if end < len(text.rstrip())), len(text)]
    head, used = 0, 0
    for start, end in pairwise(edges):
        used += count(text[start:end])
        if used > budget * _HEAD_SHARE:
            break
        head = end
    tail, left = len(text), budget - count(text[:head])
    for start, end in pairwise(edges[::-1]):
        left -= count(text[end:start])
        if left < 0 or end < head:
            break
        tail = end
    if tail == len(text):  # not even one sentence has room
        last = text[edges[-2] :]
        room = budget - count(text[:head])
        # what stands behind an offset falls as the offset grows, so its negative rises
        tail = edges[-2] + bisect_left(range(len(last)), -room, key=lambda offset: -count(last[offset:]))
    return f"{text[:head]}\n\n{GAP_MARK}\n\n{text[tail:].lstrip()}".strip()
