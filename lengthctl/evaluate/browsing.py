"""Samples of each side: read, and chosen for a page that a browser opens at once."""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lengthctl.errors import DataError
from lengthctl.evaluate.cost import Drawn
from lengthctl.records import read_records
from lengthctl.scoring import Scored

__all__ = ["MAX_SAMPLES", "SampleRow", "Selection", "SideSamples", "choose_samples", "prompt_text", "read_samples"]

MAX_SAMPLES = 200
"""Samples on one page, over all sides."""


@dataclass(frozen=True)
class SampleRow:
    """One completion as it is browsed."""

    side: str
    scored: Scored
    prompt: str
    index: int
    """Which of the completions of its prompt and target."""

    @property
    def key(self) -> tuple[str, str, str, int]:
        """What the sides share: prompt, unit and label of the target, index."""
        return self.scored.prompt_id, str(self.scored.target.unit), self.scored.target.label, self.index

    @property
    def drawn_tokens(self) -> int:
        """Tokens sampled for it, discarded ones included; 0: unknown."""
        return self.scored.drawn_tokens or self.scored.tokens

    @property
    def drawn(self) -> Drawn:
        """Its part in the cost of its side."""
        return Drawn(self.scored.prompt_id, self.drawn_tokens, self.scored.fm, self.scored.is_hit)

    @property
    def distance(self) -> float:
        """Absolute log ratio of length and target: what samples are ranked by."""
        return abs(self.scored.log_ratio)


@dataclass(frozen=True)
class SideSamples:
    """Completions of one side, and how many requests gave none, by what is known of why."""

    rows: tuple[SampleRow, ...]
    without: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Selection:
    """Chosen samples with the reason of each (`all`, `worst`, `best`, `random`), worst first, out of `total`."""

    picked: tuple[tuple[str, SampleRow], ...]
    total: int


def read_samples(path: Path, side: str) -> SideSamples:
    """Samples of a side. Records of requests that gave no completion are counted.

    Raises:
        DataError: the file is missing or torn, or a line is no sample; it is named.
    """
    rows, without = [], Counter[str]()
    for number, record in read_records(path):
        if "length" not in record:
            without[str(record.get("status") or record.get("finish") or "no completion")] += 1
            continue
        try:
            rows.append(_parse(record, side))
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise DataError(f"{path}:{number}: no sample ({error!r})", "Evaluate again") from error
    return SideSamples(tuple(rows), without)


def choose_samples(sides: Sequence[Sequence[SampleRow]], seed: int, limit: int = MAX_SAMPLES) -> Selection:
    """At most about `limit` samples, worst first: all of them when they are few; else of each side an equal share, half
    of it the worst, a quarter the best, the rest drawn with `seed`, where the sides have them of the same prompts."""
    total = sum(map(len, sides))
    order = {row.side: place for place, rows in enumerate(sides) for row in rows[:1]}
    picked: list[tuple[str, SampleRow]] = []
    if total <= limit:
        picked = [("all", row) for rows in sides for row in rows]
    else:
        quota = max(1, limit // len(sides))
        keys = sorted({row.key for rows in sides for row in rows})
        random.Random(seed).shuffle(keys)
        for rows in sides:
            picked += _quota(rows, quota, keys)
    picked.sort(key=lambda pick: (-pick[1].distance, order[pick[1].side], pick[1].key))
    return Selection(tuple(picked), total)


def _quota(
    rows: Sequence[SampleRow], quota: int, shuffled: Sequence[tuple[str, str, str, int]]
) -> list[tuple[str, SampleRow]]:
    ranked = sorted(rows, key=lambda row: (-row.distance, row.key))
    if len(ranked) <= quota:
        return [("all", row) for row in ranked]
    worst, best = ranked[: -(-quota // 2)], ranked[len(ranked) - quota // 4 :]
    rest = {row.key: row for row in ranked[len(worst) : len(ranked) - len(best)]}
    drawn = [rest[key] for key in shuffled if key in rest][: quota - len(worst) - len(best)]
    kinds = (("worst", worst), ("best", best), ("random", drawn))
    return [(kind, row) for kind, part in kinds for row in part]


def _parse(record: Mapping[str, Any], side: str) -> SampleRow:
    scored = Scored.parse(record)
    if not isinstance(scored.text, str) or any(
        type(number) is not int or number < 0 for number in (scored.length, scored.tokens, scored.drawn_tokens)
    ):
        raise TypeError("text, length or tokens of another type")
    return SampleRow(
        side=side,
        scored=scored,
        prompt=prompt_text(record.get("messages")),
        index=int(record.get("sample", 0)),
    )


def prompt_text(prompt: Any) -> str:
    """What was asked: the text itself, or the last message; content of another type than text as JSON."""
    last = prompt[-1] if isinstance(prompt, list) and prompt else prompt or {}
    content = last.get("content", "") if isinstance(last, Mapping) else last
    return content if isinstance(content, str) else json.dumps(content, ensure_ascii=False)
