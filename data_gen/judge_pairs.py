"""Training data for a judge of pairs: every pair in both orders, for RL with `pair_accuracy`, and verdicts that are
right, for a cold start by supervised tuning.

Source of the recipe: the generative judge of Writing-Zero, arXiv 2506.00103 (from public summaries): supervised tuning
on filtered judgements of a strong model, then RL on the accuracy of the order. The form of the rows is ours.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from lengthctl.data_gen.filters import DropReason
from lengthctl.errors import DataError
from lengthctl.judging_pairs import Pair, Place, pair_message, parse_pair_verdict
from lengthctl.length import count_length
from lengthctl.rewards.pair_groups import request_text

__all__ = ["Preference", "is_right", "parse_preference", "preference_row", "rl_row", "sft_row"]

_ROLES = ("system", "user", "assistant", "tool")


@dataclass(frozen=True)
class Preference:
    """A request with a better and a worse text; `id` is the row's own, else 16 hex digits of the content."""

    id: str
    request: str
    better: str
    worse: str
    licence: str | None = None
    kind: str | None = None
    """What the better text is better at, where that is known."""

    def shown(self, better: Place) -> Pair:
        """As a judge sees it, with the better text in this place."""
        pair = Pair(self.request, self.better, self.worse)
        return pair if better == "a" else pair.swapped


def parse_preference(row: Mapping[str, Any], where: str) -> Preference | DropReason:
    """A row of TRL's preference format, or why it is none: `chosen` and `rejected`, texts or conversations, with a
    `prompt` or, in conversations, with the turns that both begin with.

    Raises:
        DataError: columns that are missing or of another type; `where` begins the message.
    """
    if "chosen" not in row or "rejected" not in row:
        raise DataError(
            f"{where}: a pair needs chosen and rejected", "Give preference pairs, or use --truth with texts"
        )
    prompt, chosen, rejected = row.get("prompt"), row["chosen"], row["rejected"]
    if prompt is None:
        prompt, chosen, rejected = _common_turns(chosen, rejected, where)
    better, worse = _last_text(chosen, where), _last_text(rejected, where)
    if not isinstance(prompt, str) and not _is_conversation(prompt):
        raise DataError(f"{where}: prompt is a text or a list of messages, found {type(prompt).__name__}")
    request = request_text(prompt)
    if not all(map(_is_unicode, (request, better, worse))):
        return DropReason.NOT_TEXT
    if not request.strip():
        return DropReason.NO_PROMPT
    if not all(text.strip() for text in (better, worse)):
        return DropReason.NO_COMPLETION
    if better.strip() == worse.strip():
        return DropReason.EXACT_DUPLICATE
    name = row.get("pair_id") or row.get("id")
    digest = hashlib.sha256("\n".join((request, better, worse)).encode()).hexdigest()[:16]
    licence, kind = _text_or_none(row.get("licence") or row.get("license")), _text_or_none(row.get("kind"))
    return Preference(str(name or digest), request, better, worse, licence, kind)


def _common_turns(chosen: Any, rejected: Any, where: str) -> tuple[Any, Any, Any]:
    """TRL's implicit prompt."""
    if not _is_conversation(chosen) or not _is_conversation(rejected):
        raise DataError(f"{where}: without a prompt, chosen and rejected are conversations", "Give a column prompt")
    same = 0
    while same < min(len(chosen), len(rejected)) - 1 and chosen[same] == rejected[same]:
        same += 1
    return chosen[:same], chosen[same:], rejected[same:]


def _is_conversation(value: Any) -> bool:
    return isinstance(value, list) and all(
        isinstance(turn, dict) and turn.get("role") in _ROLES and isinstance(turn.get("content"), str) for turn in value
    )


def _last_text(side: Any, where: str) -> str:
    if isinstance(side, str):
        return side
    if not _is_conversation(side) or not side:
        raise DataError(f"{where}: chosen and rejected are texts or lists of messages with role and content")
    return str(side[-1]["content"])


def _text_or_none(value: Any) -> str | None:
    return value if isinstance(value, str) else None


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def rl_row(pair: Preference, better: Place) -> dict[str, Any]:
    """`prompt` (messages) and `better`, for a run with the reward `pair_accuracy`; lengths are in words."""
    return {
        "prompt": _asked(pair, better),
        "better": better,
        "pair_id": pair.id,
        "words_better": count_length(pair.better),
        "words_worse": count_length(pair.worse),
    }


def sft_row(pair: Preference, better: Place, verdict: str) -> dict[str, Any]:
    """`prompt` and `completion` (messages), for `train.method: sft`."""
    return {
        "prompt": _asked(pair, better),
        "completion": [{"role": "assistant", "content": verdict}],
        "better": better,
        "pair_id": pair.id,
    }


def preference_row(pair: Preference) -> dict[str, Any]:
    """TRL's preference format, as `parse_preference` reads it."""
    kind = {} if pair.kind is None else {"kind": pair.kind}
    return {"prompt": pair.request, "chosen": pair.better, "rejected": pair.worse, "pair_id": pair.id, **kind}


def is_right(verdict: str, pair: Preference, better: Place, *, min_critique_words: int = 10) -> bool:
    """The verdict can be read, has a critique, and scores the better text higher."""
    try:
        scores = parse_pair_verdict(
            verdict, pair_message(*pair.shown(better).parts), min_critique_words=min_critique_words
        )
    except ValueError:
        return False
    return scores.better == better


def _asked(pair: Preference, better: Place) -> Sequence[dict[str, str]]:
    return [{"role": "user", "content": pair_message(*pair.shown(better).parts)}]
