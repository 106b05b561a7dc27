"""Groups of completions as a judge of pairs compares them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from lengthctl.rewards.completions import Completions, text_of

__all__ = ["Group", "Truncated", "make_group", "read_groups", "request_text", "sorted_members"]

Truncated = Literal["loss", "judge"]


@dataclass(frozen=True)
class Group:
    """Completions of one prompt, each stripped."""

    name: str
    """What every draw follows from: seed, step and prompt."""
    request: str
    texts: tuple[str, ...]
    judged: tuple[int, ...]
    """Members that are compared; the others have their value without a judge."""
    references: tuple[int, ...]
    """Those of them that may be the reference: finished and not empty."""


def make_group(
    prompt: str | Sequence[Mapping[str, Any]],
    texts: Sequence[str],
    *,
    is_cut: Sequence[bool],
    is_failed: Sequence[bool],
    name: str,
    truncated: Truncated = "loss",
) -> Group:
    """Who of a prompt's completions is compared: none that failed or is empty, and by `loss` none that the limit cut.

    Args:
        prompt: text or messages; what was asked.
        texts, is_cut, is_failed: of each completion.
        name: of the group's draws.
        truncated: whether cut completions are judged.
    """
    bare = tuple(text.strip() for text in texts)
    usable = [i for i, text in enumerate(bare) if text and not is_failed[i]]
    finished = tuple(i for i in usable if not is_cut[i])
    judged = finished if truncated == "loss" else tuple(usable)
    return Group(name, request_text(prompt), bare, judged, finished)


def read_groups(
    completions: Completions,
    places: Sequence[Sequence[int]],
    columns: Mapping[str, Any],
    *,
    name_of: Callable[[object, int], str],
    truncated: Truncated,
) -> list[Group]:
    """The groups of a call, whose completions stand at `places`; `name_of` prompt id and step names their draws.

    Raises:
        ValueError: no column `prompts`.
    """
    prompts, state = columns.get("prompts"), columns.get("trainer_state")
    if prompts is None:
        raise ValueError("the column prompts is missing; a judge is shown what was asked")
    none = [False] * len(completions)
    cut, failed = columns.get("is_truncated") or none, columns.get("is_failed") or none
    ids = columns.get("prompt_id") or prompts
    return [
        make_group(
            prompts[rows[0]],
            [text_of(completions[row]) for row in rows],
            is_cut=[bool(cut[row]) for row in rows],
            is_failed=[bool(failed[row]) for row in rows],
            name=name_of(ids[rows[0]], 0 if state is None else int(state.global_step)),
            truncated=truncated,
        )
        for rows in places
    ]


def request_text(prompt: str | Sequence[Mapping[str, Any]]) -> str:
    """What was asked, for a judge: the user's turn; of several turns all but the system's, each with its role."""
    if isinstance(prompt, str):
        return prompt
    turns = [turn for turn in prompt if turn.get("role") != "system"]
    if len(turns) == 1:
        return str(turns[0].get("content") or "")
    return "\n\n".join(f"{turn.get('role')}: {turn.get('content') or ''}" for turn in turns)


def sorted_members(group: Group, members: Sequence[int]) -> list[int]:
    """By their texts, so that draws do not depend on the order of the group."""
    return sorted(members, key=group.texts.__getitem__)
