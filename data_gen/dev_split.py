"""HelloBench's prompts in three parts that share no prompt: to make data from, to develop on, and to report on.

The part hangs on a hash of the prompt's id alone. The id of a prompt is the same in all of HelloBench's variants (those
that ask for 2,000 to 16,000 words repeat the others), so no variant of a prompt stands in another part. Ours; the
prompts are HelloBench's (arXiv 2409.16191).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from enum import StrEnum
from pathlib import Path
from typing import Any

from lengthctl.data_gen.length_demands import find_length_demands
from lengthctl.errors import DataError
from lengthctl.prompts import stable_hash
from lengthctl.records import read_records

__all__ = ["Part", "hellobench_prompts", "part_of"]

_NAME = "hellobench-1"
"""Of the split: another name would give another one."""


class Part(StrEnum):
    """What the prompts of a part are for."""

    DATA = "data"
    """Training data are made from them; three fifths."""
    DEVELOPMENT = "development"
    """Settings are chosen by them; a fifth."""
    TEST = "test"
    """What is reported at the end; a fifth."""


def part_of(prompt_id: str) -> Part:
    """The part of a prompt; the same on every machine."""
    fifth = stable_hash(f"{_NAME}|{prompt_id}") * 5 >> 64
    return {0: Part.DEVELOPMENT, 1: Part.TEST}.get(fifth, Part.DATA)


def hellobench_prompts(path: Path, part: Part) -> Iterator[dict[str, Any]]:
    """Rows `id`, `prompt` and `topic` of a part, those left out that name a length themselves.

    Args:
        path: JSONL with `id`, `part`, `category` and `instruction`, and `min_words` where a length is asked.
        part: see there.

    Raises:
        DataError: the file cannot be read, or is of another form.
    """
    for number, row in read_records(path):
        if not isinstance(row.get("id"), str) or not isinstance(row.get("instruction"), str):
            raise DataError(f"{path}:{number}: HelloBench's rows have id and instruction", "Give its prompts.jsonl")
        if part_of(row["id"]) is part and not _names_length(row):
            yield {"id": row["id"], "prompt": row["instruction"].strip(), "topic": row.get("category")}


def _names_length(row: Mapping[str, Any]) -> bool:
    return bool(row.get("min_words")) or bool(find_length_demands(row["instruction"]))
