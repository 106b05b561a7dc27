"""Ask for long or brief reasoning, in the words that training used."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from types import MappingProxyType

from lengthctl.conditions import CONDITIONS, SHORT, ask_condition
from lengthctl.decode.control import Context, Control, Steps, Task
from lengthctl.decode.inner import parse_inner
from lengthctl.length import Target
from lengthctl.registry import did_you_mean, register
from lengthctl.rollout.backend import Ability

__all__ = ["C3oT"]

_WORDS_TOKENS: Mapping[str, int] = MappingProxyType({name: len(words.encode()) for name, words in CONDITIONS.items()})
"""Of no tokenizer more than one a byte."""


@register("control", "c3ot")
@dataclass(frozen=True)
class C3oT:
    """The question begins with a condition, as a model tuned on data of `data c3ot` knows it; `inner` draws the answer.

    For every text, with a length or without. Source: C3oT, arXiv 2412.11664, which infers under the short condition
    alone; the inner control is ours.
    """

    condition: str = SHORT
    """long, short, or level_1 (half of the reasoning left out) to level_6 (all of it)."""
    inner: str = "plain"
    """The control of the answer, as in `inner=stop_temperature`; its options are divided by semicolons, as in
    `stop_temperature:value=1;after=4`."""

    def __post_init__(self) -> None:
        if self.condition not in CONDITIONS:
            hint = did_you_mean(self.condition, CONDITIONS)
            raise ValueError(f"condition is one of {', '.join(CONDITIONS)}, found {self.condition!r}{hint}")
        if self.inner.partition(":")[0].strip() == "c3ot":
            raise ValueError("the control of the answer cannot itself be c3ot")
        _ = self._inner.needs  # it exists, and its options are sound

    @cached_property
    def _inner(self) -> Control:
        return parse_inner(self.inner)

    @property
    def needs(self) -> frozenset[Ability]:
        """Those of the inner control."""
        return self._inner.needs

    def refuses(self, target: Target | None) -> str | None:
        """What the inner control refuses."""
        return self._inner.refuses(target)

    def room(self, task: Task, limit: int) -> int:
        """The condition's words, and what the inner control takes."""
        return self._inner.room(self._asked(task), limit) + _WORDS_TOKENS[self.condition] + 1

    def steps(self, task: Task, context: Context) -> Steps:
        """See the class."""
        return (yield from self._inner.steps(self._asked(task), context))

    def _asked(self, task: Task) -> Task:
        request = ask_condition(task.request, self.condition) if task.request else ()
        return replace(task, messages=ask_condition(task.messages, self.condition), request=request)
