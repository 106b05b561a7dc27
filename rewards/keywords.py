"""KeywordsReward: see the class."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from lengthctl.registry import register
from lengthctl.rewards.completions import Completions, text_of
from lengthctl.rewards.scripts import UNSPACED, script_pattern

__all__ = ["KeywordsReward"]

_UNSPACED = script_pattern(UNSPACED)


@register("reward", "keywords")
@dataclass(frozen=True)
class KeywordsReward:
    """Share of the row's column `keywords` (a list of texts) that the completion holds, in [0, 1]. Ours.

    Compared as whole words, whatever their case, width (NFKC) and spacing; in scripts without spaces anywhere. How
    often one stands there does not matter. None for a row without keywords.
    """

    lowest: ClassVar[float] = 0.0
    highest: ClassVar[float] = 1.0
    columns: ClassVar[tuple[str, ...]] = ("keywords",)

    def __call__(self, completions: Completions, **columns: Any) -> list[float | None]:
        """One value a completion.

        Raises:
            ValueError: the column `keywords` is missing, or a row of it is no list of texts.
        """
        rows = columns.get("keywords")
        if rows is None:
            raise ValueError("the column keywords is missing; give each prompt a list of texts")
        return [_share(text_of(completion), row) for completion, row in zip(completions, rows, strict=True)]


def _share(text: str, keywords: Sequence[str] | None) -> float | None:
    if keywords is None or len(keywords) == 0:
        return None
    if isinstance(keywords, str) or not all(isinstance(word, str) and word.strip() for word in keywords):
        raise ValueError(f"a row of the column keywords is a list of texts, none blank, found {keywords!r:.80}")
    wanted = {_plain(word) for word in keywords}
    plain = _plain(text)
    return sum(_holds(plain, word) for word in wanted) / len(wanted)


def _plain(text: str) -> str:
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())


def _holds(text: str, word: str) -> bool:
    start = text.find(word)
    while start >= 0:
        end = start + len(word)
        if not (_joins(text[start - 1 : start], word[0]) or _joins(word[-1], text[end : end + 1])):
            return True
        start = text.find(word, start + 1)
    return False


def _joins(left: str, right: str) -> bool:
    """Two neighbours are within one word."""
    if not (left and right) or _UNSPACED.match(left) or _UNSPACED.match(right):
        return False
    return all(character.isalnum() or character == "_" for character in (left, right))
