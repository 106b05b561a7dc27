"""`answer_now`: the thought ends at a number of tokens, whatever it has come to, and the answer follows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from lengthctl.decode.budget import BudgetForcing
from lengthctl.decode.control import Context, Steps, Task
from lengthctl.length import Target
from lengthctl.registry import register
from lengthctl.rollout.backend import Ability

__all__ = ["AnswerNow"]


@register("control", "answer_now")
@dataclass(frozen=True)
class AnswerNow:
    """A hard limit on the thought with an answer forced behind it, drawn in one request: the baseline that every way to
    shorten thoughts has to beat.

    It is `budget` without a thought that is prolonged: `budget:tokens=N` draws the same texts. Texts that end within
    the limit are left as they are. For models whose answer has a mark, let `answer_prefix` be that mark. Source: the
    maximum of budget forcing, arXiv 2501.19393.
    """

    tokens: int = 64
    """Tokens of the thought, at most."""
    end: str | None = None
    """Text of the token that ends the thought, e.g. `</think>`; None: the model's stop token, for models without
    thoughts."""
    answer_prefix: str = "\nFinal Answer:"
    """Written behind a thought that was cut."""
    answer_tokens: int = 32
    """Limit of the answer behind it."""
    needs: ClassVar[frozenset[Ability]] = BudgetForcing.needs

    def __post_init__(self) -> None:
        _ = self._forcing  # tells what is out of range

    @property
    def _forcing(self) -> BudgetForcing:
        return BudgetForcing(
            tokens=self.tokens, end=self.end, answer_prefix=self.answer_prefix, answer_tokens=self.answer_tokens
        )

    def refuses(self, target: Target | None) -> str | None:
        """Nothing."""
        return None

    def room(self, task: Task, limit: int) -> int:
        """The thought, the prefix and the answer."""
        return self._forcing.room(task, limit)

    def steps(self, task: Task, context: Context) -> Steps:
        """See the class."""
        return (yield from self._forcing.steps(task, context))
