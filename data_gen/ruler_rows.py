"""Rows for learning meta length tokens, and those of the controls that they are compared with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Any

from lengthctl.data_gen.instruction_data import Instruction
from lengthctl.mlt import mark_request
from lengthctl.mlt_table import MetaToken
from lengthctl.prompts import WORDINGS, Message, stable_hash, word_length

__all__ = ["REQUEST_FORMS", "RowSet", "build_base_row", "build_set_row", "choose_form"]

REQUEST_FORMS = (
    "{request}",
    "{request}",
    "Please help me with this: {request}",
    "I need your help. {request}",
    "Here is what I want to know or have written. {request}",
    "{request}\n\nThank you!",
    "Could you take care of this?\n\n{request}",
)
"""Several forms of the same request, the bare one most often, none of which says a length. Ours."""


class RowSet(StrEnum):
    """Which rows a file holds; all files have the same conversations in the same order."""

    MLT = "mlt"
    """The token in front of the completion; the prompt does not say the length. Ruler's data."""
    VANILLA = "vanilla"
    """Neither a token nor a length: what the data does by itself. Ruler's control."""
    WORDED = "worded"
    """No token; the prompt asks for the token's target in words: what a sentence does. Ours."""
    MARKED = "marked"
    """The token's text at the end of the prompt, for models whose vocabulary can't be extended. Ours."""


def build_base_row(row: Instruction, text: str, token: MetaToken, length: int, unit: str, form: str) -> dict[str, Any]:
    """What all sets know of a row; `form` holds `{request}` once."""
    *rest, last = row.messages
    asked = {**last, "content": form.replace("{request}", last["content"])}
    about = {"length": length, "unit": unit, "source": row.source, "licence": row.licence, "id": row.id}
    return {"messages": [*map(dict, rest), asked], "text": text, "mlt": token.text, **about}


def build_set_row(base: Mapping[str, Any], kind: RowSet, token: MetaToken, seed: int) -> dict[str, Any]:
    """A row in TRL's conversational prompt-completion form, with `mlt`, `length`, `unit`, `source`, `licence`, `id`.

    The wording of `worded` is drawn by a hash of the row's id.
    """
    row = dict(base)
    messages: Sequence[Message] = row.pop("messages")
    text = row.pop("text")
    if kind is RowSet.WORDED:
        form = WORDINGS[stable_hash(f"{seed}|{row['source']}|{row['id']}") % len(WORDINGS)]
        messages = word_length(messages, token.target, form)
    elif kind is RowSet.MARKED:
        messages = mark_request(messages, token)
    content = f"{token.text}{text}" if kind is RowSet.MLT else text
    return {"prompt": list(messages), "completion": [{"role": "assistant", "content": content}], **row}


def choose_form(forms: Sequence[str], seed: int, digest: str) -> str:
    """One of the forms, drawn by a hash of the row's content; the bare request where there are none."""
    return forms[stable_hash(f"{seed}|form|{digest}") % len(forms)] if forms else "{request}"
