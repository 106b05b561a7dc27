"""The interface that everything which turns prompts into completions fulfils."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Protocol

from lengthctl.length import Target
from lengthctl.prompts import stable_hash
from lengthctl.records import Completion

__all__ = [
    "Ability",
    "Backend",
    "OnCompletion",
    "Request",
    "Sampling",
    "allowed_failures",
    "answer_in_turn",
    "request_seed",
]


class Ability(StrEnum):
    """What a backend can do beyond answering a conversation."""

    PREFIX = "prefix"
    """Go on from given tokens of an answer, and hold its end back."""
    PREFILL = "prefill"
    """Go on from given words of an answer."""
    RULES = "rules"
    """Change logits by the rules of `decode/logit_rules.py`."""
    LOGIT_BIAS = "logit_bias"
    """Add constants to logits."""
    TEMPLATE = "template"
    """Hand values to the chat template, as servers do."""


@dataclass(frozen=True, kw_only=True)  # else one more setting would shift the others
class Sampling:
    """How one request is sampled.

    `top_p` below 1, `top_k` above 0 and a `repetition_penalty` cut or bend the distribution, which biases the
    correction for the sampler/trainer mismatch: training refuses them.
    """

    temperature: float = 1.0
    top_p: float = 1.0
    top_k: int = 0
    repetition_penalty: float = 1.0
    """By which positive logits of tokens that occurred, in the prompt too, are divided, and negative ones multiplied;
    above 0, 1 changes nothing (CTRL, arXiv 1909.05858)."""
    max_tokens: int = 256
    """The limit: completion tokens, the stop token counted."""
    seed: int | None = None
    """Of this request alone; None draws from the engine's stream, which follows the timing of requests."""
    min_tokens: int = 0
    """The stop tokens are held back until so many tokens stand."""
    stop_token_ids: tuple[int, ...] = ()
    """Tokens that end it, beside the model's own."""
    logit_bias: Mapping[int, float] = field(default_factory=dict)
    """Added to the logits of these tokens, from first to last."""
    rules: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """By name, the logit rules of `decode/logit_rules.py` and their settings."""


@dataclass(frozen=True)
class Request:
    """One prompt that wants one completion.

    Engines read `prompt_ids`, endpoints read `messages`; `group` names requests that share a prompt, and `target`
    tells a scheduler what length to expect.
    """

    id: str
    prompt_ids: tuple[int, ...]
    sampling: Sampling
    messages: tuple[Mapping[str, str], ...] = ()
    group: str = ""
    target: Target | None = field(default=None)
    template_values: Mapping[str, Any] = field(default_factory=dict)
    """What an endpoint hands to its chat template, beside the messages."""
    prefill: str = ""
    """First words of the answer, given: an endpoint shows them to the model as begun, for an engine their tokens stand
    at the end of `prompt_ids`. The completion holds what comes behind them."""


def request_seed(run_seed: int, name: str) -> int:
    """31 bits for one request of a run, from what names it there."""
    return stable_hash(f"{run_seed}|{name}") % 2**31


def allowed_failures(budget: float, requests: int) -> float:
    """Failures that a call may have: a share of its requests, and one at least unless the budget is 0."""
    return max(1.0, budget * requests) if budget > 0 else 0.0


OnCompletion = Callable[[Completion], Iterable[Request] | None]
"""Sees a completion; the requests that it returns join the call under way."""


def answer_in_turn(
    requests: Sequence[Request], answer: Callable[[Request], Completion], on_completion: OnCompletion | None
) -> list[Completion]:
    """`Backend.generate` of a backend that answers one request after another."""
    todo, done = deque(requests), []
    while todo:
        completion = answer(todo.popleft())
        done.append(completion)
        if on_completion is not None:
            todo.extend(on_completion(completion) or ())
    return done


class Backend(Protocol):
    """A source of completions."""

    abilities: frozenset[Ability]

    def generate(self, requests: Sequence[Request], on_completion: OnCompletion | None = None) -> list[Completion]:
        """One completion a request, in the order of the requests; `on_completion` sees each as it ends.

        Requests that `on_completion` returns join the call: they are begun as soon as there is room for them, count for
        the failure budget, and their completions stand behind the others, in the order in which they were added. Ids
        are distinct over the whole call.

        A request that fails is a completion with `finish` ERROR and a cause, never an exception, until the failure
        budget is used up.

        Raises:
            EngineError, EndpointError: nothing can be generated any more.
            FailureBudgetError: too many completions failed.
        """
        ...

    def close(self) -> None:
        """Release engines and connections; safe to call twice."""
        ...
