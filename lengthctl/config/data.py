"""The section of the data that supervised training learns from."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, field_validator, model_validator

from lengthctl.config.inputs import is_hub_id
from lengthctl.config.section import Section
from lengthctl.errors import first_line
from lengthctl.mlt_table import DataRange, MltTable, ruler_table
from lengthctl.registry import did_you_mean
from lengthctl.row_columns import Columns

__all__ = ["DataConfig", "read_table"]

_TABLES = {"ruler": DataRange.PRIMARY, "paper": DataRange.PAPER, "fm": DataRange.FM}


class DataConfig(Section):
    """Texts to learn from, in TRL's forms: conversations, or prompt and completion."""

    source: str
    """A .jsonl, .parquet or .csv file, or a hub id; `lengthctl data` writes such files."""
    subset: str | None = None
    """Config name of a hub dataset."""
    split: str = "train"
    """Split of a hub dataset."""
    columns: dict[str, str] | None = None
    """Columns of rows in no known shape: `prompt` and `completion`, with `context` and `system`, or `messages`; also
    `id` and `licence`. None: found by their usual names."""
    limit: int | None = Field(None, ge=1)
    """At most so many rows."""
    form: Literal["completions", "text"] = "completions"
    """What a row is: a prompt and its completion, of which the completion is learned; or a plain `text`, learned whole
    and cut at `trainer.max_length` tokens."""
    pieces: bool = False
    """Of `form: text`: cut each text into pieces of 2^k + 1 tokens, from 257 up to `trainer.max_length`, and train each
    step on one length, in the order of `train.curriculum` (dataset decomposition, arXiv 2405.13226)."""
    shortest_piece: int = Field(8, ge=1, le=20)
    """Of `pieces`: k of the shortest, 8 in the paper; texts below that length vanish."""
    mlt: str | dict[str, Any] | None = None
    """Meta length tokens in front of the completions: Ruler's table by the ranges of its code (`ruler`), of its paper's
    table 3 (`paper`), or one that gives every text a token (`fm`); or a table of your own, as `unit` and `tokens`, or a
    .json file with them. Rows that bring their token keep it; others get that of their length, or are dropped where no
    range holds it. None: no tokens."""

    @field_validator("mlt", mode="before")  # before: a value of another type is told in the table's own words
    @classmethod
    def _table_can_be_built(cls, mlt: Any) -> str | dict[str, Any] | None:
        """A file's table stands in the config itself, so that a run is resumed with the one that it began with."""
        if mlt is None or (isinstance(mlt, str) and mlt in _TABLES):
            return mlt
        return read_table(mlt).to_row()

    @model_validator(mode="after")
    def _part_has_effect(self) -> DataConfig:
        """Of a file there are neither subsets nor splits; only conversations have columns of several names."""
        for key in ("subset", "split"):
            if getattr(self, key) != DataConfig.model_fields[key].default and not is_hub_id(self.source):
                raise ValueError(f"{key} has no effect: {self.source} is no hub dataset")
        if self.columns is not None and self.form == "text":
            raise ValueError("columns have no effect with form = text, which learns from a column `text`")
        _ = self.named_columns
        return self

    @property
    def named_columns(self) -> Columns | None:
        """The columns of `columns`."""
        return None if self.columns is None else Columns.parse(self.columns)

    @property
    def mlt_table(self) -> MltTable | None:
        """The table of `mlt`."""
        return None if self.mlt is None else read_table(self.mlt)


def read_table(given: str | Mapping[str, Any]) -> MltTable:
    """`ruler`, `paper`, `fm`, a .json file with `unit` and `tokens`, or what such a file holds.

    Raises:
        ValueError: none of these, or no table.
    """
    if not isinstance(given, str):
        return MltTable.parse(given)
    if given in _TABLES:
        return ruler_table(_TABLES[given])
    if not given.endswith(".json"):
        own = "a table of your own is a .json file with `unit` and `tokens`"
        raise ValueError(f"no table {given!r}{did_you_mean(given, _TABLES)} ({own})")
    try:
        found = json.loads(Path(given).expanduser().read_text(encoding="utf-8"))
    except OSError as error:
        raise ValueError(f"the table {given} cannot be read ({error.strerror or error}): check the path") from error
    except (RecursionError, ValueError) as error:
        raise ValueError(f"the table {given} is no JSON in UTF-8 ({first_line(error)}): mend the file") from error
    try:
        return MltTable.parse(found)
    except ValueError as error:
        raise ValueError(f"the table {given}: {error}") from error
