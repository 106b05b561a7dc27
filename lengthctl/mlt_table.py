"""Which lengths a meta length token (MLT) names: Ruler's table, and tables of one's own.

Source: arXiv 2409.18943, section 4.1, with the ranges of its code, src/utils/config.py.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from itertools import pairwise
from typing import Any

from lengthctl.length import Band, BandKind, Relation, Target, Unit, ruler_band
from lengthctl.registry import did_you_mean, member_named

__all__ = ["RULER_TABLE", "DataRange", "MetaToken", "MltTable", "ruler_table"]

_NAME = re.compile(r"[\w<>=~+.-]+")
_TARGET = re.compile(r"(>?)([0-9]+)")
_BANDS = ("data", "pm", "fm")


class DataRange(StrEnum):
    """Which texts get a token as training data."""

    PRIMARY = "primary"
    """Ruler's code: 150 takes 136 to 155 words."""
    PAPER = "paper"
    """Ruler's Table 3, its ranges read as open below: 150 takes 146 to 155 words."""
    FM = "fm"
    """Every text, by the flexible band: no text is dropped, and the classes are coarser. Ours."""


@dataclass(frozen=True)
class MetaToken:
    """One meta length token: the request that it stands for, and three bands in the unit of its target.

    Raises:
        ValueError: a name with other characters than letters, digits and `<>=~+.-_`; a `data` or `pm` band outside the
            `fm` band; an `fm` band without all lengths of the target, a `data` or `pm` band without any; a name that is
            a number outside the `fm` band.
    """

    name: str
    target: Target
    data: Band
    """Lengths of the texts that get this token as training data."""
    pm: Band
    """Lengths that count as a precise match."""
    fm: Band
    """Lengths that count as a flexible match; a number that is asked for gets the token whose `fm` band holds it."""

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise ValueError(f"a token's name has letters, digits and <>=~+.-_ only, found {self.name!r}")
        own = _own(self.target)
        if not _holds(self.fm, own):
            raise ValueError(f"the fm band {_shown(self.fm)} of {self.text} does not hold its target {_shown(own)}")
        for kind, band in (("data", self.data), ("pm", self.pm)):
            if not _overlap(band, own):
                raise ValueError(
                    f"the {kind} band {_shown(band)} of {self.text} does not hold its target {_shown(own)}"
                )
            if not _holds(self.fm, band):
                raise ValueError(
                    f"the {kind} band {_shown(band)} of {self.text} leaves its fm band {_shown(self.fm)}: "
                    f"narrow it, or give a wider fm"
                )
        if self.name.isdecimal() and int(self.name) not in self.fm:
            raise ValueError(f"the name of {self.text} is a number outside its fm band {_shown(self.fm)}")

    @property
    def text(self) -> str:
        """The token as the tokenizer knows it, e.g. `[MLT:50]`."""
        return f"[MLT:{self.name}]"

    def to_row(self) -> dict[str, Any]:
        """Plain data for a config or `mlt.json`; a band is `[low, high]`, its `high` null where it has no end."""
        bands = {kind: getattr(self, kind) for kind in _BANDS}
        plain = {kind: [band.low, None if math.isinf(band.high) else band.high] for kind, band in bands.items()}
        return {"name": self.name, "target": self.target.to_row(), **plain}


@dataclass(frozen=True)
class MltTable:
    """The tokens of a model, from short to long, and the unit of all their lengths.

    Raises:
        ValueError: no token, two of one name, another unit in a target, `data` or `fm` bands that overlap or fall.
    """

    tokens: tuple[MetaToken, ...]
    unit: Unit = Unit.WORDS

    def __post_init__(self) -> None:
        if not self.tokens:
            raise ValueError("a table of meta length tokens needs at least one token")
        for number, token in enumerate(self.tokens):
            if token.target.unit is not self.unit:
                raise ValueError(f"{token.text} counts {token.target.unit}, and its table {self.unit}")
            if token.name in [earlier.name for earlier in self.tokens[:number]]:
                raise ValueError(f"two tokens are named {token.name}: give each a name of its own")
        for kind in ("data", "fm"):
            for a, b in pairwise(self.tokens):
                first, second = getattr(a, kind), getattr(b, kind)
                if second.low <= first.high:
                    fault = "overlap" if _overlap(first, second) else "fall"
                    bands = f"{kind} bands of {a.text} and {b.text}"
                    remedy = "let each begin above the end of the one before"
                    raise ValueError(f"the {bands} {fault}: {_shown(first)} and {_shown(second)}; {remedy}")

    def named(self, name: str) -> MetaToken:
        """The token of a name or text, e.g. `>800` or `[MLT:>800]`.

        Raises:
            ValueError: there is none; the message has the nearest.
        """
        for token in self.tokens:
            if name in (token.name, token.text):
                return token
        hint = did_you_mean(name.strip("[]").removeprefix("MLT:"), [token.name for token in self.tokens])
        raise ValueError(f"no meta length token {name!r}{hint}")

    def token_for_text(self, count: int) -> MetaToken | None:
        """The token that a text of `count` units gets as training data; None where no `data` band holds it.

        Source: arXiv 2409.18943, Algorithm 1.
        """
        return next((token for token in self.tokens if count in token.data), None)

    def token_for_target(self, target: Target) -> MetaToken:
        """The token to ask with. A number gets the one whose `fm` band holds it; "at least" the shortest one whose
        whole `fm` band is long enough, else the last; "at most" and ranges the one whose `fm` band has most lengths in
        common with them, the shorter one of two that have as many. Ours: the source knows its nine targets only.

        Raises:
            ValueError: another unit, or lengths that the table does not reach.
        """
        if target.unit is not self.unit:
            raise ValueError(f"these tokens count {self.unit}, and the target {target.unit}")
        own = _own(target)
        if target.relation is Relation.AT_LEAST:
            return next((token for token in self.tokens if token.fm.low >= target.value), self.tokens[-1])
        best = max(self.tokens, key=lambda token: _overlap(token.fm, own))  # the first of equals
        if not _overlap(best.fm, own):
            reach = f"{_shown(self.tokens[0].fm)} to {_shown(self.tokens[-1].fm)}"
            raise ValueError(f"no meta length token is for {target.label} {self.unit}; the fm bands are {reach}")
        return best

    def labelling_all(self) -> MltTable:
        """The same tokens, with the `fm` bands as `data` bands: no text goes without a token where those tile. Ours."""
        return replace(self, tokens=tuple(replace(token, data=token.fm) for token in self.tokens))

    def to_row(self) -> dict[str, Any]:
        """Plain data that `parse` reads back."""
        return {"unit": str(self.unit), "tokens": [token.to_row() for token in self.tokens]}

    @classmethod
    def parse(cls, value: MltTable | Mapping[str, Any]) -> MltTable:
        """A table from itself or from plain data: `unit` (words when absent) and `tokens`, a list from short to long.

        A token is a number, `">800"` for the class without end, or a mapping of `target` (one of these two, or a row of
        `Target`) and, where the defaults don't fit, `name`, `data`, `pm`, `fm`. A band is `[low, high]`, both ends
        inside, `high` null for none. Defaults, all ours:

        - `fm` bands tile. Two neighbouring numbers meet at their geometric mean, and the first starts at 1. The last
          number ends as far above, as a factor, as its band begins below; put `">N"` last for a table without end.
        - `data` is +-10 % of a number; `pm` is `length.ruler_band`; both are cut to `fm`.
        - A class without end, "at most", and a range have their own lengths in all three.

        Raises:
            ValueError: no such data, or the faults of `MltTable` and `MetaToken`.
        """
        if isinstance(value, MltTable):
            return value
        if not isinstance(value, Mapping):
            hint = ": put the list under `tokens`" if isinstance(value, list | tuple) else ""
            raise ValueError(
                f"a table of meta length tokens is a mapping of unit and tokens, found {_short(value)}{hint}"
            )
        if "tokens" not in value or not set(value) <= {"tokens", "unit"}:
            keys = ", ".join(map(str, value)) or "nothing"
            raise ValueError(f"a table of meta length tokens is a mapping of unit and tokens, found {keys}")
        entries, unit = value["tokens"], member_named(Unit, value.get("unit", Unit.WORDS))
        if not isinstance(entries, list | tuple):
            raise ValueError(f"tokens is a list of numbers and mappings, found {_short(entries)}")
        return cls(tuple(_tokens_of([_Draft.parse(entry, unit) for entry in entries])), unit)


# Closed, as length.Band is: (5, 15] of the source is 6 to 15.
_RULER_DATA = {n: (n - 4, n + 5) for n in (10, 30, 50, 80, 300, 500, 700)} | {150: (136, 155)}


def ruler_table(data: DataRange | str = DataRange.PRIMARY) -> MltTable:
    """Ruler's nine tokens, in words; `data` chooses the texts that each is trained on.

    Source: arXiv 2409.18943, Tables 1 and 3.

    Raises:
        ValueError: an unknown choice.
    """
    data = DataRange(data)
    ranges = _RULER_DATA | ({150: (146, 155)} if data is DataRange.PAPER else {})
    requests = [(str(value), Target(value), Band(*band)) for value, band in sorted(ranges.items())]
    requests.append((">800", Target(801, Relation.AT_LEAST), Band(801, math.inf)))
    tokens = [
        MetaToken(name, target, band, ruler_band(target, BandKind.PRECISE), ruler_band(target, BandKind.FLEXIBLE))
        for name, target, band in requests
    ]
    table = MltTable(tuple(tokens))
    return table.labelling_all() if data is DataRange.FM else table


@dataclass(frozen=True)
class _Draft:
    """A token of plain data, whose missing bands depend on its neighbours."""

    target: Target
    name: str
    bands: Mapping[str, Band]

    @classmethod
    def parse(cls, entry: Any, unit: Unit) -> _Draft:
        row = entry if isinstance(entry, Mapping) else {"target": entry}
        if not {"target"} <= set(row) <= {"target", "name", *_BANDS}:
            found = ", ".join(map(str, row)) or "nothing"
            raise ValueError(f"a token has a target, and may have name, data, pm, fm; found {found}")
        target = _target_of(row["target"], unit)
        name = f">{target.value - 1}" if target.relation is Relation.AT_LEAST else target.label
        bands = {kind: _band_of(row[kind]) for kind in _BANDS if row.get(kind) is not None}
        return cls(target, str(row.get("name") or name), bands)

    @property
    def fixed(self) -> Band | None:
        """Its `fm` band where that does not depend on the neighbours."""
        return self.bands.get("fm") or (None if _is_number(self.target) else self.target.band)

    def ends_before(self, other: _Draft) -> int:
        """The last length of its `fm` band when `other`, a longer one, follows."""
        if other.fixed:
            return other.fixed.low - 1
        value = other.target.value
        return int(min(self.fixed.high, value)) if self.fixed else math.isqrt(self.target.value * value)

    def token(self, before: _Draft | None, after: _Draft | None) -> MetaToken:
        value = self.target.value
        low = before.ends_before(self) + 1 if before else 1
        mirrored = value**2 // (low - 1) if low > 1 else ruler_band(self.target, BandKind.FLEXIBLE).high
        fm = self.fixed or Band(low, max(low, self.ends_before(after) if after else mirrored))
        data = Band(-(-9 * value // 10), 11 * value // 10) if _is_number(self.target) else self.target.band
        bands = {"data": data, "pm": ruler_band(self.target, BandKind.PRECISE)}
        cut = {kind: Band(max(b.low, fm.low), min(b.high, fm.high)) for kind, b in bands.items() if _overlap(b, fm)}
        return MetaToken(self.name, self.target, **{"fm": fm, **bands, **cut, **self.bands})


def _tokens_of(drafts: list[_Draft]) -> Iterable[MetaToken]:
    for a, b in pairwise(drafts):
        if _own(a.target).high >= _own(b.target).low:
            if a.target == b.target:
                raise ValueError(f"targets rise, and {a.target.label} stands twice: remove one")
            found = f"{a.target.label} before {b.target.label}"
            raise ValueError(f"targets rise and do not meet, found {found}: list them from short to long")
    for before, draft, after in zip([None, *drafts], drafts, [*drafts[1:], None], strict=False):
        yield draft.token(before, after)


def _target_of(value: Any, unit: Unit) -> Target:
    if isinstance(value, str) and (match := _TARGET.fullmatch(value)):
        number = int(match[2])
        return Target(number + 1, Relation.AT_LEAST, unit) if match[1] else Target(number, unit=unit)
    if isinstance(value, Mapping):
        try:
            return Target.parse({"unit": unit, **value})
        except TypeError:
            raise ValueError(f"a target has value, relation, high and tolerance, found {_short(value)}") from None
    if type(value) is not int:
        form = "a whole number, '>' and one, or a mapping"
        raise ValueError(f"a token's target is {form}, found {_short(value)}")
    return Target(value, unit=unit)


def _band_of(value: Any) -> Band:
    low, high = value if isinstance(value, list | tuple) and len(value) == 2 else (None, None)
    end = math.inf if high is None else high
    if type(low) is not int or not (type(end) is int or end == math.inf):
        raise ValueError(f"a band is [low, high] in whole numbers, high null for no end, found {_short(value)}")
    return Band(low, end)


def _is_number(target: Target) -> bool:
    return target.relation in (Relation.EXACT, Relation.ABOUT)


def _own(target: Target) -> Band:
    """The number asked for, or else all lengths that satisfy the request."""
    return Band(target.value, target.value) if _is_number(target) else target.band


def _overlap(a: Band, b: Band) -> float:
    return max(0, min(a.high, b.high) - max(a.low, b.low) + 1)


def _holds(outer: Band, inner: Band) -> bool:
    return inner.low in outer and inner.high in outer


def _short(value: object) -> str:
    """As Python writes it, on one line of a message."""
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."


def _shown(band: Band) -> str:
    return f"[{band.low}, {band.high}]"


RULER_TABLE = ruler_table()
"""Ruler's tokens with the data ranges of its code."""
