"""Completions taken apart for the rewards that look for a final answer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lengthctl.reasoning import Reasoned, opens_reasoning, parse_reasoning
from lengthctl.rewards.completions import Completions, text_of

__all__ = ["read_completions", "starts_open"]


def read_completions(completions: Completions, columns: Mapping[str, Any]) -> list[Reasoned]:
    """Each completion by `parse_reasoning`, in order."""
    return [
        parse_reasoning(text_of(completion), starts_open=starts_open(columns, place))
        for place, completion in enumerate(completions)
    ]


def starts_open(columns: Mapping[str, Any], place: int) -> bool:
    """The prompt of this completion opens reasoning, as far as the column `prompts` shows it: as text, or by a message
    of the assistant that is begun. What a chat template adds behind messages is not to be seen here."""
    prompts = columns.get("prompts")
    if prompts is None:
        return False
    prompt = prompts[place]
    if not isinstance(prompt, str):
        is_begun = bool(prompt) and prompt[-1].get("role") == "assistant"
        prompt = text_of(prompt) if is_begun else ""
    return isinstance(prompt, str) and opens_reasoning(prompt)  # messages may hold images in place of text
