"""Texts as they are compared: without case, punctuation and layout. Digests of contents."""

from __future__ import annotations

import hashlib
import json
import re
import unicodedata
from collections.abc import Iterator, Sequence
from typing import Any

__all__ = ["content_digest", "normal_form", "normal_words", "word_grams"]

_WORD = re.compile(r"[\u3041-\u3096\u30a1-\u30fa\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff]|[^\W_]+")


def normal_form(text: str) -> str:
    """NFKC, lower case, letters and digits only. A text without any keeps its other characters but white space."""
    plain = unicodedata.normalize("NFKC", text).lower()
    return "".join(filter(str.isalnum, plain)) or "".join(plain.split())


def normal_words(text: str) -> list[str]:
    """Words after NFKC in lower case: runs of letters and digits; each ideograph or kana is one. Ours.

    They compare texts; lengths are counted by `length.count_length` alone.
    """
    return _WORD.findall(unicodedata.normalize("NFKC", text).lower())


def word_grams(words: Sequence[str], n: int) -> Iterator[str]:
    """Each run of `n` words, joined by spaces; nothing where there are fewer."""
    return (" ".join(words[i : i + n]) for i in range(len(words) - n + 1))


def content_digest(*parts: Any) -> str:
    """32 hex digits of anything that JSON can write; the same in every process, and for half a surrogate pair too."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True, ensure_ascii=True).encode()).hexdigest()[:32]
