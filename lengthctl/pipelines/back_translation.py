"""`lengthctl data backtranslate`: long texts that people wrote, each under the request that a model thinks it answers.

Texts are read one by one, checked, and asked about many at a time; every answer of the model is kept, so an interrupted
command repeats no finished call. The same texts and answers give the same rows, in the order of the texts.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

from lengthctl.data_gen import curate_filters, filters
from lengthctl.data_gen.back_translation import BackTranslated, BackTranslationSettings, back_translate
from lengthctl.data_gen.dataset_folder import DatasetAbout, Drops, write_dataset
from lengthctl.data_gen.decisions import json_line
from lengthctl.data_gen.decontamination import Contamination
from lengthctl.data_gen.filters import DropReason
from lengthctl.data_gen.instruction_data import WHOLE, Reading, read_rows
from lengthctl.data_gen.row_shapes import ParsedRow, parse_row, require_column
from lengthctl.decode.flow import FlowFailedError
from lengthctl.errors import DataError
from lengthctl.length import Unit, count_length
from lengthctl.normal_text import content_digest, normal_form
from lengthctl.pipelines.document_room import run_documents
from lengthctl.pipelines.room import Document, Room
from lengthctl.writing_system import language_of

__all__ = [
    "TITLE",
    "LongText",
    "back_translation_documents",
    "build_back_translations",
    "read_long_texts",
    "refusal_of",
]

TITLE = "Long texts under back-translated requests"
"""Of the data."""
_COLUMN = "text"
_ABOUT = (
    "Conversations in TRL's prompt-completion form: the completion is a text of the source, the prompt a request that "
    "a model wrote for it. `attempts` tells how many requests were written, `is_verified` whether the model said that "
    "the text answers this one (null: it was not asked, or gave no clear answer). No prompt names a length: "
    "`lengthctl data constrain` adds true ones."
)


@dataclass(frozen=True)
class LongText:
    """A text without a request."""

    id: str
    """The row's own, else a digest of the text."""
    text: str
    source: str
    licence: str | None = None

    @property
    def digest(self) -> str:
        """32 hex digits of the text."""
        return content_digest(self.text)


def read_long_texts(source: str, *, column: str = _COLUMN, reading: Reading = WHOLE) -> Iterator[LongText | DropReason]:
    """The texts of a .jsonl, .csv or .parquet file or a hub dataset, or why a row has none.

    Args:
        source: a path or hub id.
        column: holds the text; where none is named, rows without it give the completion of a conversation, in any
            known shape.
        reading: which part of a hub dataset.

    Raises:
        DataError: the source cannot be read, or a row has neither.
    """
    for where, row in read_rows(source, reading):
        if column != _COLUMN:
            require_column(row, column, where)
        licence = row.get("licence") or row.get("license")
        if isinstance(text := row.get(column), str):
            name = row.get("id")
            found = LongText(str(name) if isinstance(name, str | int) else "", text.strip(), source, _text(licence))
        else:
            parsed = _parsed(row, column, where)
            if isinstance(parsed, DropReason):
                yield parsed
                continue
            found = LongText(parsed.id or "", parsed.completion.strip(), source, parsed.licence)
        yield found if found.id else LongText(found.digest, found.text, source, found.licence)


def _parsed(row: Mapping[str, Any], column: str, where: str) -> ParsedRow | DropReason:
    """The conversation of a row without a text; a row whose column is there and empty needs no known shape."""
    try:
        return parse_row(row, None, where)
    except DataError:
        if column not in row:
            raise
        return DropReason.NO_COMPLETION if row[column] is None else DropReason.NOT_TEXT


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and value else None


def refusal_of(text: str, settings: BackTranslationSettings) -> DropReason | None:
    """Why a text is not worth a call."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return DropReason.NOT_TEXT
    if reason := filters.empty(text):
        return reason
    if count_length(text, Unit.WORDS_MIXED) < settings.least_text_words:
        return DropReason.OUTSIDE_BANDS
    reason = filters.unfinished(text) or curate_filters.leftovers(text)
    return reason or filters.repetitive(text) or curate_filters.repetitive_part(text)


class _Usable:
    """The texts that are asked about, in their order; what is left out is counted."""

    def __init__(self, texts: Iterable[LongText | DropReason], settings: BackTranslationSettings, source: str) -> None:
        self.drops = Drops()
        self._texts, self._settings, self._source = texts, settings, source

    def __iter__(self) -> Iterator[LongText]:
        seen: set[int] = set()
        names: set[int] = set()
        for text in self._texts:
            if isinstance(text, DropReason):
                self.drops.add(self._source, text)
                continue
            exact, name = int(content_digest(normal_form(text.text)), 16), hash((text.source, text.id))
            reason = DropReason.EXACT_DUPLICATE if exact in seen else refusal_of(text.text, self._settings)
            if reason is not None:
                self.drops.add(text.source, reason)
                continue
            seen.add(exact)
            yield text if name not in names else LongText(text.digest, text.text, text.source, text.licence)
            names.add(name)


@dataclass(frozen=True)
class _TextDocument(Document[BackTranslated]):
    text: LongText | None = None


def back_translation_documents(
    texts: Iterable[LongText], settings: BackTranslationSettings
) -> Iterator[Document[BackTranslated]]:
    """A document a text, for `run_documents` and `dry_run`."""
    for text in texts:
        yield _TextDocument(text.digest, partial(back_translate, text.text, settings), text=text)


def build_back_translations(
    source: str,
    settings: BackTranslationSettings,
    room: Room,
    out: Path,
    *,
    command: str = "",
    limit: int | None = None,
    column: str = _COLUMN,
    reading: Reading = WHOLE,
    contamination: Contamination | None = None,
) -> dict[str, Any]:
    """Write the texts of a source under requests into `out` as `write_dataset` does; what `stats.json` holds.

    Args:
        source: see `read_long_texts`, with `column` and `reading`.
        settings: see there.
        room: what the model's calls are made in.
        out: a folder; made when missing.
        command: as it was called, for the card.
        limit: ask about at most so many texts.
        contamination: prompts of an evaluation; rows whose request holds one are left out.

    Raises:
        DataError: the source cannot be read, or no row is left.
        RunFolderError: `out` holds other data.
        EndpointError, EngineError, FailureBudgetError: the model is gone, or too many texts came to nothing; finished
            calls are kept.
    """
    usable = _Usable(read_long_texts(source, column=column, reading=reading), settings, source)
    out.mkdir(parents=True, exist_ok=True)
    aside = out / f".texts-{os.getpid()}.part"
    measured: dict[str, Any] = {}
    try:
        with aside.open("w", encoding="utf-8") as file:

            def see(document: Document[BackTranslated], made: BackTranslated | FlowFailedError) -> None:
                assert isinstance(document, _TextDocument)
                assert document.text is not None
                if isinstance(made, FlowFailedError):
                    usable.drops.add(source, made.setback)
                elif contamination is not None and contamination.hit(made.request):
                    usable.drops.add(source, DropReason.CONTAMINATED)
                else:
                    file.write(json_line(_row(document.text, made)))

            documents = back_translation_documents(islice(usable, limit), settings)
            report = run_documents(documents, room, on_result=see, ordered=True, title="texts", total=limit)
        measured.update(report.totals())
        about = DatasetAbout(
            TITLE,
            _ABOUT,
            seed=room.seed,
            command=command,
            model=_model_name(room.source),
            settings={**asdict(settings), "evaluation_prompts_kept_out": len(contamination or ())},
            tags=("back-translation",),
        )
        return write_dataset(out, _lines(aside), about, drops=usable.drops, measured=measured)
    finally:
        with suppress(OSError):
            aside.unlink(missing_ok=True)


def _model_name(source: Sequence[Any]) -> str | None:
    """Of a room's source, as `journal.source_identity` tells it; of a folder its last name alone."""
    section = next((part for part in source if isinstance(part, Mapping) and part.get("name")), None)
    if section is None:
        return source[-1] if source and isinstance(source[-1], str) else None
    name = str(section["name"])
    return Path(name).name if Path(name).is_absolute() else name


def _lines(path: Path) -> Iterator[dict[str, Any]]:
    with path.open(encoding="utf-8", newline="\n") as file:
        yield from map(json.loads, file)


def _row(text: LongText, made: BackTranslated) -> dict[str, Any]:
    """In TRL's conversational form."""
    return {
        "prompt": [{"role": "user", "content": made.request}],
        "completion": [{"role": "assistant", "content": text.text}],
        "id": text.id,
        "target": None,
        "words": count_length(text.text, Unit.WORDS_MIXED),
        "language": language_of(text.text),
        "attempts": made.attempts,
        "is_verified": made.is_verified,
        "source": text.source,
        "licence": text.licence,
    }
