"""Tells of a group as soon as its last completion is there, while others are still being drawn."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from lengthctl.records import Completion
from lengthctl.rollout.backend import Request

__all__ = ["GroupWatch", "OnGroup"]

OnGroup = Callable[[Mapping[str, Any], Sequence[Completion], int], None]
"""Given a group's dataset row, its completions in order, and the step that they are drawn for."""


class GroupWatch:
    """An `OnCompletion` that calls back once a group.

    Args:
        requests: of the call; those of one `group` belong together.
        rows: the dataset row of each request.
        step: of the trainer.
        told: called in the thread that gets the completions.

    Raises:
        ValueError: another number of rows than of requests.
    """

    def __init__(
        self, requests: Sequence[Request], rows: Sequence[Mapping[str, Any]], step: int, told: OnGroup
    ) -> None:
        self._groups: dict[str, list[str]] = {}
        self._rows: dict[str, Mapping[str, Any]] = {}
        self._group_of = {request.id: request.group for request in requests}
        for request, row in zip(requests, rows, strict=True):
            self._groups.setdefault(request.group, []).append(request.id)
            self._rows.setdefault(request.group, row)
        self._done: dict[str, dict[str, Completion]] = {name: {} for name in self._groups}
        self._step = step
        self._told = told

    def __call__(self, completion: Completion) -> None:
        """See a completion that is done; one told twice counts once."""
        name = self._group_of[completion.request_id]
        done = self._done.get(name)
        if done is None:
            return
        done[completion.request_id] = completion
        if len(done) == len(self._groups[name]):
            del self._done[name]
            self._told(self._rows[name], [done[request] for request in self._groups[name]], self._step)
