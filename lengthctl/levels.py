"""Levels of length that a prompt asks for in words: one registry, so that training and inference ask alike, byte for
byte."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType

__all__ = ["LEVELS", "ask_level"]

LEVELS: Mapping[str, str] = MappingProxyType(
    {
        "short": "Keep your thinking as short as you can.",
        "medium": "Think at moderate length.",
        "long": "Think for as long as you need.",
    }
)
"""What each level says, shortest first. The idea is TLDR's, arXiv 2505.07961, whose words are not published: these are
ours."""


def ask_level(messages: Sequence[Mapping[str, str]], level: str) -> tuple[Mapping[str, str], ...]:
    """A conversation whose last message ends in the words of a level, on a line of their own.

    Raises:
        ValueError: there is no such level.
    """
    if level not in LEVELS:
        raise ValueError(f"a level is one of {', '.join(LEVELS)}, found {level!r}")
    *rest, last = messages
    return (*rest, {**last, "content": f"{last['content']}\n{LEVELS[level]}"})
