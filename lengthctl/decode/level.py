"""Ask for a short, a medium or a long answer, in the words that training used."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import ClassVar

from lengthctl.decode.control import Context, Draw, Steps, Task, outcome_of
from lengthctl.length import Target
from lengthctl.levels import LEVELS, ask_level
from lengthctl.registry import did_you_mean, register
from lengthctl.rollout.backend import Ability

__all__ = ["Level"]

_WORDS_TOKENS: Mapping[str, int] = MappingProxyType({name: len(words.encode()) for name, words in LEVELS.items()})
"""Of no tokenizer more than one a byte."""


@register("control", "level")
@dataclass(frozen=True)
class Level:
    """Level prompting: the request ends in the words of a level, as a model trained with `prompts.levels` knows them.

    For every text, with a length or without. Source: TLDR, arXiv 2505.07961; the words are ours.
    """

    needs: ClassVar[frozenset[Ability]] = frozenset()

    name: str = "short"
    """short, medium or long."""

    def __post_init__(self) -> None:
        if self.name not in LEVELS:
            known = ", ".join(LEVELS)
            raise ValueError(f"name is one of {known}, found {self.name!r}{did_you_mean(self.name, LEVELS)}")

    def refuses(self, target: Target | None) -> str | None:
        """Nothing."""
        return None

    def room(self, task: Task, limit: int) -> int:
        """The level's words and the text."""
        return limit + _WORDS_TOKENS[self.name] + 1

    def steps(self, task: Task, context: Context) -> Steps:
        """See the class."""
        (completion,) = yield [Draw(ask_level(task.messages, self.name), context.sampling)]
        return outcome_of(completion)
