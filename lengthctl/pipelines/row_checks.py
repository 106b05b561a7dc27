"""The rows of a recipe's data, looked at before anything is started and without its model."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import islice
from typing import TYPE_CHECKING, Any

from lengthctl.config.inputs import is_hub_id
from lengthctl.data_gen.instruction_data import Reading, read_instructions, read_rows
from lengthctl.data_gen.training_rows import read_pairs, read_texts
from lengthctl.errors import DataError
from lengthctl.pipelines.held_out import HeldOut
from lengthctl.pipelines.training_prompts import check_columns, training_prompts
from lengthctl.prompt_sources import as_messages, load_seed_prompts
from lengthctl.registry import did_you_mean

if TYPE_CHECKING:
    from lengthctl.config import Config, DataConfig

__all__ = ["check_rows"]

_LOOKED_AT = 64
"""Rows of a hub dataset that are fetched; files are read whole."""

_Row = tuple[str, Mapping[str, Any]]


def check_rows(config: Config) -> str:
    """Make sure that the data and prompts can be read and hold what training needs; what was found, in a few words.

    Of sets of the hub the first 64 rows; a hub that cannot be reached is told and no fault.

    Raises:
        DataError: a missing file or column, a value of the wrong type, no completions, pairs or prompts, or a column
            that a reward needs.
    """
    prompts = config.prompts
    learned = None if config.data is None else _data(config, config.data)
    if prompts.problems is not None and not prompts.targets:
        levels = f", each at {len(prompts.levels)} levels" if prompts.levels else ""
        if learned is None and not is_hub_id(prompts.problems.partition("=")[2] or prompts.problems):
            check_columns(config, training_prompts(config, HeldOut([], [], []))[0].to_row(None))
        return learned or f"trained on problems {prompts.problems}{levels}"
    sources = {source for source in (prompts.source, prompts.eval_source) if source is not None}
    if distant := sorted(source for source in sources if is_hub_id(source)):
        told = [_distant_prompts(config, source) for source in distant]
        return ", ".join([learned, *told] if learned is not None else told)
    held_out = len(load_seed_prompts(prompts, "eval"))
    if learned is None:
        train = load_seed_prompts(prompts, "train")
        learned = f"{len(train)} training"
        if prompts.problems is None:
            _check_reward_columns(config, train[0].columns)
    return f"{learned} and {held_out} held-out prompts, {len(prompts.targets)} targets each"


def _check_reward_columns(config: Config, columns: Mapping[str, Any]) -> None:
    check_columns(config, [*columns, "prompt", "prompt_id", *(["target"] if config.prompts.targets else [])])


def _data(config: Config, data: DataConfig) -> str:
    """Rows of a source, by what the method learns from."""
    rows: Iterable[_Row] = read_rows(data.source, Reading.of(data))
    whole = f" rows of {data.source}"
    if is_hub_id(data.source):
        try:
            rows = list(islice(rows, _LOOKED_AT))
        except DataError as error:
            return f"not looked at: {error.message}"
        whole = f" of the first {len(rows)} rows of {data.source}"
    if config.train.method == "dpo":
        return f"{_count(read_pairs(islice(rows, data.limit)), data.source, 'pairs')}{whole}"
    if data.form == "text":
        return f"{_count(read_texts(islice(rows, data.limit)), data.source, 'texts')}{whole}"
    found = read_instructions(data.source, Reading.of(data), rows=rows)
    number = sum(1 for _ in islice(found, data.limit))
    dropped = ", ".join(f"{reason} {count}" for reason, count in found.dropped.items())
    return f"{number}{whole}" + (f" (left out: {dropped})" if dropped else "")


def _count(found: Iterable[Any], source: str, what: str) -> int:
    number = sum(1 for _ in found)
    if not number:
        raise DataError(f"{source} holds no {what}", "Check data.source and data.split")
    return number


def _distant_prompts(config: Config, source: str) -> str:
    """The first rows of a hub dataset of prompts."""
    prompts = config.prompts
    split = prompts.eval_split if source == prompts.eval_source and prompts.eval_split else prompts.split
    try:
        rows = list(islice(read_rows(source, Reading(prompts.subset, split)), _LOOKED_AT))
    except DataError as error:
        return f"not looked at: {error.message}"
    if not rows:
        raise DataError(f"{source} has no rows", "Check prompts.split")
    for where, row in rows:
        if prompts.column not in row:
            raise DataError(
                f"{where}: no column {prompts.column!r}{did_you_mean(prompts.column, row)}", "Set prompts.column"
            )
        as_messages(row[prompts.column], where)
    if source == prompts.source and config.train.method == "grpo":
        _check_reward_columns(config, rows[0][1])
    return f"the first {len(rows)} rows of {source} hold prompts"
