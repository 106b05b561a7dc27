"""The verb that makes data for reasoning under conditions: `data c3ot`."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated

import typer

from lengthctl.cli.app import AsJson, emit
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
    kept_out,
    reading_of,
)
from lengthctl.cli.room_options import ROOM, DryRun, RoomOptions, with_room_options
from lengthctl.cli.settings import changed, split_words
from lengthctl.errors import ConfigError, Problem

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path
    from typing import Any

    from lengthctl.data_gen.c3ot_rows import Ablation
    from lengthctl.data_gen.reasoned_rows import CheckAnswer
    from lengthctl.models import LoadedTokenizer
    from lengthctl.pipelines.c3ot_data import C3oTSettings, ReasonedSources

__all__: list[str] = []

_VERB = "data c3ot"
_COMPRESSORS = ("model", "endpoint", "equations")


@data.command()
@with_room_options()
def c3ot(
    words: Sources,
    out: Out,
    compressor: Annotated[
        str, typer.Option(help="model (an engine here), endpoint, or equations (worked arithmetic, without a model).")
    ] = "model",
    ablation: Annotated[
        str,
        typer.Option(help="none, short_only, long_only, no_condition, or levels (long and six numbered ones)."),
    ] = "none",
    counted_by: Annotated[
        str | None,
        typer.Option(
            "--tokens-of", help="Model whose tokens are counted; default: the compressor's, else characters are."
        ),
    ] = None,
    room: RoomOptions = ROOM,
    subset: Subset = None,
    split: Split = "train",
    columns: ColumnNames = None,
    limit: Limit = None,
    against: Against = None,
    dry_run: DryRun = False,
    push: Push = None,
    seed: Seed = 0,
    as_json: AsJson = False,
) -> None:
    """Long reasoning beside short forms that were checked, each under the condition that asks for it (C3oT)."""
    from lengthctl.checking import AnswerChecker
    from lengthctl.data_gen.instruction_data import read_instructions
    from lengthctl.pipelines.c3ot_data import C3oTSettings, ReasonedSources

    sources, settings, overrides = split_words(words)
    check_sources(_VERB, sources, out)
    chosen = changed(C3oTSettings(_ablation(ablation), seed=seed), settings, _VERB)
    given = {"--model": room.model, "--endpoint": room.endpoint, "--key-env": room.key_env}
    _check_compressor(compressor, chosen, given, overrides)
    options = room.of(_VERB, seed, overrides)
    reading = reading_of(_VERB, sources, subset, split, columns)
    read = [read_instructions(source, reading) for source in sources]
    with AnswerChecker() as checker:
        rows = ReasonedSources(read, checker.check_answer, contamination=kept_out(against), limit=limit)
        next(iter(rows))  # a source that is gone is told before an engine starts
        if dry_run:
            _tell_plan(rows, chosen, options, checker.check_answer, compressor, counted_by, as_json)
            return
        facts = _made(rows, chosen, options, checker.check_answer, compressor, counted_by, out)
    finish(facts, out, as_json, push)


def _ablation(name: str) -> Ablation:
    from lengthctl.data_gen.c3ot_rows import Ablation
    from lengthctl.registry import did_you_mean

    if name not in set(Ablation):
        raise ConfigError(_VERB, [Problem("--ablation", f"there is no {name!r}{did_you_mean(name, set(Ablation))}")])
    return Ablation(name)


def _check_compressor(
    name: str, settings: C3oTSettings, given: Mapping[str, str | None], overrides: Sequence[str]
) -> None:
    """Options that do not go together.

    Raises:
        ConfigError: there are some.
    """
    from lengthctl.registry import did_you_mean

    problems: list[Problem] = []
    if name not in _COMPRESSORS:
        problems.append(Problem("--compressor", f"there is no {name!r}{did_you_mean(name, _COMPRESSORS)}"))
    elif name == "endpoint" and given["--endpoint"] is None:
        problems.append(Problem("--endpoint", "is missing: the URL of the server, up to /v1"))
    elif name == "model" and given["--endpoint"] is not None:
        problems.append(Problem("--endpoint", "has no effect with --compressor model; use --compressor endpoint"))
    elif name == "equations":
        used = [*(option for option, value in given.items() if value is not None), *overrides]
        problems += [Problem(word, "has no effect with --compressor equations, which asks no model") for word in used]
        if settings.ablation == "levels":
            problems.append(Problem("--ablation", "levels needs a model: equations have one short form"))
        if settings.compression.judge:
            problems.append(Problem("judge", "needs a model: equations are read by a program"))
    if problems:
        raise ConfigError(_VERB, problems)


def _made(
    rows: ReasonedSources,
    settings: C3oTSettings,
    options: RoomOptions,
    check: CheckAnswer,
    kind: str,
    counted_by: str | None,
    out: Path,
) -> dict[str, Any]:
    from lengthctl.data_gen.compression import Compressor
    from lengthctl.pipelines.c3ot_data import TITLE, build_c3ot_data
    from lengthctl.progress import Narrator

    own = None if counted_by is None else _tokenizer(counted_by)
    if kind == "equations" or not settings.ablation.conditions:
        count, unit = _counter(own)
        made = Compressor(settings.compression, check, count)
        return build_c3ot_data(rows, settings, made, out, unit=unit, command=command_line())
    with options.opened(options.config(), out, Narrator(), title=TITLE) as room:
        count, unit = _counter(own or room.tokenizer)
        made = Compressor(settings.compression, check, count)
        return build_c3ot_data(rows, settings, made, out, room=room, unit=unit, command=command_line())


def _tell_plan(
    rows: ReasonedSources,
    settings: C3oTSettings,
    options: RoomOptions,
    check: CheckAnswer,
    kind: str,
    counted_by: str | None,
    as_json: bool,
) -> None:
    """What a dry run shows: the first calls, or how many rows there are where no model is asked."""
    import json
    from dataclasses import asdict

    from lengthctl.data_gen.compression import Compressor
    from lengthctl.pipelines.c3ot_data import c3ot_documents
    from lengthctl.pipelines.room_estimate import Estimate, dry_run

    if kind == "equations" or not settings.ablation.conditions:
        n = sum(1 for _ in rows)
        text, estimate = f"{n} rows with reasoning; no model is asked", Estimate()
    else:
        tokenizer = options.tokenizer(options.config())
        count, _ = _counter(None if counted_by is None else _tokenizer(counted_by))
        documents = c3ot_documents(rows, settings, Compressor(settings.compression, check, count))
        text, estimate = dry_run(documents, shown=2, tokenizer=tokenizer, prices=options.prices)
    if left_out := rows.drops.told():
        text += f"\nleft out: {left_out}"
    emit(json.dumps({**asdict(estimate), "text": text}, ensure_ascii=False) if as_json else text)


def _counter(tokenizer: LoadedTokenizer | None) -> tuple[Callable[[str], int], str]:
    """Tokens of a model, else characters."""
    if tokenizer is None:
        return len, "characters"
    return (lambda text: len(tokenizer.encode(text))), "tokens"


def _tokenizer(name: str) -> LoadedTokenizer:
    from lengthctl.cli.named import OF_TRAINING, load_named, model_overrides
    from lengthctl.models import load_tokenizer

    return load_tokenizer(load_named("quickstart", [*OF_TRAINING, *model_overrides(name, None, None)]).model)
