"""Let the model count down while it writes: a marker with the words left before every word."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import ClassVar

from lengthctl.decode.control import Context, Draw, Outcome, Steps, Task
from lengthctl.length import Relation, Target, Unit
from lengthctl.registry import register
from lengthctl.rollout.backend import Ability

__all__ = ["Countdown"]

_MARKER = re.compile(r"\s?<\d{1,6}>\s?")
_TOKENS_PER_MARKER = 4
_RULES_TOKENS = 192

_RULES = (
    "Write exactly {n} words and count down while you write. Before every word write a marker with the number of "
    "words that are left, from <{n}> down to <1>. One word follows each marker, punctuation belongs to its word, no "
    "number is left out or repeated. After the word of <1> write <0> and stop. Example for 4 words: "
    "<4>Cats <3>sleep <2>all <1>day.<0>"
)


@register("control", "countdown")
@dataclass(frozen=True)
class Countdown:
    """Countdown prompting: the request gets the rules of a countdown, the markers are taken out afterwards.

    For exact numbers of words. Source: CAPEL, arXiv 2508.13805 (abstract and public summaries); the words are ours.
    Costs some four tokens a word.
    """

    needs: ClassVar[frozenset[Ability]] = frozenset()

    def refuses(self, target: Target | None) -> str | None:
        """All but an exact number of words."""
        exact = (Relation.EXACT, Relation.ABOUT)
        if target is None or target.relation not in exact or target.unit is not Unit.WORDS:
            return "needs an exact number of words"
        return None

    def room(self, task: Task, limit: int) -> int:
        """The rules, a marker a word, and the text."""
        return limit + _RULES_TOKENS + _TOKENS_PER_MARKER * (task.target.value if task.target else 0)

    def steps(self, task: Task, context: Context) -> Steps:
        """See the class."""
        target = task.target
        assert target is not None
        *rest, last = task.request or task.messages
        asked = {**last, "content": f"{last['content']}\n\n{_RULES.format(n=target.value)}"}
        room = context.sampling.max_tokens + _TOKENS_PER_MARKER * target.value
        (completion,) = yield [Draw((*rest, asked), replace(context.sampling, max_tokens=room))]
        text = _MARKER.sub(" ", completion.text).strip()
        ids = () if context.tokenizer is None else context.tokenizer.encode(text)
        return Outcome(text, ids, completion.finish)
