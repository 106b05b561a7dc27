"""The verbs that let a model write long data: `data agentwrite` and `data backtranslate`."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import chain, islice
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from lengthctl.cli.app import AsJson, emit
from lengthctl.cli.data import data
from lengthctl.cli.data_results import (
    Against,
    Limit,
    Out,
    Push,
    Seed,
    Sources,
    Split,
    Subset,
    check_sources,
    command_line,
    finish,
    reading_of,
    strictly_kept_out,
)
from lengthctl.cli.room_options import ROOM, DryRun, RoomOptions, with_room_options
from lengthctl.cli.settings import changed, split_words
from lengthctl.errors import ConfigError, DataError, Problem

if TYPE_CHECKING:
    from lengthctl.data_gen.agentwrite import LongPrompt
    from lengthctl.length import Target
    from lengthctl.models import LoadedTokenizer
    from lengthctl.pipelines.room import Document
    from lengthctl.pipelines.room_estimate import Estimate

__all__: list[str] = []

T = TypeVar("T")

_SHOWN = 2
"""Documents whose first calls a dry run shows."""


@data.command()
@with_room_options()
def agentwrite(
    words: Sources,
    out: Out,
    lengths: Annotated[
        str | None,
        typer.Option(
            "--words", help="Of prompts that name no length: a number, or several by commas, drawn by a hash."
        ),
    ] = None,
    small: Annotated[
        bool, typer.Option("--small", help="For models below about a billion parameters: short parts, a fixed outline.")
    ] = False,
    control: Annotated[
        str | None, typer.Option(help="How the length of each part is kept, NAME or NAME:option=value,...")
    ] = None,
    column: Annotated[str, typer.Option(help="Column with the prompt, text or messages.")] = "prompt",
    room: RoomOptions = ROOM,
    subset: Subset = None,
    split: Split = "train",
    limit: Limit = None,
    against: Against = None,
    dry_run: DryRun = False,
    push: Push = None,
    seed: Seed = 0,
    as_json: AsJson = False,
) -> None:
    """Long texts that a model plans and then writes part by part (LongWriter's AgentWrite)."""
    from lengthctl.data_gen.agentwrite import AgentWriteSettings
    from lengthctl.decode.agentwrite_options import SMALL_MODEL, WritingOptions
    from lengthctl.decode.build import parse_control
    from lengthctl.pipelines.agentwrite_data import (
        TITLE,
        agentwrite_documents,
        agentwrite_estimate,
        build_agentwrite_data,
        read_long_prompts,
    )
    from lengthctl.progress import Narrator
    from lengthctl.rollout.backend import Ability

    sources, settings, overrides = split_words(words)
    check_sources("data agentwrite", sources, out)
    base = AgentWriteSettings(SMALL_MODEL if small else WritingOptions(), seed=seed)
    chosen = changed(base, settings, "data agentwrite")
    if control is not None:
        parse_control(control)
    targets = _targets(lengths)
    options = room.of("data agentwrite", seed, overrides)
    config = options.config()
    reading = reading_of("data agentwrite", sources, subset, split)
    read = chain.from_iterable(islice(read_long_prompts(s, column=column, reading=reading), limit) for s in sources)
    # a source that is gone is told before an engine starts
    prompts = _begun(_with_lengths(read, targets, seed), "prompts")
    if dry_run:
        tokenizer = options.tokenizer(config)
        encoder = None if tokenizer is None else tokenizer.tokenizer
        documents = agentwrite_documents(prompts, chosen, encoder)
        _tell_plan(documents, options, tokenizer, as_json, agentwrite_estimate)
        return
    needs = frozenset({Ability.PREFILL} if chosen.writing.prefill else ())
    evaluated, command = strictly_kept_out(against), command_line()
    with options.opened(config, out, Narrator(), title=TITLE, control=control, needs=needs) as opened:
        facts = build_agentwrite_data(prompts, chosen, opened, out, command=command, contamination=evaluated)
    finish(facts, out, as_json, push)


@data.command()
@with_room_options(failure_budget=0.5)
def backtranslate(
    words: Annotated[
        list[str],
        typer.Argument(metavar="SOURCE", help="JSONL, CSV, Parquet, or a hub id; key=value sets what has no option."),
    ],
    out: Out,
    column: Annotated[str, typer.Option(help="Column with the text; else the completion of a conversation.")] = "text",
    room: RoomOptions = ROOM,
    subset: Subset = None,
    split: Split = "train",
    limit: Limit = None,
    against: Against = None,
    dry_run: DryRun = False,
    push: Push = None,
    seed: Seed = 0,
    as_json: AsJson = False,
) -> None:
    """Long texts that exist, each under the request that a model thinks it answers."""
    from lengthctl.data_gen.back_translation import BackTranslationSettings
    from lengthctl.pipelines.back_translation import (
        TITLE,
        LongText,
        back_translation_documents,
        build_back_translations,
        read_long_texts,
        refusal_of,
    )
    from lengthctl.progress import Narrator

    sources, settings, overrides = split_words(words)
    check_sources("data backtranslate", sources, out)
    if len(sources) > 1:
        raise ConfigError("data backtranslate", [Problem("SOURCE", "one at a time")], "Run it for each, then mix")
    chosen = changed(BackTranslationSettings(), settings, "data backtranslate")
    options = room.of("data backtranslate", seed, overrides)
    config = options.config()
    reading = reading_of("data backtranslate", sources, subset, split)
    _begun(read_long_texts(sources[0], column=column, reading=reading), "texts")
    if dry_run:
        read = (t for t in read_long_texts(sources[0], column=column, reading=reading) if isinstance(t, LongText))
        texts = islice((text for text in read if refusal_of(text.text, chosen) is None), limit)
        _tell_plan(back_translation_documents(texts, chosen), options, options.tokenizer(config), as_json)
        return
    evaluated = strictly_kept_out(against)
    with options.opened(config, out, Narrator(), title=TITLE) as opened:
        facts = build_back_translations(
            sources[0],
            chosen,
            opened,
            out,
            command=command_line(),
            limit=limit,
            column=column,
            reading=reading,
            contamination=evaluated,
        )
    finish(facts, out, as_json, push)


def _targets(lengths: str | None) -> list[Target]:
    from lengthctl.length import Target

    try:
        return [] if lengths is None else [Target(int(part)) for part in lengths.split(",")]
    except ValueError as error:
        problem = Problem("--words", f"= {lengths}: a number from 1, or several by commas, e.g. 300,500,800")
        raise ConfigError("data agentwrite", [problem]) from error


def _with_lengths(prompts: Iterable[LongPrompt], targets: Sequence[Target], seed: int) -> Iterator[LongPrompt]:
    """Prompts that name no length get one of `targets`, by a hash of seed and id."""
    from lengthctl.prompts import stable_hash

    for prompt in prompts:
        if prompt.target is None and targets:
            place = stable_hash(f"{seed}|length|{prompt.id}") % len(targets)
            prompt = replace(prompt, target=targets[place])
        yield prompt


def _begun(items: Iterable[T], what: str) -> Iterator[T]:
    """The items, the first of which is there.

    Raises:
        DataError: there is none, or reading it fails.
    """
    found = iter(items)
    first = next(found, None)
    if first is None:
        raise DataError(f"the sources hold no {what}", "Check the files")
    return chain([first], found)


def _tell_plan(
    documents: Iterable[Document[Any]],
    options: RoomOptions,
    tokenizer: LoadedTokenizer | None,
    as_json: bool,
    expected: Callable[[Document[Any]], Estimate] | None = None,
) -> None:
    """What a dry run shows."""
    from dataclasses import asdict

    from lengthctl.pipelines.room_estimate import dry_run

    text, estimate = dry_run(documents, shown=_SHOWN, tokenizer=tokenizer, expected=expected, prices=options.prices)
    emit(json.dumps({**asdict(estimate), "text": text}, ensure_ascii=False) if as_json else text)
