"""One request for a long text, and what follows from it for every call: unit, bounds of a part, prompts, counters."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from lengthctl.decode.agentwrite_context import estimated_tokens, words_of
from lengthctl.decode.agentwrite_options import WritingOptions
from lengthctl.decode.agentwrite_prompts import Wording
from lengthctl.length import Encoder, Target, Unit, count_length
from lengthctl.plans import aimed_length
from lengthctl.prompts import Message

__all__ = ["LongRequest", "Scene"]


@dataclass(frozen=True)
class LongRequest:
    """What is to be written: `messages` ask for it with its length; `request`, where it is there, without."""

    messages: tuple[Message, ...]
    target: Target | None = None
    request: tuple[Message, ...] = ()


class Scene:
    """Of one document.

    Args:
        asked: the conversation, and its target where one is known.
        options: see there.
        tokenizer: counts tokens, which are estimated without; a target in tokens needs it.
    """

    def __init__(self, asked: LongRequest, options: WritingOptions, tokenizer: Encoder | None) -> None:
        messages = asked.request or asked.messages
        self.asked, self.options = asked, options
        self.request = messages[-1]["content"]
        self.unit = Unit.WORDS_MIXED if asked.target is None else asked.target.unit
        self.total = None if asked.target is None else aimed_length(asked.target)
        """Length of the whole; None: nobody names one."""
        per_word = 1 / words_of(1, self.unit, self.request)
        self.floor = max(1, round(options.part_floor * per_word))
        self.ceiling = max(self.floor, round(options.part_ceiling * per_word))
        self.wording = Wording(self.request, self.unit, options.brief)
        self.count: Callable[[str], int] = partial(count_length, unit=self.unit, tokenizer=tokenizer)
        """Length of a text in the unit."""
        self.count_tokens: Callable[[str], int] = (
            estimated_tokens if tokenizer is None else partial(count_length, unit=Unit.TOKENS, tokenizer=tokenizer)
        )
        self._before = messages[:-1]

    @property
    def is_short(self) -> bool:
        """Written in one call."""
        if self.total is None:
            return False
        return words_of(self.total, self.unit, self.request) < self.options.plan_min_words

    def saying(self, text: str) -> tuple[Message, ...]:
        """A conversation: what stands before the request, and this in its place."""
        return (*self._before, {"role": "user", "content": text})
