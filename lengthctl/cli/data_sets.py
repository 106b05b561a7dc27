"""The verbs that make data sets of long texts from texts that exist: `data constrain`, `data curate`, `data mix`."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated

import typer

from lengthctl.cli.app import AsJson, prepare_for
from lengthctl.cli.data import data
from lengthctl.cli.data_results import (
    Against,
    ColumnNames,
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
from lengthctl.cli.settings import changed, split_words
from lengthctl.errors import ConfigError, Problem

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager
    from pathlib import Path

    from lengthctl.evaluate.judge import Judge
    from lengthctl.judging import Rubric

__all__: list[str] = []

_LONGEST_TEXT = 16_384
"""Tokens of a text that a local judge has room for, as far as its own context goes."""


@data.command()
def constrain(
    words: Sources,
    out: Out,
    units: Annotated[
        list[str] | None,
        typer.Option("--unit", help="What is counted, each row by one of them; default words_mixed; can be repeated."),
    ] = None,
    model: Annotated[str | None, typer.Option(help="Its tokenizer counts tokens.")] = None,
    subset: Subset = None,
    split: Split = "train",
    columns: ColumnNames = None,
    limit: Limit = None,
    against: Against = None,
    push: Push = None,
    seed: Seed = 0,
    as_json: AsJson = False,
) -> None:
    """Prompts that ask for the length that their completion has: about, a range, at least, at most."""
    from lengthctl.data_gen.constrained_data import build_constrained_data
    from lengthctl.data_gen.constraints import ConstraintSettings
    from lengthctl.length import Unit
    from lengthctl.progress import Narrator

    sources, settings, overrides = split_words(words)
    check_sources("data constrain", sources, out)
    _refuse_overrides("data constrain", overrides)
    chosen = changed(ConstraintSettings(seed=seed), settings, "data constrain")
    if units:
        unknown = [unit for unit in units if unit not in set(Unit)]
        if unknown:
            from lengthctl.registry import did_you_mean

            told = f"there is no {unknown[0]!r}{did_you_mean(unknown[0], list(Unit))}"
            raise ConfigError("data constrain", [Problem("--unit", told)])
        chosen = replace(chosen, units=tuple(map(Unit, units)))
    encoder = None
    if Unit.TOKENS in chosen.units:
        if model is None:
            raise ConfigError("data constrain", [Problem("--model", "is needed: whose tokens are counted")])
        from lengthctl.pipelines.score_file import load_encoder

        encoder = load_encoder(model)
    with Narrator().bar(0, "rows") as bar:
        facts = build_constrained_data(
            sources,
            chosen,
            out,
            reading=reading_of("data constrain", sources, subset, split, columns),
            limit=limit,
            contamination=strictly_kept_out(against),
            tokenizer=encoder,
            command=command_line(),
            on_row=bar.update,
        )
    finish(facts, out, as_json, push)


@data.command()
def curate(
    words: Sources,
    out: Out,
    size: Annotated[int | None, typer.Option(min=1, help="Rows at most, even over languages and lengths.")] = None,
    lengths: Annotated[
        str, typer.Option(help="stated: rows go that name no length; any: they stay, by the length they have.")
    ] = "stated",
    judge_config: Annotated[
        str | None, typer.Option("--judge", help="Recipe whose judge grades the texts; default: what they show.")
    ] = None,
    subset: Subset = None,
    split: Split = "train",
    columns: ColumnNames = None,
    limit: Limit = None,
    against: Against = None,
    push: Push = None,
    seed: Seed = 0,
    as_json: AsJson = False,
) -> None:
    """A small set of good long texts from many, with the reason why each other row is left out."""
    from lengthctl.data_gen.curate_settings import CurationSettings
    from lengthctl.pipelines.curation import curate as curate_sources
    from lengthctl.progress import Narrator

    sources, settings, overrides = split_words(words)
    check_sources("data curate", sources, out)
    _refuse_overrides("data curate", overrides)
    given = [f"lengths={lengths}", *([] if size is None else [f"size={size}"]), *settings]
    chosen = changed(CurationSettings(seed=seed), given, "data curate")
    narrator = Narrator()
    with ExitStack() as stack:
        judge = None if judge_config is None else stack.enter_context(_judge(judge_config, out, narrator.say))
        bar = stack.enter_context(narrator.bar(0, "rows measured"))
        facts = curate_sources(
            sources,
            chosen,
            out,
            command=command_line(),
            judge=judge,
            contamination=strictly_kept_out(against),
            reading=reading_of("data curate", sources, subset, split, columns),
            limit=limit,
            on_row=bar.update,
        )
    finish(facts, out, as_json, push)


@data.command()
def mix(
    long: Annotated[list[str], typer.Argument(metavar="LONG...", help="Files or hub ids whose rows are all used.")],
    out: Out,
    general: Annotated[list[str] | None, typer.Option(help="File or hub id of general rows; can be repeated.")] = None,
    ratio: Annotated[float, typer.Option(min=0, help="General rows for each long one.")] = 20.0,
    subset: Subset = None,
    split: Split = "train",
    columns: ColumnNames = None,
    against: Against = None,
    push: Push = None,
    seed: Seed = 0,
    as_json: AsJson = False,
) -> None:
    """Long texts among general ones at a ratio, in one shuffled file."""
    from lengthctl.data_gen.instruction_data import read_instructions
    from lengthctl.data_gen.mixing import MixSettings, mix_data
    from lengthctl.progress import Narrator

    check_sources("data mix", [*long, *(general or ())], out)
    if not general and ratio > 0:
        problem = Problem("--general", "is missing: what the long texts are mixed with")
        raise ConfigError("data mix", [problem], "Name general rows, or give --ratio 0")
    reading = reading_of("data mix", [*long, *(general or ())], subset, split, columns)
    with Narrator().bar(0, "rows read") as bar:
        facts = mix_data(
            [read_instructions(source, reading) for source in long],
            [read_instructions(source, reading) for source in general or ()],
            MixSettings(ratio, seed),
            out,
            contamination=strictly_kept_out(against),
            command=command_line(),
            on_row=bar.update,
        )
    finish(facts, out, as_json, push)


def _judge(recipe: str, out: Path, say: Callable[[str], None]) -> AbstractContextManager[Judge[Rubric]]:
    from lengthctl.cli.named import load_named
    from lengthctl.pipelines.text_judging import opened_text_judge

    config = load_named(recipe, None)
    if config.judge is not None:
        prepare_for(config.judge.backend)
    return opened_text_judge(config, (), cache=out / "verdicts.jsonl", longest_tokens=_LONGEST_TEXT, say=say)


def _refuse_overrides(verb: str, overrides: list[str]) -> None:
    if overrides:
        problem = Problem(overrides[0].partition("=")[0], "sets a recipe, and none is used here")
        raise ConfigError(verb, [problem])
