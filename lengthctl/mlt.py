"""Meta length tokens (MLT), after Ruler: their table, what a model wrote behind one, and the file that a model keeps.

Source: arXiv 2409.18943. Nothing here knows a tokenizer or a model: `mlt_install` puts the tokens into one,
`mlt_template` into its chat template.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lengthctl.errors import ModelError, first_line
from lengthctl.mlt_table import RULER_TABLE, DataRange, MetaToken, MltTable, ruler_table

__all__ = [
    "MLT_FILE",
    "RULER_TABLE",
    "DataRange",
    "MetaToken",
    "MltOutput",
    "MltRecord",
    "MltTable",
    "MltText",
    "mark_request",
    "ruler_table",
    "split_output",
    "split_text",
    "template_hash",
]

MLT_FILE = "mlt.json"
"""The file beside a model that says which meta length tokens it knows."""

_SCHEMA = 1


@dataclass(frozen=True)
class MltOutput:
    """Ids that a model wrote, its meta length tokens taken out."""

    token: MetaToken | None
    """The token that it began with; None where it began with another id."""
    answer_ids: tuple[int, ...]
    """All ids but those of meta length tokens."""
    extra: int
    """Meta length tokens besides `token`."""


@dataclass(frozen=True)
class MltText:
    """A text that a model wrote, its meta length tokens taken out; see `MltOutput`."""

    token: MetaToken | None
    text: str
    extra: int


def split_output(ids: Iterable[int], mlt_ids: Mapping[int, MetaToken]) -> MltOutput:
    """Read the ids of a completion. Only the very first one names its length.

    Source: arXiv 2409.18943, section 5.3. Differs from its code in: by id, a text without token is no error, and what
    follows a second token still counts.
    """
    written = tuple(ids)
    answer = tuple(i for i in written if i not in mlt_ids)
    token = mlt_ids.get(written[0]) if written else None
    return MltOutput(token, answer, len(written) - len(answer) - (token is not None))


def split_text(text: str, table: MltTable) -> MltText:
    """Read the text of a completion, where ids are not at hand. White space before the first token goes with it.

    A further token that stands between two words becomes a space, so that they stay two. What looks like a token and
    is not in the table is text. Source: as `split_output`.
    """
    one = "|".join(re.escape(token.text) for token in table.tokens)
    first = re.match(rf"\s*({one})", text)
    rest = text[first.end() :] if first else text
    extra = len(re.findall(one, rest))
    return MltText(table.named(first[1]) if first else None, re.sub(f"(?:{one})+", _gap, rest), extra)


def mark_request(messages: Sequence[Mapping[str, str]], token: MetaToken) -> tuple[Mapping[str, str], ...]:
    """The conversation with the token's text at the end of its last message, where it is plain text: for models whose
    vocabulary can't be extended. Ours."""
    *rest, last = messages
    return (*rest, {**last, "content": f"{last['content']} {token.text}"})


def _gap(run: re.Match[str]) -> str:
    around = run.string[: run.start()][-1:], run.string[run.end() : run.end() + 1]
    return " " if all(re.fullmatch(r"\w", character) for character in around) else ""


def template_hash(template: str) -> str:
    """SHA-256 of a chat template, in hex."""
    return hashlib.sha256(template.encode()).hexdigest()


@dataclass(frozen=True)
class MltRecord:
    """The meta length tokens of a trained model, kept beside it as `mlt.json`. Ours.

    Raises:
        ValueError: not one id for each token, or one for two.
    """

    table: MltTable
    ids: tuple[int, ...]
    """Ids in the order of the table."""
    template_hash: str
    """`template_hash` of the chat template that the model is saved with."""

    def __post_init__(self) -> None:
        if len(set(self.ids)) != len(self.table.tokens) or len(self.ids) != len(self.table.tokens):
            raise ValueError(f"{len(self.table.tokens)} tokens need as many different ids, found {self.ids}")

    @property
    def by_id(self) -> dict[int, MetaToken]:
        """What `split_output` reads with."""
        return dict(zip(self.ids, self.table.tokens, strict=True))

    def write(self, folder: Path) -> None:
        """Write `mlt.json` into a folder, whole or not at all."""
        from lengthctl.rundir import write_json  # it imports the config, which may hold a table

        rows = [{"text": token.text, "id": i, **token.to_row()} for i, token in self.by_id.items()]
        about = {"unit": str(self.table.unit), "template_hash": self.template_hash}
        write_json(folder / MLT_FILE, {"schema": _SCHEMA, **about, "tokens": rows})

    @classmethod
    def read(cls, folder: Path) -> MltRecord | None:
        """The record of a model folder; None where it has none.

        Raises:
            ModelError: the file is torn, of another schema, or contradicts itself.
        """
        file = folder / MLT_FILE
        if not file.is_file():
            return None
        remedy = "Copy it again from where the model was trained"
        try:
            document = json.loads(file.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise ModelError(f"{file} cannot be read ({first_line(error)})", remedy) from error
        schema = document.get("schema") if isinstance(document, dict) else None
        if schema != _SCHEMA:
            raise ModelError(f"{file} has schema {schema!r}, and {_SCHEMA} is needed", "Use the version that wrote it")
        try:
            return cls._of(document)
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise ModelError(f"{file} describes no meta length tokens ({first_line(error)})", remedy) from error

    @classmethod
    def _of(cls, document: Mapping[str, Any]) -> MltRecord:
        rows = document["tokens"]
        plain = [{key: row[key] for key in ("name", "target", "data", "pm", "fm")} for row in rows]
        table = MltTable.parse({"unit": document["unit"], "tokens": plain})
        for row, token in zip(rows, table.tokens, strict=True):
            if row["text"] != token.text or type(row["id"]) is not int:
                raise ValueError(f"{row['text']!r} with id {row['id']!r} is not {token.text}")
        template = document["template_hash"]
        if not isinstance(template, str):
            raise ValueError("template_hash is a text")
        return cls(table, tuple(row["id"] for row in rows), template)
