"""`early_exit`: the thought ends as soon as the model is sure of its answer, which is tried behind each step."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

from lengthctl.decode.control import Context, Draw, Outcome, Steps, Task
from lengthctl.decode.forced_answer import MARKER_TOKENS, answered, closing_ids, thought_ends
from lengthctl.length import Target
from lengthctl.models import LoadedTokenizer
from lengthctl.records import Completion, FinishReason
from lengthctl.registry import register
from lengthctl.rollout.backend import Ability, Sampling

__all__ = ["EarlyExit", "answer_confidence"]


def answer_confidence(logprobs: Sequence[float]) -> float:
    """Geometric mean of the probabilities of a tried answer's tokens, 0 to 1; 0 where there are none.

    Source: DEER, arXiv 2504.15895, its `avg2`; its code divides by zero without tokens.
    """
    return math.exp(sum(logprobs) / len(logprobs)) if logprobs else 0.0


@register("control", "early_exit")
@dataclass(frozen=True)
class EarlyExit:
    """Behind each step of the thought an answer is tried; the first that the model is sure of is the text's.

    Tokens of tried answers count as drawn. Source: DEER, arXiv 2504.15895. Ours: a step ends in `at`, where the paper
    waits for words such as "Wait"; the answer that was tried is kept, where the paper draws it once more; all tokens of
    the answer count, its stop token left out; the answer is sampled at temperature 1.
    """

    tokens: int = 256
    """Budget of the thought; an answer is forced when it is spent."""
    at: str = "\n"
    """What a token that ends a step ends in: many models write a full stop and a line break as one token."""
    confidence: float = 0.95
    """From which an answer is taken, 0 to 1."""
    after: int = 8
    """Tokens of the thought before which nothing is tried."""
    trials: int = 16
    """Most answers tried for a text."""
    end: str | None = None
    """Text of the token that ends the thought, e.g. `</think>`; None: the model's stop token, for models without
    thoughts."""
    answer_prefix: str = "\nFinal Answer:"
    """Written before a tried answer; for models whose answer has a mark, that mark."""
    answer_tokens: int = 32
    """Limit of an answer."""
    needs: ClassVar[frozenset[Ability]] = frozenset({Ability.PREFIX})

    def __post_init__(self) -> None:
        if min(self.tokens, self.answer_tokens, self.trials) < 1 or self.after < 0:
            raise ValueError("tokens, answer_tokens and trials are at least 1, and after at least 0")
        if not 0 < self.confidence <= 1:
            raise ValueError(f"confidence lies above 0 and is 1 at most, found {self.confidence}")

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
        step_ends, ends = tokenizer.ids_ending_in(self.at), thought_ends(tokenizer, self.end)
        ids: tuple[int, ...] = ()
        tried = 0
        while True:
            stops = (*step_ends, *ends) if tried < self.trials else ends
            sampling = replace(context.sampling, max_tokens=self.tokens - len(ids), stop_token_ids=stops)
            (completion,) = yield [Draw(task.messages, sampling, ids)]
            last = completion.token_ids[-1] if completion.finish is FinishReason.EOS and completion.token_ids else None
            ids = (*ids, *completion.token_ids)
            if last is not None and (last in ends or last not in step_ends):
                return (yield from self._ended(task, context, ids, is_closed=last in ends))
            is_spent = last is None or len(ids) >= self.tokens
            if not is_spent and (len(ids) < self.after or tried >= self.trials):
                continue
            tried += 1
            thought, closing = self._before_answer(tokenizer, ids, last)
            (answer,) = yield [Draw(task.messages, self._answer_sampling(context), (*thought, *closing))]
            if is_spent or self._is_sure(answer, tokenizer):
                return answered(tokenizer, (*thought, *closing), answer, forced=len(closing), is_cut=is_spent)

    def _ended(self, task: Task, context: Context, ids: tuple[int, ...], *, is_closed: bool) -> Steps:
        """The model itself ended the text, or the thought: then its answer is drawn."""
        tokenizer = context.tokenizer
        assert tokenizer is not None
        if self.end is None or not is_closed:
            return Outcome(tokenizer.decode(ids), ids, FinishReason.EOS)
        sampling = replace(context.sampling, max_tokens=self.answer_tokens)
        (answer,) = yield [Draw(task.messages, sampling, ids)]
        return answered(tokenizer, ids, answer)

    def _before_answer(
        self, tokenizer: LoadedTokenizer, ids: tuple[int, ...], last: int | None
    ) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """The thought, and what is written behind it. A token that only ends the step is left out; one that says more
        stays, and what it ends in is not written again."""
        is_bare = last is not None and tokenizer.decode([last]).strip() == self.at.strip()
        thought = ids[:-1] if is_bare else ids
        is_written = last is not None and not is_bare and self.end is None
        prefix = self.answer_prefix.removeprefix(self.at) if is_written else self.answer_prefix
        return thought, closing_ids(tokenizer, self.end, prefix, thought=thought)

    def _answer_sampling(self, context: Context) -> Sampling:
        """As the model itself has it: its probabilities are what the confidence is made of."""
        return replace(context.sampling, temperature=1.0, top_p=1.0, top_k=0, max_tokens=self.answer_tokens)

    def _is_sure(self, answer: Completion, tokenizer: LoadedTokenizer) -> bool:
        if answer.is_truncated:
            return False
        pairs = zip(answer.token_ids, answer.logprobs, strict=False)  # an engine may report no probabilities
        return answer_confidence([p for token, p in pairs if token not in tokenizer.stop_token_ids]) >= self.confidence
