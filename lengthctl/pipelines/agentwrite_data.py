"""`lengthctl data agentwrite`: long texts that a model plans and writes part by part, as training data.

Many documents are made at a time, and every answer is kept: an interrupted command repeats no finished call. The same
prompts and answers give the same rows, in the order of the prompts.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

from lengthctl.data_gen.agentwrite import AgentWriteSettings, LongPrompt, long_prompt, row_of
from lengthctl.data_gen.dataset_folder import DatasetAbout, Drops, write_dataset
from lengthctl.data_gen.decisions import json_line
from lengthctl.data_gen.decontamination import Contamination
from lengthctl.data_gen.filters import DropReason
from lengthctl.data_gen.instruction_data import WHOLE, Reading, read_rows
from lengthctl.data_gen.row_shapes import parse_row, require_column
from lengthctl.decode.agentwrite import LongText, write_long
from lengthctl.decode.agentwrite_plan import usual_parts
from lengthctl.decode.agentwrite_scene import Scene
from lengthctl.decode.flow import FlowFailedError
from lengthctl.errors import DataError
from lengthctl.length import Encoder
from lengthctl.pipelines.document_room import run_documents
from lengthctl.pipelines.room import Document, Room
from lengthctl.pipelines.room_estimate import Estimate, estimate_calls, first_calls
from lengthctl.pipelines.target_cells import parse_cell
from lengthctl.prompt_sources import as_messages
from lengthctl.token_rates import expected_tokens

__all__ = ["TITLE", "agentwrite_documents", "agentwrite_estimate", "build_agentwrite_data", "read_long_prompts"]

_COLUMN = "prompt"
_LINE_TOKENS = 40
"""Of a plan, about."""
TITLE = "Long texts by AgentWrite"
"""Of the data."""
_ABOUT = (
    "Conversations in TRL's prompt-completion form: the completion was planned and written part by part by a model "
    "(AgentWrite, arXiv 2408.07055), short ones in one call (`plan` is null). `target` is the length that the prompt "
    "names, `length` the one reached in its unit, `s_l` its score in [0, 1]. `plan` has the main point and length of "
    "each step, `parts` what was written: where it stands, its length and the one asked for, attempts, and what is "
    "wrong with parts that were kept for want of better ones. `left_out` counts steps without a part."
)


def read_long_prompts(source: str, *, column: str = _COLUMN, reading: Reading = WHOLE) -> Iterator[LongPrompt]:
    """The requests of a .jsonl, .csv or .parquet file or a hub dataset; completions are not read.

    A row's `target` (as `gen` takes it) is its length, else the one that the request states.

    Args:
        source: a path or hub id.
        column: holds the request, a text or messages; where none is named, rows without it give the prompt of a
            conversation in any known shape.
        reading: which part of a hub dataset.

    Raises:
        DataError: the source cannot be read, a row has no known shape, or a target is none.
    """
    for where, row in read_rows(source, reading):
        yield _prompt(row, column, source, where)


def _prompt(row: Mapping[str, Any], column: str, source: str, where: str) -> LongPrompt:
    name, licence = row.get("id"), row.get("licence") or row.get("license")
    id = str(name) if isinstance(name, str | int) else ""
    if column != _COLUMN:
        require_column(row, column, where)
    if column in row:
        try:
            messages = as_messages(row[column], where)
        except DataError:
            return LongPrompt(id or where, (), source=source, unusable=DropReason.NO_PROMPT)
    else:
        parsed = parse_row({"completion": "-", **row}, None, where)
        if isinstance(parsed, DropReason):
            return LongPrompt(id or where, (), source=source, unusable=parsed)
        messages = parsed.messages
    try:
        target = None if row.get("target") is None else parse_cell(row["target"])
    except ValueError as error:
        raise DataError(f"{where}: {error}", "Mend the target, or remove it") from error
    return long_prompt(messages, source, target=target, id=id, licence=licence if isinstance(licence, str) else None)


@dataclass(frozen=True)
class _PromptDocument(Document[LongText]):
    prompt: LongPrompt | None = None
    settings: AgentWriteSettings | None = None


def agentwrite_documents(
    prompts: Iterable[LongPrompt], settings: AgentWriteSettings, tokenizer: Encoder | None = None
) -> Iterator[Document[LongText]]:
    """A document a prompt that can be used, for `run_documents` and `dry_run`.

    Args:
        prompts: distinct.
        settings: see there.
        tokenizer: of the model, where there is one.
    """
    for prompt in prompts:
        if prompt.unusable is None:
            flow = partial(write_long, prompt.asked(settings), settings.writing, tokenizer)
            yield _PromptDocument(prompt.digest, flow, prompt=prompt, settings=settings)


def agentwrite_estimate(document: Document[LongText]) -> Estimate:
    """What a document of `agentwrite_documents` takes where every plan and part is sound at once: calls and tokens. A
    text whose length nobody names counts as four parts."""
    assert isinstance(document, _PromptDocument)
    assert document.prompt is not None
    assert document.settings is not None
    options = document.settings.writing
    first = estimate_calls(first_calls(document))
    scene = Scene(document.prompt.asked(document.settings), options, None)
    if scene.is_short:
        return first
    total = scene.total if scene.total is not None else 2 * (scene.floor + scene.ceiling)
    parts, tokens = usual_parts(scene, total), round(expected_tokens(total, scene.unit))
    plan = _LINE_TOKENS * parts
    shown = 0 if options.parallel else sum(min(tokens * n // parts, options.context_tokens) for n in range(parts))
    # the prompt of a part says about what the plan's does, and the plan
    asked = parts * (first.prompt_tokens + (0 if options.brief else plan)) + shown
    return Estimate(1 + parts, first.prompt_tokens + asked, plan + tokens)


class _Usable:
    """The prompts that are written for, in their order; what is left out is counted."""

    def __init__(self, prompts: Iterable[LongPrompt], contamination: Contamination | None) -> None:
        self.drops = Drops()
        self._prompts, self._contamination = prompts, contamination

    def __iter__(self) -> Iterator[LongPrompt]:
        seen: set[int] = set()
        for prompt in self._prompts:
            digest = int(prompt.digest, 16)
            if prompt.unusable is not None:
                self.drops.add(prompt.source, prompt.unusable)
            elif digest in seen:
                self.drops.add(prompt.source, DropReason.SAME_REQUEST)
            elif self._contamination is not None and self._contamination.hit(prompt.messages[-1]["content"]):
                self.drops.add(prompt.source, DropReason.CONTAMINATED)
            else:
                seen.add(digest)
                yield prompt


@dataclass
class _Made:
    """What is told of the texts beside their rows."""

    plans: Counter[str] = field(default_factory=Counter)
    counts: Counter[str] = field(default_factory=Counter)

    def add(self, text: LongText) -> None:
        """A text that became a row."""
        self.plans["none" if text.made is None else text.made.origin] += 1
        self.counts["parts"] += sum(bool(part.text) for part in text.parts)
        self.counts["left_out"] += text.left_out
        self.counts["faulty"] += sum(part.fault is not None and bool(part.text) for part in text.parts)
        self.counts["cut"] += sum(part.is_cut for part in text.parts)
        self.counts["asked_again"] += sum(part.attempts - 1 for part in text.parts)

    def facts(self) -> dict[str, Any]:
        """For `stats.json`."""
        names = ("parts", "left_out", "faulty", "cut", "asked_again")
        return {"plans": dict(sorted(self.plans.items())), **{name: self.counts[name] for name in names}}


def build_agentwrite_data(
    prompts: Iterable[LongPrompt],
    settings: AgentWriteSettings,
    room: Room,
    out: Path,
    *,
    command: str = "",
    limit: int | None = None,
    contamination: Contamination | None = None,
) -> dict[str, Any]:
    """Write the texts of prompts into `out` as `write_dataset` does; what `stats.json` holds.

    Args:
        prompts: read as room for them comes.
        settings: see there.
        room: what the model's calls are made in; its control steers each part.
        out: a folder; made when missing.
        command: as it was called, for the card.
        limit: read at most so many prompts.
        contamination: prompts of an evaluation; rows that hold one are left out before anything is written for them.

    Raises:
        DataError: a source cannot be read, or no row is left.
        RunFolderError: `out` holds other data.
        EndpointError, EngineError, FailureBudgetError: the model is gone, or too many documents came to nothing;
            finished calls are kept.
    """
    usable, told = _Usable(islice(prompts, limit), contamination), _Made()
    tokenizer = None if room.tokenizer is None else room.tokenizer.tokenizer
    out.mkdir(parents=True, exist_ok=True)
    aside = out / ".texts.part"
    names: set[tuple[str, str]] = set()
    try:
        with aside.open("w", encoding="utf-8", newline="\n") as file:

            def see(document: Document[LongText], made: LongText | FlowFailedError) -> None:
                assert isinstance(document, _PromptDocument)
                prompt = document.prompt
                assert prompt is not None
                row = made.setback if isinstance(made, FlowFailedError) else row_of(prompt, made, settings, tokenizer)
                if isinstance(row, Mapping):
                    assert isinstance(made, LongText)
                    told.add(made)
                    file.write(json_line(_named(row, prompt, names)))
                else:
                    usable.drops.add(prompt.source, row)

            documents = agentwrite_documents(usable, settings, tokenizer)
            report = run_documents(documents, room, on_result=see, ordered=True, title="texts", total=limit)
        about = DatasetAbout(
            TITLE,
            _ABOUT,
            seed=settings.seed,
            command=command,
            model=room.model_name,
            settings={
                **asdict(settings),
                "control": None if room.control is None else repr(room.control),
                "evaluation_prompts_kept_out": len(contamination or ()),
            },
            tags=("agentwrite", "long-form"),
        )
        measured = {**report.totals(), **told.facts()}
        return write_dataset(out, _lines(aside), about, drops=usable.drops, measured=measured)
    finally:
        with suppress(OSError):
            aside.unlink(missing_ok=True)


def _named(row: Mapping[str, Any], prompt: LongPrompt, names: set[tuple[str, str]]) -> Mapping[str, Any]:
    """The row under its own id; where another row of its source has that, under its digest."""
    name = (prompt.source, prompt.id)
    if name in names:
        return {**row, "id": prompt.digest}
    names.add(name)
    return row


def _lines(path: Path) -> Iterator[dict[str, Any]]:
    with path.open(encoding="utf-8", newline="\n") as file:
        yield from map(json.loads, file)
