"""Text of models and users, made fit to be shown: no control characters, bounded, its full size told."""

from __future__ import annotations

import re

__all__ = ["shown"]

# C0 and C1 but for tab and line feed, marks that turn or hide text, tags, surrogates that UTF-8 cannot hold
_UNFIT = re.compile(
    r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200b\u200e\u200f\u202a-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb"
    r"\ud800-\udfff\U000e0000-\U000e007f]"
)
_BYTES_PER_CHARACTER = {"&": 5, "<": 4, ">": 4, '"': 5, "'": 5}
"""Of what an escaping template writes longer than it is."""


def shown(text: str, characters: int, *, size: int | None = None) -> str:
    """At most `characters` of a text, and at most `size` bytes once it is escaped for HTML and encoded as UTF-8.

    Control and bidirectional characters become U+FFFD; "\\r\\n" becomes "\\n". A text that is cut ends in " ... (N
    characters in all)". Escaping itself is the template's.
    """
    part = text[: characters + 1].replace("\r\n", "\n")
    clean = _UNFIT.sub("\ufffd", part)[:characters]
    kept = len(clean)
    if size is not None:
        for place, character in enumerate(clean):
            size -= _BYTES_PER_CHARACTER.get(character) or len(character.encode())
            if size < 0:
                kept = place
                break
    if kept == len(clean) and len(text) <= characters:
        return clean
    return f"{clean[:kept]} ... ({len(text)} characters in all)"
