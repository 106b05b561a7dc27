"""ThinkFormatReward: see the class."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from lengthctl.reasoning import THINK_TAGS
from lengthctl.registry import register
from lengthctl.rewards.answers import starts_open
from lengthctl.rewards.completions import Completions, text_of

__all__ = ["ThinkFormatReward"]


@register("reward", "think_format")
@dataclass(frozen=True)
class ThinkFormatReward:
    """1 for one `<think>...</think>` at the start and an answer behind it, neither of them blank, else 0.

    Where the prompt opens the reasoning, the completion is to close it, and opens none.
    Source: the format reward of DeepSeek-R1, arXiv 2501.12948, as TRL's `think_format_reward`, which lets blank
    reasoning and blank answers pass.
    """

    lowest: ClassVar[float] = 0.0
    highest: ClassVar[float] = 1.0

    opened_by_prompt: bool = False
    """The chat template writes `<think>` itself; where prompts are texts, they show it."""

    def __call__(self, completions: Completions, **columns: Any) -> list[float | None]:
        """One value a completion."""
        return [
            float(_is_well_formed(text_of(completion), self.opened_by_prompt or starts_open(columns, place)))
            for place, completion in enumerate(completions)
        ]


def _is_well_formed(text: str, is_opened: bool) -> bool:
    before, opening, rest = ("", "", text) if is_opened else text.partition(THINK_TAGS.opening)
    reasoning, closing, answer = rest.partition(THINK_TAGS.closing)
    if not closing or before.strip() or (not is_opened and not opening):
        return False
    more = THINK_TAGS.opening in rest or THINK_TAGS.closing in answer
    return not more and bool(reasoning.strip()) and bool(answer.strip())
