"""What a reward is handed, in TRL's shapes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from lengthctl.length import Encoder, Target, count_length

__all__ = ["Completions", "Targets", "score_lengths", "text_of"]

Completions = Sequence[str | Sequence[Mapping[str, str]]]
Targets = Sequence[Target | Mapping[str, object] | int | None]


def text_of(completion: str | Sequence[Mapping[str, str]]) -> str:
    """Text of a completion: itself, or the content of its last message."""
    if isinstance(completion, str):
        return completion
    return completion[-1].get("content") or "" if completion else ""


def score_lengths(
    completions: Completions,
    target: Targets,
    shape: Callable[[int, Target], float],
    tokenizer: Encoder | None = None,
) -> list[float | None]:
    """`shape(length, target)` of every completion; 0 for an empty text, None for a row without target.

    Raises:
        ValueError: a target in tokens without a tokenizer (plain TRL hands none), or one that is not a target.
    """
    values: list[float | None] = []
    for completion, row in zip(completions, target, strict=True):
        if row is None:
            values.append(None)
            continue
        goal = Target.parse(row)
        length = count_length(text_of(completion), goal.unit, tokenizer)
        values.append(shape(length, goal) if length else 0.0)
    return values
