"""Conditions under which a model reasons at length or briefly: one registry, so that data, training and inference ask
alike, byte for byte."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from types import MappingProxyType

__all__ = ["COMPRESSION_LEVELS", "CONDITIONS", "LONG", "SHORT", "ask_condition", "conditions_digest"]

LONG, SHORT = "long", "short"

COMPRESSION_LEVELS: Mapping[str, float] = MappingProxyType({f"level_{n}": (40 + 10 * n) / 100 for n in range(1, 7)})
"""Share of the long reasoning that is left out at each numbered level, 0 to 1: C3oT's six, weakest first."""

CONDITIONS: Mapping[str, str] = MappingProxyType(
    {
        LONG: "Reason in full detail before you answer.",
        SHORT: "Reason as briefly as possible before you answer.",
        **{
            name: f"Reason at brevity {n} of {len(COMPRESSION_LEVELS)} before you answer."
            for n, name in enumerate(COMPRESSION_LEVELS, 1)
        },
    }
)
"""What each condition says, in front of the question. Source: C3oT, arXiv 2412.11664: plain text, no new vocabulary; it
tells what the two prefixes ask for, and their words are ours, as is the name of a level."""


def ask_condition(messages: Sequence[Mapping[str, str]], condition: str) -> tuple[Mapping[str, str], ...]:
    """A conversation whose last message begins with the words of a condition, on a line of their own.

    Raises:
        ValueError: there is no such condition, or no message.
    """
    if condition not in CONDITIONS:
        raise ValueError(f"a condition is one of {', '.join(CONDITIONS)}, found {condition!r}")
    if not messages:
        raise ValueError("a condition stands in front of a question, and there is none")
    *rest, last = messages
    return (*rest, {**last, "content": f"{CONDITIONS[condition]}\n{last['content']}"})


def conditions_digest() -> str:
    """12 hex digits of all conditions and their words: results of one digest were asked for alike."""
    return hashlib.sha256(json.dumps(dict(CONDITIONS)).encode()).hexdigest()[:12]
