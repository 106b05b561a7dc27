"""Length of completions in tokens, as sampled."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lengthctl.length import Unit, count_length
from lengthctl.rewards.completions import Completions, text_of

__all__ = ["token_counts"]


def token_counts(completions: Completions, columns: Mapping[str, Any]) -> list[int]:
    """Tokens of each completion, at least 0.

    By the column `completion_ids` where it is there (the ids as sampled, reasoning and stop token included); else the
    text counted with `tokenizer`, which knows neither stop token nor how the text was cut into tokens.

    Raises:
        ValueError: neither of the two, or ids for another number of completions.
    """
    ids = columns.get("completion_ids")
    if ids is not None:
        if len(ids) != len(completions):
            raise ValueError(f"the column completion_ids has {len(ids)} rows for {len(completions)} completions")
        return [len(row) for row in ids]
    tokenizer = columns.get("tokenizer")
    if tokenizer is None:
        raise ValueError("tokens cannot be counted; pass the column completion_ids, or a tokenizer")
    return [count_length(text_of(completion), Unit.TOKENS, tokenizer) for completion in completions]
