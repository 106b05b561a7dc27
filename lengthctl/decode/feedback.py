"""Tell the model, at every sentence end, how much it has written."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import ClassVar

from lengthctl.decode.control import Context, Draw, Outcome, Steps, Task, needs_a_length
from lengthctl.decode.draft import endings
from lengthctl.length import Target
from lengthctl.prompts import describe_target, name_unit
from lengthctl.records import FinishReason
from lengthctl.registry import register
from lengthctl.rollout.backend import Ability

__all__ = ["Feedback"]

_EXPLANATION_TOKENS = 80
_ROUNDS_PER_CHUNK = 8
"""So many sentences a chunk are ample; it bounds what a text of one-word sentences costs."""


@dataclass
class _Text:
    """The answer as the model sees it, with markers, and as it is read, without."""

    seen: tuple[int, ...] = ()
    own: tuple[int, ...] = ()
    text: str = ""
    forced: int = 0


@register("control", "feedback")
@dataclass(frozen=True)
class Feedback:
    """Dynamic length feedback: the text is interrupted at sentence ends, and a marker with its length so far is put in.

    The prompt explains the markers; they are taken out afterwards. Source: arXiv 2601.01768 (abstract and public
    summary); the words, the size of a draw and the limit are ours.
    """

    chunk: int = 48
    """Tokens of a draw: the first sentence of it is kept, and what follows is drawn again behind the marker."""
    needs: ClassVar[frozenset[Ability]] = frozenset({Ability.PREFIX})

    def __post_init__(self) -> None:
        if self.chunk < 1:
            raise ValueError(f"chunk is at least 1, found {self.chunk}")

    def refuses(self, target: Target | None) -> str | None:
        """A text without a length."""
        return needs_a_length(target)

    def room(self, task: Task, limit: int) -> int:
        """The text, what explains the markers, and a marker a sentence; at worst as long as the text."""
        return 2 * limit + _EXPLANATION_TOKENS

    def steps(self, task: Task, context: Context) -> Steps:
        """See the class."""
        target, tokenizer = task.target, context.tokenizer
        assert target is not None
        assert tokenizer is not None
        messages = _explained(task, target)
        so_far = _Text()
        left = context.sampling.max_tokens
        rounds = _ROUNDS_PER_CHUNK * math.ceil(left / self.chunk)
        while left > 0 and so_far.forced < context.sampling.max_tokens and rounds > 0:
            rounds -= 1
            sampling = replace(context.sampling, max_tokens=min(self.chunk, left))
            (completion,) = yield [Draw(messages, sampling, so_far.seen)]
            natural = completion.finish is FinishReason.EOS
            written = completion.token_ids[:-1] if natural else completion.token_ids
            found = endings(written, tokenizer.decode, len, is_natural=natural)
            kept = written if natural and len(found) < 2 else written[: found[0].tokens] if found else written
            left -= max(1, len(kept))
            so_far.own += kept
            so_far.text = tokenizer.decode(so_far.own)
            so_far.seen += kept
            if natural and len(kept) == len(written):
                return Outcome(so_far.text, so_far.own, FinishReason.EOS, forced_tokens=so_far.forced)
            if len(kept) < len(written) or found:
                marker = tokenizer.encode(f" {_marker(context.count(so_far.text, target), target)}")
                so_far.seen += marker
                so_far.forced += len(marker)
        return Outcome(so_far.text, so_far.own, FinishReason.LIMIT, forced_tokens=so_far.forced)


def _explained(task: Task, target: Target) -> tuple[dict[str, str], ...]:
    *rest, last = (dict(m) for m in task.messages)
    middle = math.ceil(target.value / 2)
    words = (
        f"While you write, a note such as {_marker(middle, target)} will tell how much stands so far. "
        f"Do not write such notes. End when the text has {describe_target(target)}."
    )
    return (*rest, {**last, "content": f"{last['content']}\n\n{words}"})


def _marker(length: int, target: Target) -> str:
    return f"[{length} {name_unit(target.unit, length)} so far]"
