"""Prompts: seed requests from the built-in set, files or the hub; each with targets and a wording of the demand."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from lengthctl.errors import DataError, first_line
from lengthctl.length import Relation, Target, Unit
from lengthctl.records import read_records
from lengthctl.registry import did_you_mean

if TYPE_CHECKING:
    from lengthctl.config import PromptsConfig

__all__ = ["WORDINGS", "LengthPrompt", "SeedPrompt", "build_length_prompts", "describe_target", "load_seed_prompts"]

Message = Mapping[str, str]

WORDINGS = (
    "{request} Answer in {length}.",
    "{request} Write {length}.",
    "{request} Your answer should have {length}.",
    "In {length}: {request}",
    "{request} Use {length}.",
    "{request} ({length})",
)
"""Several forms of the same demand, so that a model cannot learn one phrase. `{length}` is `describe_target`."""

_BUILTIN = Path(__file__).parent / "assets" / "prompts.jsonl"
_UNIT_NAMES = {Unit.CHARACTERS: "characters", Unit.SENTENCES: "sentences", Unit.TOKENS: "tokens"}


@dataclass(frozen=True)
class SeedPrompt:
    """A request that names no length yet."""

    id: str
    messages: tuple[Message, ...]
    topic: str | None = None
    columns: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class LengthPrompt:
    """A request with its target worded into the last message."""

    id: str
    seed_id: str
    messages: tuple[Message, ...]
    target: Target
    wording: int
    topic: str | None = None
    columns: Mapping[str, Any] = field(default_factory=dict)


def describe_target(target: Target) -> str:
    """The demand in words, e.g. `about 50 words`, `at most 50 words`, `50 to 80 words`."""
    unit = _UNIT_NAMES.get(target.unit, "words")
    match target.relation:
        case Relation.AT_MOST:
            return f"at most {target.value} {unit}"
        case Relation.AT_LEAST:
            return f"at least {target.value} {unit}"
        case Relation.RANGE:
            return f"{target.value} to {target.high} {unit}"
        case Relation.EXACT | Relation.ABOUT:
            return f"about {target.value} {unit}"


def build_length_prompts(
    seeds: Sequence[SeedPrompt], targets: Sequence[Target], *, wordings: Sequence[str] | None, seed: int
) -> list[LengthPrompt]:
    """Every seed prompt with every target; the wording is drawn by a hash, so it does not depend on the others.

    Raises:
        ValueError: a wording without `{request}` or `{length}`.
    """
    forms = tuple(wordings) if wordings else WORDINGS
    for form in forms:
        if "{request}" not in form or "{length}" not in form:
            raise ValueError(f"a wording holds {{request}} and {{length}}, found {form!r}")
    prompts = []
    for item in seeds:
        for target in targets:
            wording = _hash(f"{seed}|{item.id}|{target.label}") % len(forms)
            *rest, last = item.messages
            text = forms[wording].replace("{length}", describe_target(target)).replace("{request}", last["content"])
            messages = (*rest, {**last, "content": text})
            key = f"{item.id}|{target.label}"
            prompts.append(LengthPrompt(key, item.id, messages, target, wording, item.topic, item.columns))
    return prompts


def load_seed_prompts(config: PromptsConfig, split: Literal["train", "eval"]) -> list[SeedPrompt]:
    """Seed prompts of one split. The built-in set is split by topic, other sources by a hash of the text, unless
    `eval_source` names a set of its own; a text never stands in both.

    Raises:
        DataError: missing file or column, torn line, empty prompt, no rows.
    """
    if config.source == "builtin":
        rows = [record for _, record in read_records(_BUILTIN) if record["split"] == split]
        seeds = [SeedPrompt(r["id"], ({"role": "user", "content": r["prompt"]},), r["topic"]) for r in rows]
    elif config.eval_source is not None:
        seeds = _read(config.eval_source if split == "eval" else config.source, config, split)
    else:
        seeds = _split(_read(config.source, config, split), config.eval_fraction, split)
    if not seeds:
        raise DataError(f"{config.source} has no {split} prompts", "Give more rows, or set prompts.eval_source")
    return seeds[: config.limit] if config.limit is not None else seeds


def _split(seeds: Sequence[SeedPrompt], fraction: float, split: str) -> list[SeedPrompt]:
    """One side by a hash of the text: a row keeps its side when others come. A small set holds out one row at least."""
    place = {s.id: _hash(_text(s)) for s in seeds}
    limit = int(fraction * 2**64)
    if len(seeds) > 1:
        limit = min(max(limit, min(place.values()) + 1), max(place.values()))
    return [s for s in seeds if (place[s.id] < limit) == (split == "eval")]


def _read(source: str, config: PromptsConfig, split: str) -> list[SeedPrompt]:
    path = Path(source).expanduser()
    rows = (
        list(read_records(path)) if path.suffix in (".jsonl", ".json") else _read_dataset(path, source, config, split)
    )
    seeds: dict[str, SeedPrompt] = {}
    for number, row in rows:
        where = f"{source}:{number}"
        if config.column not in row:
            hint = did_you_mean(config.column, row)
            raise DataError(f"{where}: no column {config.column!r}{hint}", "Set prompts.column")
        messages = _messages(row[config.column], where)
        columns = {k: v for k, v in row.items() if k not in (config.column, "target", "prompt_id", "schema")}
        key = hashlib.sha256(repr(messages).encode()).hexdigest()[:16]
        seeds.setdefault(key, SeedPrompt(key, messages, None, columns))
    return list(seeds.values())


def _read_dataset(path: Path, source: str, config: PromptsConfig, split: str) -> list[tuple[int, dict[str, Any]]]:
    import datasets

    name = config.eval_split if split == "eval" and config.eval_split else config.split
    try:
        if path.suffix in (".parquet", ".csv"):
            data = datasets.load_dataset(path.suffix[1:], data_files=str(path), split="train")
        else:
            data = datasets.load_dataset(source, config.subset, split=name)
    except Exception as error:
        raise DataError(
            f"{source} cannot be loaded ({first_line(error)})", "Check the path, or the hub id and your connection"
        ) from error
    return [(i, dict(row)) for i, row in enumerate(data, 1)]


def _messages(value: object, where: str) -> tuple[Message, ...]:
    if isinstance(value, str):
        value = [{"role": "user", "content": value}]
    if not isinstance(value, list) or not all(isinstance(m, dict) and {"role", "content"} <= set(m) for m in value):
        raise DataError(f"{where}: a prompt is text or a list of messages with role and content")
    if not value or not str(value[-1]["content"]).strip():
        raise DataError(f"{where}: the prompt is empty", "Remove the row")
    return tuple({"role": str(m["role"]), "content": str(m["content"])} for m in value)


def _text(seed: SeedPrompt) -> str:
    return "\n".join(message["content"] for message in seed.messages)


def _hash(text: str) -> int:
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big")
