"""Texts that a model wrote for requests, as preference pairs are made of them: read from the records of `lengthctl`
(`samples/*.jsonl` of a run or an evaluation, or the output of `lengthctl gen`).
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from pathlib import Path
from typing import Any

from lengthctl.data_gen.filters import empty, repetitive, unfinished
from lengthctl.degeneration import repetition
from lengthctl.errors import DataError
from lengthctl.length import Target, Unit, count_length
from lengthctl.prompts import WORDINGS, Message, unword_length
from lengthctl.records import FinishReason, read_records

__all__ = ["PairDrop", "Text", "parse_text", "read_texts"]


class PairDrop(StrEnum):
    """Why a text, a prompt or a pair is left out; `meaning` says it to a reader of the dataset card."""

    FAILED = "failed"
    EMPTY = "empty"
    NO_TARGET = "no_target"
    NO_REQUEST = "no_request"
    LENGTH_DEMAND = "length_demand"
    CONTAMINATED = "contaminated"
    UNFINISHED = "unfinished"
    REPETITIVE = "repetitive"
    DUPLICATE = "duplicate"
    NO_LABEL = "no_label"
    HOLDS_TOKEN = "holds_token"
    NO_QUALITY = "no_quality"
    NO_PAIR = "no_pair"
    BALANCE = "balance"

    @property
    def meaning(self) -> str:
        """One phrase."""
        return _MEANINGS[self]


_MEANINGS = {
    PairDrop.FAILED: "texts: the completion failed",
    PairDrop.EMPTY: "texts: no letter and no digit, or no valid Unicode",
    PairDrop.NO_TARGET: "texts: no length was asked",
    PairDrop.NO_REQUEST: "texts: the request without its length is not known",
    PairDrop.LENGTH_DEMAND: "texts: request or text names a length itself, which hindsight would contradict",
    PairDrop.CONTAMINATED: "texts: the request holds a prompt of the evaluation",
    PairDrop.UNFINISHED: "texts: cut by a limit or a control, or ends inside a sentence",
    PairDrop.REPETITIVE: "texts: repeats itself",
    PairDrop.DUPLICATE: "texts: the same text for the same request is used",
    PairDrop.NO_LABEL: "texts: no target or meta length token takes its length, or its request's",
    PairDrop.HOLDS_TOKEN: "texts: request or text spells a meta length token",
    PairDrop.NO_QUALITY: "texts: no quality, since the judge gave none",
    PairDrop.NO_PAIR: "prompts: no two texts differ as the rules want",
    PairDrop.BALANCE: "pairs: too many of their target prefer the longer text, or the shorter one",
}


@dataclass(frozen=True)
class Text:
    """A text and the length that was asked of it; `length` is in the target's unit, >= 0.

    Raises:
        ValueError: no request, or a quality outside [0, 1].
    """

    prompt_id: str
    """Names the request without its length, as in `scoring.Scored`."""
    request: tuple[Message, ...]
    """What was asked, without the length; the last message is the user's."""
    target: Target
    text: str
    length: int
    finish: FinishReason | None = None
    """Why it ended, where that is known."""
    is_truncated: bool = False
    """A limit ended it."""
    is_cut: bool = False
    """A control cut it inside a sentence."""
    quality: float | None = None
    """S_q / 100, in [0, 1] (`judging.Rubric.quality`); None where nobody judged it."""
    source: str | None = None
    """Where it stands, e.g. a file name."""

    def __post_init__(self) -> None:
        if not self.request:
            raise ValueError(f"the text for {self.prompt_id!r} has no request")
        if self.quality is not None and not 0 <= self.quality <= 1:
            raise ValueError(f"a quality lies between 0 and 1, found {self.quality}")

    @cached_property
    def request_key(self) -> str:
        """Equal for equal requests; ids are not, since `lengthctl gen` gives each target its own."""
        return json.dumps([dict(message) for message in self.request], sort_keys=True, ensure_ascii=False)

    @cached_property
    def order(self) -> tuple[str, ...]:
        """A sort key from all that it holds, so that the order of the input does not matter."""
        rest = (self.length, self.finish, self.is_truncated, self.is_cut, self.quality, self.source)
        return (self.request_key, repr(self.target), self.text, self.prompt_id, repr(rest))

    @cached_property
    def repetition(self) -> float:
        """Share of repeated word trigrams, in [0, 1)."""
        return repetition(self.text)

    @cached_property
    def fault(self) -> PairDrop | None:
        """Why another thing than its length may speak against it: cut, unfinished or repetitive; None for nothing."""
        if self.is_truncated or self.is_cut or unfinished(self.text):
            return PairDrop.UNFINISHED
        return PairDrop.REPETITIVE if repetitive(self.text) else None

    @property
    def is_empty(self) -> bool:
        """It says nothing, or cannot be written as UTF-8."""
        try:
            self.text.encode()
        except UnicodeEncodeError:
            return True
        return empty(self.text) is not None


def parse_text(
    row: Mapping[str, Any],
    *,
    requests: Mapping[str, Sequence[Message]] | None = None,
    wordings: Sequence[str] = WORDINGS,
    source: str | None = None,
) -> Text | PairDrop:
    """A text from a record, or why it has none.

    The request comes from `requests` (by `prompt_id`), else from the record's `request`, else from its `messages`, out
    of which `wordings` are taken. `quality` is read where it is there; a length that is missing is counted.

    Raises:
        ValueError: a field that is missing or wrong.
    """
    if row.get("error") or row.get("finish") == FinishReason.ERROR:
        return PairDrop.FAILED
    if row.get("target") is None:
        return PairDrop.NO_TARGET
    target, prompt_id = Target.parse(row["target"]), _field(row, "prompt_id")
    known = (requests or {}).get(prompt_id) or row.get("request")
    request = known or unword_length(row.get("messages") or (), target, wordings)
    if request is None:
        return PairDrop.NO_REQUEST
    finish = FinishReason(row["finish"]) if row.get("finish") else None
    content = _field(row, "text")
    if row.get("length") is None and target.unit is Unit.TOKENS:
        raise ValueError("a text whose target counts tokens needs its length")
    text = Text(
        prompt_id=prompt_id,
        request=tuple(request),
        target=target,
        text=content,
        length=count_length(content, target.unit) if row.get("length") is None else int(row["length"]),
        finish=finish,
        is_truncated=bool(row.get("is_truncated")) or finish in (FinishReason.LIMIT, FinishReason.REWARD_CEILING),
        is_cut=bool(row.get("is_cut")),
        quality=row.get("quality"),
        source=source or row.get("source"),
    )
    return PairDrop.EMPTY if text.is_empty else text


def read_texts(
    paths: Iterable[Path],
    *,
    requests: Mapping[str, Sequence[Message]] | None = None,
    wordings: Sequence[str] = WORDINGS,
) -> tuple[list[Text], Counter[PairDrop]]:
    """The texts of files of records, and how many were left out for what; `source` is the file's name. See
    `parse_text`. Whether a prompt is held out for the evaluation is not known here: train on no file that holds those.

    Raises:
        DataError: a file that is missing or torn, or a record that is none of a text; the message has file and line.
    """
    texts: list[Text] = []
    dropped: Counter[PairDrop] = Counter()
    for path in paths:
        for number, row in read_records(path):
            try:
                found = parse_text(row, requests=requests, wordings=wordings, source=path.name)
            except (TypeError, ValueError) as error:
                remedy = "Needed: prompt_id, text, target and messages, as `lengthctl eval` and `gen` write them"
                raise DataError(f"{path}:{number}: {error}", remedy) from error
            if isinstance(found, PairDrop):
                dropped[found] += 1
            else:
                texts.append(found)
    return texts, dropped


def _field(row: Mapping[str, Any], name: str) -> str:
    if not isinstance(row.get(name), str):
        raise ValueError(f"{name} is a text, found {row.get(name)!r}")
    return str(row[name])
