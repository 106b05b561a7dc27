"""Hostile text before a judge: shown between marks that it cannot write, and told apart from the judge's own words."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence

__all__ = ["cut_note", "fill_in", "harmless", "mark_of", "own_words"]

_LONGEST_SHOWN = 200_000
"""Characters of a request or a text that the judge is shown; the cut is told outside the marks."""

_LONGEST_VERDICT = 32_000
"""Characters of a verdict that are read, from its end."""
_SHORTEST_COPY = 8
"""Characters of a line that can be told to be a copy: a lone brace cannot."""


def fill_in(form: str, parts: Mapping[str, str]) -> str:
    """Every `{name}` of the form by its part, in one pass: a text that holds `{mark}` must not have it filled in."""
    return re.sub(r"\{(\w+)\}", lambda found: parts[found[1]], form)


def harmless(text: str, names: Sequence[str]) -> str:
    """A text as it may stand between the marks of these names: what looks like such a mark loses its bracket; at most
    200,000 characters."""
    shown = text[:_LONGEST_SHOWN].encode("utf-8", "replace").decode()
    lookalike = rf"<(?=\s*(?:/\s*)?(?:{'|'.join(map(re.escape, names))})-)"
    return re.sub(lookalike, "\u2039", shown, flags=re.IGNORECASE)


def cut_note(name: str, text: str) -> str:
    """A sentence that tells how much of a text is shown; empty where it is shown whole."""
    if len(text) <= _LONGEST_SHOWN:
        return ""
    return f" Of the {name}, the first {_LONGEST_SHOWN} of {len(text)} characters are shown."


def mark_of(value: object) -> str:
    """16 hex digits of a JSON value, which a text cannot hold of itself."""
    return hashlib.sha256(json.dumps(value).encode()).hexdigest()[:16]


def own_words(verdict: str, message: str) -> str:
    """The last 32,000 characters that a judge said behind its reasoning, without the lines of 8 characters and more
    that it repeats from the message.

    Raises:
        ValueError: the reasoning did not end.
    """
    text = verdict.rpartition("</think>")[2]
    if text.lstrip().startswith("<think>"):
        raise ValueError("the reasoning did not end")
    shown = {line.strip() for line in message.split("\n")}
    lines = text[-_LONGEST_VERDICT:].split("\n")
    return "\n".join(ln for ln in lines if len(ln.strip()) < _SHORTEST_COPY or ln.strip() not in shown)
