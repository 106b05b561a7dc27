"""An answer behind a thought that was ended: what ends the thought, what begins the answer, and the text of both."""

from __future__ import annotations

from collections.abc import Sequence

from lengthctl.decode.control import Outcome
from lengthctl.models import LoadedTokenizer
from lengthctl.records import Completion, FinishReason

__all__ = ["MARKER_TOKENS", "answered", "closing_ids", "thought_ends"]

MARKER_TOKENS = 64
"""Room for the texts that open a thought, end it and begin its answer."""


def thought_ends(tokenizer: LoadedTokenizer, end: str | None) -> tuple[int, ...]:
    """Tokens that end a thought: the one of the text `end`; None: the model's stop tokens, for models without thoughts.

    Raises:
        ModelError: `end` is not one token of the model.
    """
    return tokenizer.stop_token_ids if end is None else (tokenizer.single_id(end),)


def closing_ids(
    tokenizer: LoadedTokenizer, end: str | None, answer_prefix: str, *, thought: Sequence[int] = ()
) -> tuple[int, ...]:
    """What is written behind a thought that is cut: its end on a line of its own and the answer's prefix; of models
    without thoughts (`end` None) the prefix alone.

    Args:
        tokenizer: of the model.
        end: text of the token that ends thoughts.
        answer_prefix: text that the answer begins with.
        thought: what was cut, where it is known: a line break is not doubled.

    Raises:
        ModelError: as `thought_ends`.
    """
    prefix = tokenizer.encode(answer_prefix)
    if end is None:
        return prefix
    has_break = tokenizer.decode(thought).endswith("\n")
    return (*(() if has_break else tokenizer.encode("\n")), *thought_ends(tokenizer, end), *prefix)


def answered(
    tokenizer: LoadedTokenizer,
    before: tuple[int, ...],
    completion: Completion,
    *,
    forced: int = 0,
    is_cut: bool = False,
) -> Outcome:
    """A completion behind what stands before it, as one text.

    Args:
        tokenizer: of the model.
        before: the thought, and what was written behind it.
        completion: the answer.
        forced: tokens of the text that the model did not write.
        is_cut: the budget ended the thought; an answer that its own limit ended says that instead.
    """
    ids = (*before, *completion.token_ids)
    finish = FinishReason.BUDGET if is_cut and not completion.is_truncated else completion.finish
    return Outcome(tokenizer.decode(ids), ids, finish, forced_tokens=forced)
