"""Completions read from a script instead of sampled: replay of a run, tests of everything but the model."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from lengthctl.errors import DataError
from lengthctl.records import Completion, FinishReason, read_records
from lengthctl.rollout.backend import Ability, OnCompletion, Request, answer_in_turn

__all__ = ["ScriptedBackend"]


_SAMPLE = re.compile(r"#(\d{1,6})$")
"""A request's own turn, so that an interrupted command gets the same texts when it goes on."""


class ScriptedBackend:
    """A `Backend` that answers from a table.

    Args:
        texts: by request id, else by request group, the texts to give in turn, an id that ends in #NUMBER beginning
            with that one; the last one repeats. The key `*` answers everything that has no entry.
    """

    abilities: frozenset[Ability] = frozenset({Ability.PREFILL})

    def __init__(self, texts: Mapping[str, Sequence[str]]) -> None:
        if any(not entry for entry in texts.values()):
            raise DataError("a scripted entry has no texts")
        self._texts = texts
        self._used: dict[str, int] = {}

    @classmethod
    def from_file(cls, path: Path) -> ScriptedBackend:
        """From JSONL records `{"id": ..., "texts": [...]}`.

        Raises:
            DataError: the file is missing or a record lacks a field.
        """
        texts: dict[str, list[str]] = {}
        for number, record in read_records(path):
            if not isinstance(record.get("id"), str) or not isinstance(record.get("texts"), list):
                raise DataError(f"{path}:{number}: a scripted record needs `id` (text) and `texts` (list)")
            texts[record["id"]] = [str(text) for text in record["texts"]]
        return cls(texts)

    def generate(self, requests: Sequence[Request], on_completion: OnCompletion | None = None) -> list[Completion]:
        """See `Backend.generate`; a request without an entry fails with a cause."""
        return answer_in_turn(requests, self._answer, on_completion)

    def _answer(self, request: Request) -> Completion:
        key = next((k for k in (request.id, request.group, "*") if k in self._texts), None)
        if key is None:
            return Completion(request.id, "", (), (), FinishReason.ERROR, engine="script", error="not in the script")
        entry = self._texts[key]
        sample = _SAMPLE.search(request.id)
        counter = request.id if sample else key
        turn = self._used.get(counter, 0) + (int(sample.group(1)) if sample else 0)
        self._used[counter] = self._used.get(counter, 0) + 1
        text = entry[min(turn, len(entry) - 1)]
        return Completion(request.id, text, (), (), FinishReason.EOS, engine="script")

    def close(self) -> None:
        """Nothing to release."""
