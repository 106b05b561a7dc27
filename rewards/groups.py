"""Which completions of a call answer the same prompt."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from itertools import groupby
from typing import Any

__all__ = ["group_places"]


def group_places(count: int, columns: Mapping[str, Any]) -> list[list[int]]:
    """The places of each group, in order; every place from 0 to `count - 1` stands in exactly one.

    By equal values of the column `group`, wherever they stand; without it by runs of equal `prompt_id` (and `level`,
    if there), else by runs of equal `prompts`. Runs that touch are one group: only `group` tells a prompt that is drawn
    twice in a row apart. A call holds the completions of one process, so a group that is split over processes is
    several here.

    Raises:
        ValueError: none of these columns, or one with another number of rows.
    """
    if count == 0:
        return []
    if columns.get("group") is not None:
        groups: dict[Hashable, list[int]] = {}
        for place, key in enumerate(_column("group", count, columns)):
            groups.setdefault(key, []).append(place)
        return list(groups.values())
    if columns.get("prompt_id") is not None:
        names = [name for name in ("prompt_id", "level") if columns.get(name) is not None]
    elif columns.get("prompts") is not None:
        names = ["prompts"]
    else:
        raise ValueError("no column tells the groups apart; pass one of group, prompt_id, prompts")
    keys = list(zip(*(_column(name, count, columns) for name in names), strict=True))
    return [list(run) for _, run in groupby(range(count), keys.__getitem__)]


def _column(name: str, count: int, columns: Mapping[str, Any]) -> Sequence[Any]:
    rows: Sequence[Any] = columns[name]
    if len(rows) != count:
        raise ValueError(f"the column {name} has {len(rows)} rows for {count} completions")
    return rows
