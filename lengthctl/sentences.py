"""Where a text could end: behind whole sentences."""

from __future__ import annotations

import re

__all__ = ["sentence_ends"]

_END = re.compile(r"[.!?\u2026]+[\"'\u201d\u2019)\]*_]{0,4}(?=\s|$)|[\u3002\uff01\uff1f]+[\u300d\u300f\u201d]{0,2}")
_ABBREVIATIONS = frozenset(
    {"mr", "mrs", "ms", "dr", "prof", "st", "rev", "hon", "gen", "col", "capt", "jr", "sr"}
    | {"vs", "etc", "e.g", "i.e", "eg", "ie", "cf", "al", "approx", "fig", "vol", "pp", "dept", "inc", "ltd"}
    | {"jan", "feb", "mar", "apr", "jun", "jul", "aug", "sep", "sept", "oct", "nov", "dec", "u.s", "u.k"}
)
_LAST_WORD = re.compile(r"(?:^|[\s(\"'\u201c])([\w.'-]{1,20})$")


def sentence_ends(text: str) -> list[int]:
    """Offsets behind the closing marks of every sentence, rising; text[:offset] ends on a whole sentence.

    Not ends: abbreviations, initials, the numbers of a list, and a full stop before a small letter.
    A mark at the very end of the text counts. Ours; for English, and the full-width marks of Chinese and Japanese.
    """
    return [match.end() for match in _END.finditer(text) if _is_end(text, match.start(), match.end())]


def _is_end(text: str, start: int, end: int) -> bool:
    if text[start] != ".":
        return True
    following = text[end : end + 8].lstrip()
    if following and following[0].islower():
        return False
    word = _LAST_WORD.search(text[max(0, start - 24) : start])
    if word is None:
        return start > 0 and not text[start - 1].isspace()
    last = word.group(1)
    if last.lower() in _ABBREVIATIONS or (len(last) == 1 and last.isalpha() and last.isupper() and last != "I"):
        return False
    if not last.replace(".", "").isdigit():
        return True
    before = text[max(0, start - 40) : start - len(last)].rstrip(" \t*#-(")
    return bool(before) and before[-1] not in "\n.!?:;"
