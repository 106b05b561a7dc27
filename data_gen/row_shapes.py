"""The shapes that rows of instruction data have, each read as turns of a conversation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from lengthctl.data_gen.filters import DropReason
from lengthctl.errors import DataError
from lengthctl.prompts import Message
from lengthctl.registry import did_you_mean
from lengthctl.row_columns import Columns

__all__ = ["ParsedRow", "parse_row", "require_column"]

_ROLES = {"system": "system", "user": "user", "assistant": "assistant", "human": "user", "gpt": "assistant"}
_CONVERSATIONS = ("messages", "conversations", "conversation")
_REQUESTS = ("instruction", "input", "question")
_CONTEXTS = ("input", "context")
_ANSWERS = ("output", "response", "answer")
_IDS, _LICENCES = ("id", "idx"), ("licence", "license")

Turn = Mapping[str, Any]


@dataclass(frozen=True)
class ParsedRow:
    """What a row says."""

    messages: tuple[Message, ...]
    completion: str
    id: str | None
    licence: str | None
    columns: dict[str, Any]


def parse_row(row: Mapping[str, Any], columns: Columns | None, where: str) -> ParsedRow | DropReason:
    """The conversation of a row, or why it has none.

    Raises:
        DataError: no known shape, a named column that is missing, a value of the wrong type; `where` begins it.
    """
    turns, used = _named(row, columns, where) if columns is not None else _known(row, where)
    split = _split(turns)
    if isinstance(split, DropReason):
        return split
    messages, completion = split
    id_columns = _IDS if columns is None or columns.id is None else (columns.id,)
    licence_columns = _LICENCES if columns is None or columns.licence is None else (columns.licence,)
    rest = {key: value for key, value in row.items() if key not in {*used, *id_columns, *licence_columns}}
    return ParsedRow(messages, completion, _first_text(row, id_columns), _first_text(row, licence_columns), rest)


def _split(turns: list[Turn]) -> tuple[tuple[Message, ...], str] | DropReason:
    """Prompt and completion of a conversation."""
    roles = [_ROLES.get(str(turn["role"]).lower()) for turn in turns]
    end = max((i for i, role in enumerate(roles) if role == "assistant"), default=None)
    if end is None:
        return DropReason.NO_COMPLETION
    contents = [turn["content"] for turn in turns[: end + 1]]
    if None in roles[: end + 1] or not all(map(_is_text, contents)):
        return DropReason.NOT_TEXT
    if not contents[end].strip():
        return DropReason.NO_COMPLETION
    if end == 0 or roles[end - 1] != "user" or not contents[end - 1].strip():
        return DropReason.NO_PROMPT
    prompt = zip(roles[:end], contents, strict=False)
    return tuple({"role": str(role), "content": content} for role, content in prompt), contents[end]


def _is_text(value: object) -> bool:
    if not isinstance(value, str):
        return False
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def _known(row: Mapping[str, Any], where: str) -> tuple[list[Turn], set[str]]:
    """Turns of a row in one of the known shapes, and the columns that they stand in."""
    for name in _CONVERSATIONS:
        if name in row:
            return _turns(row[name], "user", where), {name}
    if "prompt" in row and "completion" in row:
        return _pair(row["prompt"], None, row["completion"], where), {"prompt", "completion"}
    for request in _REQUESTS:
        answer = next((name for name in _ANSWERS if name in row), None)
        if request in row and answer is not None:
            context = next((name for name in _CONTEXTS if name in row and name != request), None)
            used = {request, answer, *([context] if context else [])}
            return _pair(row[request], row[context] if context else None, row[answer], where), used
    instances = row.get("instances")
    if "instruction" in row and isinstance(instances, list) and instances:
        first = instances[0]
        if isinstance(first, Mapping):
            return _pair(row["instruction"], first.get("input"), first.get("output"), where), {
                "instruction",
                "instances",
            }
    lone = next((name for name in ("prompt", *_REQUESTS) if name in row), None)
    if lone is not None:
        return _pair(row[lone], None, None, where), {lone}
    known = "messages, prompt and completion, instruction and output or response, or input and output"
    raise DataError(f"{where}: columns of no known shape ({', '.join(row)})", f"Needed: {known}; or name the columns")


def _named(row: Mapping[str, Any], columns: Columns, where: str) -> tuple[list[Turn], set[str]]:
    for name in columns.named:
        if name not in row:
            raise DataError(f"{where}: no column {name!r}{did_you_mean(name, row)}", f"It has {', '.join(row)}")
    if columns.messages is not None:
        return _turns(row[columns.messages], "user", where), set(columns.named)
    prompt, completion, context, system = (
        None if name is None else row[name]
        for name in (columns.prompt, columns.completion, columns.context, columns.system)
    )
    turns = _pair(prompt, context, completion, where)
    return ([{"role": "system", "content": system}] if system else []) + turns, set(columns.named)


def _pair(prompt: object, context: object, completion: object, where: str) -> list[Turn]:
    """Turns of a request and its completion; without a completion those of the request, the assistant's last ones
    left out."""
    asked, answered = _turns(prompt, "user", where), _turns(completion, "assistant", where)
    if isinstance(context, str) and context.strip() and asked:
        last = asked[-1]
        asked[-1] = {**last, "content": f"{last['content']}\n\n{context}" if last["content"] else context}
    if not any(turn["role"] in ("assistant", "gpt") and turn["content"] for turn in answered):
        return [turn for turn in asked if turn["role"] not in ("assistant", "gpt")]
    return asked + answered


def _turns(value: object, role: str, where: str) -> list[Turn]:
    """A text as one turn of `role`, or a list of messages in TRL's or ShareGPT's keys."""
    if value is None:
        return []
    if isinstance(value, str):
        return [{"role": role, "content": value}]
    if isinstance(value, int | float) and not isinstance(value, bool):
        return [{"role": role, "content": str(value)}]  # the answer of a row may be a number
    if not isinstance(value, Sequence) or not all(isinstance(turn, Mapping) for turn in value):
        raise DataError(f"{where}: a prompt or completion is a text or a list of messages")
    turns: list[Turn] = []
    for turn in value:
        if {"role", "content"} <= set(turn):
            turns.append({"role": turn["role"], "content": turn["content"]})
        elif {"from", "value"} <= set(turn):
            turns.append({"role": turn["from"], "content": turn["value"]})
        else:
            raise DataError(f"{where}: a message has role and content, or from and value")
    return turns


def _first_text(row: Mapping[str, Any], names: Sequence[str]) -> str | None:
    """The first of these columns that holds something, as a text."""
    found = (str(row[name]) for name in names if isinstance(row.get(name), str | int))
    return next((text for text in found if text and _is_text(text)), None)


def require_column(row: Mapping[str, Any], column: str, where: str) -> None:
    """Refuse a row without a column that the user named.

    Raises:
        DataError: it is not there; the nearest one is named.
    """
    if column not in row:
        raise DataError(f"{where}: no column {column!r}{did_you_mean(column, row)}", "Name the one to use")
