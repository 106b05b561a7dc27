"""What a data command will ask for and what that costs, told before anything is started."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, TypeVar

from lengthctl.decode.flow import Call, FlowFailedError
from lengthctl.length import Unit
from lengthctl.prompts import describe_target
from lengthctl.token_rates import expected_tokens

if TYPE_CHECKING:
    from lengthctl.models import LoadedTokenizer
    from lengthctl.pipelines.document_room import Document

__all__ = ["Estimate", "Prices", "describe_first_calls", "dry_run", "estimate_calls", "first_calls", "limited"]

R = TypeVar("R")

_OUTSIDE_ASCII = re.compile(r"[^\x00-\x7f]")
_TURN_TOKENS = 8
"""What a chat template puts around a message, about."""
_SHOWN = 4000
"""Characters of a message that are shown."""


@dataclass(frozen=True)
class Prices:
    """Of a million tokens, in any currency.

    Raises:
        ValueError: a price below 0.
    """

    per_million_in: float
    """Of prompts."""
    per_million_out: float
    """Of completions."""

    def __post_init__(self) -> None:
        if not (self.per_million_in >= 0 and self.per_million_out >= 0):
            raise ValueError(f"a price is 0 or more, found {self.per_million_in} and {self.per_million_out}")

    def cost(self, prompt_tokens: int, completion_tokens: int) -> float:
        """Of so many tokens."""
        return (prompt_tokens * self.per_million_in + completion_tokens * self.per_million_out) / 1e6


@dataclass(frozen=True)
class Estimate:
    """Calls and tokens that are expected; adds up."""

    calls: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0

    def __add__(self, other: Estimate) -> Estimate:
        return Estimate(
            self.calls + other.calls,
            self.prompt_tokens + other.prompt_tokens,
            self.completion_tokens + other.completion_tokens,
        )


def limited(documents: Iterable[Document[R]], limit: int | None) -> Iterator[Document[R]]:
    """The first `limit` documents, no more than these read; None: all."""
    return islice(iter(documents), limit)


def first_calls(document: Document[R]) -> Sequence[Call]:
    """What a document asks for before it has any answer; empty where it asks for nothing, or fails at once."""
    flow = document.flow()
    try:
        return tuple(next(flow))
    except (StopIteration, FlowFailedError):
        return ()
    finally:
        flow.close()


def estimate_calls(calls: Iterable[Call], tokenizer: LoadedTokenizer | None = None) -> Estimate:
    """Tokens of calls: of prompts counted with a tokenizer, else a quarter for an ASCII character and one for any other
    (ours); of completions as many as the target needs, or the whole limit where there is none."""
    total = Estimate()
    for call in calls:
        drawn = call.max_tokens if call.target is None else _needed(call)
        total += Estimate(1, _prompt_tokens(call, tokenizer), min(drawn, call.max_tokens))
    return total


def describe_first_calls(document: Document[R], n: int = 1) -> str:
    """The first `n` calls of a document as a user reads them: who says what, limit, target, beginning."""
    lines = [f"document {document.id}"]
    calls = first_calls(document)
    if not calls:
        lines.append("  asks for nothing")
    for call in calls[:n]:
        target = "" if call.target is None else f", {describe_target(call.target)}"
        lines.append(f"  call {call.name}: at most {call.max_tokens} tokens{target}")
        for message in call.messages:
            lines += [f"    [{message['role']}]", *_indented(message["content"])]
        if call.prefill:
            lines += ["    [assistant, begun]", *_indented(call.prefill)]
    if len(calls) > n:
        lines.append(f"  and {len(calls) - n} more at once")
    return "\n".join(lines)


def dry_run(
    documents: Iterable[Document[R]],
    *,
    shown: int = 1,
    tokenizer: LoadedTokenizer | None = None,
    expected: Callable[[Document[R]], Estimate] | None = None,
    prices: Prices | None = None,
) -> tuple[str, Estimate]:
    """The first calls of the first documents, and what all documents come to; no engine is needed.

    Args:
        documents: all of the command; read to their end.
        shown: documents whose first call is shown.
        tokenizer: of the model, for exact prompts.
        expected: what a document will take; None: its first calls, which others may follow.
        prices: for a cost.
    """
    parts, total, count = [], Estimate(), 0
    rest = iter(documents)
    for document in islice(rest, shown):
        parts.append(describe_first_calls(document))
        total += _estimate(document, tokenizer, expected)
        count += 1
    for document in rest:
        total += _estimate(document, tokenizer, expected)
        count += 1
    scope = "" if expected is not None else " for the first calls alone; later ones follow from the answers"
    told = f"{count} documents, {total.calls} calls, about {total.prompt_tokens} prompt tokens and at most "
    told += f"{total.completion_tokens} completion tokens{scope}"
    if prices is not None:
        told += f"\ncost: about {prices.cost(total.prompt_tokens, total.completion_tokens):.2f}"
    return "\n\n".join([*parts, told]), total


def _estimate(
    document: Document[R], tokenizer: LoadedTokenizer | None, expected: Callable[[Document[R]], Estimate] | None
) -> Estimate:
    return expected(document) if expected is not None else estimate_calls(first_calls(document), tokenizer)


def _needed(call: Call) -> int:
    assert call.target is not None
    high = call.target.high or call.target.value
    return round(expected_tokens(high, call.target.unit))


def _prompt_tokens(call: Call, tokenizer: LoadedTokenizer | None) -> int:
    if tokenizer is not None:
        prefill = len(tokenizer.encode(call.prefill)) if call.prefill else 0
        return len(tokenizer.prompt_ids([dict(m) for m in call.messages])) + prefill
    texts = [*(message["content"] for message in call.messages), call.prefill]
    return sum(map(_about_tokens, texts)) + _TURN_TOKENS * len(call.messages)


def _about_tokens(text: str) -> int:
    others = sum(1 for _ in _OUTSIDE_ASCII.finditer(text))
    return others + round(expected_tokens(len(text) - others, Unit.CHARACTERS))


def _indented(text: str) -> list[str]:
    cut = text if len(text) <= _SHOWN else f"{text[:_SHOWN]} ... ({len(text)} characters)"
    return [f"    {line}" for line in cut.split("\n")]
