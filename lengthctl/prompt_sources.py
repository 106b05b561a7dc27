"""Where seed prompts come from: the built-in set, a file, a hub dataset; and which of them are held out."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from lengthctl.errors import DataError, first_line
from lengthctl.hub_rows import load_split
from lengthctl.prompts import Message, SeedPrompt, stable_hash
from lengthctl.records import read_records
from lengthctl.registry import did_you_mean

if TYPE_CHECKING:
    from lengthctl.config import PromptsConfig

__all__ = ["RESERVED_COLUMNS", "as_messages", "load_seed_prompts"]

_BUILTIN = Path(__file__).parent / "assets" / "prompts.jsonl"
_ROLES = ("system", "user", "assistant")

_OURS = {"prompt_id", "target", "schema", "is_truncated", "tokenizer"}
_OURS |= {"group", "is_correct", "is_failed", "is_evaluation"}  # told of each completion
_TRLS = {"prompt", "prompts", "completion", "completions", "completion_ids", "image", "images"}
_TRLS_ARGUMENTS = {"trainer_state", "log_extra", "log_metric", "environments"}
RESERVED_COLUMNS = frozenset(_OURS | _TRLS | _TRLS_ARGUMENTS)
"""Columns of a dataset that do not reach the rewards: TRL and lengthctl hand something else by these names."""

Split = Literal["train", "eval"]


def load_seed_prompts(config: PromptsConfig, split: Split) -> list[SeedPrompt]:
    """Seed prompts of one split; a text never stands in both.

    The built-in set is split by topic. Another source is split by a hash of the text, unless `eval_source` or
    `eval_split` names a held-out set: then all of `source` is trained but what is held out.

    Raises:
        DataError: missing file or column, torn line, a prompt that is none, no rows.
    """
    if config.eval_source is None and config.eval_split is None:
        seeds = _one_source(config, split)
    else:
        held_out = _read(config.eval_source or config.source, config, "eval")
        ids = {seed.id for seed in held_out}
        seeds = held_out
        if split == "train":
            seeds = [seed for seed in _read(config.source, config, "train") if seed.id not in ids]
    if not seeds:
        raise DataError(f"{config.source} has no {split} prompts", "Give more rows, or set prompts.eval_source")
    return seeds[: config.limit] if config.limit is not None else seeds


def _one_source(config: PromptsConfig, split: Split) -> list[SeedPrompt]:
    seeds = _read(config.source, config, split)
    return seeds if config.source == "builtin" else _hashed_side(seeds, config.eval_fraction, split)


def _hashed_side(seeds: Sequence[SeedPrompt], fraction: float, split: Split) -> list[SeedPrompt]:
    """A row keeps its side when others come. A small set holds out one row at least."""
    place = {s.id: stable_hash("\n".join(message["content"] for message in s.messages)) for s in seeds}
    limit = int(fraction * 2**64)
    if len(seeds) > 1:
        limit = min(max(limit, min(place.values()) + 1), max(place.values()))
    return [s for s in seeds if (place[s.id] < limit) == (split == "eval")]


def _read(source: str, config: PromptsConfig, split: Split) -> list[SeedPrompt]:
    if source == "builtin":
        rows = [record for _, record in read_records(_BUILTIN) if record["split"] == split]
        return [SeedPrompt(r["id"], ({"role": "user", "content": r["prompt"]},), r["topic"]) for r in rows]
    path = Path(source).expanduser()
    is_jsonl = path.suffix.lower() in (".jsonl", ".json")
    seeds: dict[str, SeedPrompt] = {}
    for number, row in list(read_records(path)) if is_jsonl else _read_dataset(path, source, config, split):
        where = f"{source}:{number}"
        if config.column not in row:
            hint = did_you_mean(config.column, row)
            raise DataError(f"{where}: no column {config.column!r}{hint}", "Set prompts.column")
        messages = as_messages(row[config.column], where)
        columns = {k: v for k, v in row.items() if k != config.column and k not in RESERVED_COLUMNS}
        key = hashlib.sha256(repr(messages).encode()).hexdigest()[:16]
        seeds.setdefault(key, SeedPrompt(key, messages, None, columns))
    return list(seeds.values())


def _read_dataset(path: Path, source: str, config: PromptsConfig, split: Split) -> list[tuple[int, dict[str, Any]]]:
    import datasets

    name = config.eval_split if split == "eval" and config.eval_split else config.split
    kind = path.suffix.lower()[1:]
    try:
        if kind in ("parquet", "csv"):
            data = datasets.load_dataset(kind, data_files=str(path), split="train")
        else:
            data = load_split(source, config.subset, name)
    except DataError:
        raise
    except Exception as error:
        raise DataError(
            f"{source} cannot be loaded ({first_line(error)})", "Check the path, or the hub id and your connection"
        ) from error
    return [(i, dict(row)) for i, row in enumerate(data, 1)]


def as_messages(value: object, where: str) -> tuple[Message, ...]:
    """A conversation that ends in a user's turn, each turn a text.

    Raises:
        DataError: anything else.
    """
    if isinstance(value, str):
        value = [{"role": "user", "content": value}]
    if not isinstance(value, list) or not all(isinstance(m, dict) and {"role", "content"} <= set(m) for m in value):
        raise DataError(f"{where}: a prompt is text or a list of messages with role and content")
    for message in value:
        if message["role"] not in _ROLES:
            raise DataError(f"{where}: role {message['role']!r} is not one of {', '.join(_ROLES)}")
        if not isinstance(message["content"], str):
            raise DataError(f"{where}: the content of a message is text, found {type(message['content']).__name__}")
        try:
            message["content"].encode()
        except UnicodeEncodeError as error:
            raise DataError(f"{where}: a message holds half a surrogate pair, which is no text") from error
    if not value or value[-1]["role"] != "user":
        raise DataError(f"{where}: the last message is not the user's", "End each prompt with what is asked")
    if not value[-1]["content"].strip():
        raise DataError(f"{where}: the prompt is empty", "Remove the row")
    return tuple({"role": m["role"], "content": m["content"]} for m in value)
