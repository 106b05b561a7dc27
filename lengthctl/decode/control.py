"""What a control is: a conversation with the backend, written as a generator, that ends in one text.

`steps` yields lists of `Draw`, is sent the completions of each list, and returns an `Outcome`. `run.py` puts the draws
of many tasks together into few calls of a backend, so that one batch mixes controls.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from lengthctl.length import Target, count_length
from lengthctl.models import LoadedTokenizer
from lengthctl.prompts import Message
from lengthctl.records import Completion, FinishReason
from lengthctl.rollout.backend import Ability, Sampling

__all__ = ["Context", "Control", "Draw", "Outcome", "Steps", "Task", "needs_a_length", "outcome_of"]


@dataclass(frozen=True)
class Task:
    """One text to be written.

    `messages` ask for it with its length, `request` without, for controls that word the length themselves.
    """

    id: str
    messages: tuple[Message, ...]
    target: Target | None = None
    request: tuple[Message, ...] = ()
    group: str = ""
    """Tasks of one group share their prompt."""
    limit: int | None = None
    """Of this text, in tokens; None: the sampling's."""


@dataclass(frozen=True)
class Context:
    """What every control may use."""

    sampling: Sampling
    """Temperature, top_p, top_k and the limit."""
    tokenizer: LoadedTokenizer | None = None
    """Of the model; None with an endpoint."""

    def limited(self, max_tokens: int) -> Context:
        """The same with another limit."""
        return replace(self, sampling=replace(self.sampling, max_tokens=max_tokens))

    def count(self, text: str, target: Target) -> int:
        """Length of a text in the target's unit."""
        tokenizer = None if self.tokenizer is None else self.tokenizer.tokenizer
        return count_length(text, target.unit, tokenizer)

    def misses_by(self, text: str, target: Target) -> float:
        """Distance of the text's length from the target, 0 on it; from the nearest allowed length for the others."""
        length = self.count(text, target)
        return abs(length - target.reference(length))


@dataclass(frozen=True)
class Draw:
    """One completion wanted: of a conversation, from given first tokens of the answer on."""

    messages: tuple[Message, ...]
    sampling: Sampling
    prefix: tuple[int, ...] = ()
    template_values: Mapping[str, Any] = field(default_factory=dict)
    """For the chat template of a server."""
    prefill: str = ""
    """First words of the answer, given; `prefix` follows them, and what comes back follows both."""


@dataclass(frozen=True)
class Outcome:
    """The text that a control settled for.

    `token_ids` of the text, with the stop token where it is a completion as it came; empty with endpoints.
    `drawn_tokens` and `draws` count everything that was sampled for it, `prompt_tokens` what was read each time, as far
    as it is known.
    """

    text: str
    token_ids: tuple[int, ...]
    finish: FinishReason
    drawn_tokens: int = 0
    prompt_tokens: int = 0
    draws: int = 0
    is_cut: bool = False
    """Ended inside a sentence by the control."""
    forced_tokens: int = 0
    """Written by the control and not by the model."""
    lead: str | None = None
    """Name of the meta length token that stood before the text; None: none did."""
    error: str | None = None
    source: Completion | None = None
    """The completion that the text is, where it is one as it came."""

    @property
    def tokens(self) -> int:
        """Of the text, as far as they are known."""
        return len(self.token_ids) or (self.source.tokens if self.source is not None else 0)


Steps = Generator[Sequence[Draw], Sequence[Completion], Outcome]


class Control(Protocol):
    """A way to make a text come out at its length. Fields of the implementing dataclass are its options."""

    @property
    def needs(self) -> frozenset[Ability]:
        """Abilities without which the backend is refused."""
        ...

    def refuses(self, target: Target | None) -> str | None:
        """Why it can do nothing for such a target (None: a text whose length nobody names); None: it can."""
        ...

    def room(self, task: Task, limit: int) -> int:
        """Tokens that the conversation may come to, beside the task's own messages; `limit` is the sampling's."""
        ...

    def steps(self, task: Task, context: Context) -> Steps:
        """See the module."""
        ...


def needs_a_length(target: Target | None) -> str | None:
    """`Control.refuses` of controls that take any target."""
    return "needs a length" if target is None else None


def outcome_of(completion: Completion) -> Outcome:
    """A completion as it came."""
    return Outcome(completion.text, completion.token_ids, completion.finish, source=completion)
