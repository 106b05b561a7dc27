"""Budget forcing: at least and at most so many tokens of thought, then an answer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

from lengthctl.decode.control import Context, Draw, Outcome, Steps, Task
from lengthctl.decode.forced_answer import MARKER_TOKENS, answered, closing_ids, thought_ends
from lengthctl.length import Target
from lengthctl.records import Completion, FinishReason
from lengthctl.registry import register
from lengthctl.rollout.backend import Ability

__all__ = ["BudgetForcing", "Thought"]


@dataclass
class Thought:
    """A thought under a budget of tokens over all its draws; pure, so that it can be replayed.

    Args:
        budget: tokens of the thought, inserted ones counted, its end left out.
        ignores: times that the end of the thought is taken out and `wait` put in its place.
        wait: what makes the model go on.
    """

    budget: int
    ignores: int
    wait: tuple[int, ...]
    ids: tuple[int, ...] = ()
    forced: int = 0
    is_cut: bool = False
    """The budget ended it, and not the model."""
    is_over: bool = False

    @property
    def left(self) -> int:
        """Tokens that the next draw may have."""
        return self.budget - len(self.ids)

    def take(self, written: Sequence[int], ended: bool) -> None:
        """A draw came back: its tokens without the end of the thought, and whether the model ended it there."""
        self.ids += tuple(written)
        if not ended or len(self.ids) > self.budget:
            self.is_cut, self.is_over = True, True
            self.ids = self.ids[: self.budget]
        elif self.ignores > 0 and self.left > len(self.wait):
            self.ignores -= 1
            self.ids += self.wait
            self.forced += len(self.wait)
        else:
            self.is_over = True


@register("control", "budget")
@dataclass(frozen=True)
class BudgetForcing:
    """The thought gets `tokens` at most; `ignores` times its end is put off by `wait`; then the answer is drawn.

    After a cut the end of the thought and `answer_prefix` are written, so that the model answers. Source: s1,
    arXiv 2501.19393; unlike its code the budget counts over all draws, and a cut thought always gets the prefix (ours).
    """

    tokens: int = 256
    """Budget of the thought."""
    ignores: int = 0
    """Ends of the thought that are put off, at most 6."""
    wait: str = "Wait"
    """What is written instead of an end."""
    start: str = ""
    """Text that opens the thought, e.g. `<think>`; empty where the template does."""
    end: str | None = None
    """Text that ends it, e.g. `</think>`; None: the model's stop token, for models without thoughts."""
    answer_prefix: str = "\nFinal Answer:"
    """Written after a cut."""
    answer_tokens: int = 128
    """Limit of the answer after a thought that took its whole budget."""
    needs: ClassVar[frozenset[Ability]] = frozenset({Ability.PREFIX, Ability.RULES})

    def __post_init__(self) -> None:
        if self.tokens < 1 or self.answer_tokens < 1:
            raise ValueError("tokens and answer_tokens are at least 1")
        if not 0 <= self.ignores <= 6:
            raise ValueError(f"ignores lies between 0 and 6, found {self.ignores}")

    def refuses(self, target: Target | None) -> str | None:
        """Nothing."""
        return None

    def room(self, task: Task, limit: int) -> int:
        """The thought, what is written around it, and the answer."""
        return self.tokens + self.answer_tokens + MARKER_TOKENS

    def steps(self, task: Task, context: Context) -> Steps:
        """See the class."""
        tokenizer = context.tokenizer
        assert tokenizer is not None
        opening = tokenizer.encode(self.start)
        ends = thought_ends(tokenizer, self.end)
        if self.ignores == 0:
            return (yield from self._in_one_request(task, context, opening, ends))
        thought = Thought(self.tokens, self.ignores, tokenizer.encode(self.wait))
        while not thought.is_over:
            sampling = replace(
                context.sampling, max_tokens=thought.left, stop_token_ids=ends, min_tokens=1 if thought.forced else 0
            )
            (completion,) = yield [Draw(task.messages, sampling, (*opening, *thought.ids))]
            written, ended = _without_end(completion, ends)
            thought.take(written, ended)
        body = (*opening, *thought.ids)
        if self.end is None and not thought.is_cut:
            return Outcome(tokenizer.decode(body), body, FinishReason.EOS, forced_tokens=len(opening) + thought.forced)
        closing: tuple[int, ...] = () if self.end is None else ends
        if thought.is_cut:
            closing = closing_ids(tokenizer, self.end, self.answer_prefix, thought=thought.ids)
        before = (*body, *closing)
        (completion,) = yield [Draw(task.messages, replace(context.sampling, max_tokens=self.answer_tokens), before)]
        forced = len(opening) + thought.forced + len(closing)
        return answered(tokenizer, before, completion, forced=forced, is_cut=thought.is_cut)

    def _in_one_request(self, task: Task, context: Context, opening: tuple[int, ...], ends: tuple[int, ...]) -> Steps:
        """Nothing is put off: the engine itself writes the end and the answer's prefix when the budget is spent."""
        tokenizer = context.tokenizer
        assert tokenizer is not None
        closing = closing_ids(tokenizer, self.end, self.answer_prefix)
        sampling = replace(
            context.sampling,
            max_tokens=self.tokens + len(closing) + self.answer_tokens,
            rules={"token_budget": {"limit": self.tokens, "force": closing, "until": ends}},
        )
        (completion,) = yield [Draw(task.messages, sampling, opening)]
        is_cut = completion.token_ids[self.tokens : self.tokens + len(closing)] == closing
        forced = len(opening) + (len(closing) if is_cut else 0)
        return answered(tokenizer, opening, completion, forced=forced, is_cut=is_cut)


def _without_end(completion: Completion, ends: tuple[int, ...]) -> tuple[tuple[int, ...], bool]:
    ids = completion.token_ids
    ended = completion.finish is FinishReason.EOS
    return (ids[:-1] if ended and ids and ids[-1] in ends else ids), ended
