"""The verb that lets a model lengthen its own texts, and learn from them: `data self-lengthen`."""

from __future__ import annotations

import json
from itertools import islice
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lengthctl.cli.app import AsJson, emit, prepare_heavy
from lengthctl.cli.data import data
from lengthctl.cli.data_results import (
    Against,
    Out,
    Push,
    Seed,
    Split,
    Subset,
    command_line,
    reading_of,
    strictly_kept_out,
)
from lengthctl.cli.named import load_named, model_overrides
from lengthctl.cli.room_options import DryRun
from lengthctl.cli.settings import changed, split_words
from lengthctl.errors import ConfigError, Problem

if TYPE_CHECKING:
    from lengthctl.data_gen.self_lengthen_seeds import SeedInstruction
    from lengthctl.data_gen.self_lengthen_settings import SelfLengthenSettings

__all__: list[str] = []


@data.command(name="self-lengthen")
def self_lengthen(
    out: Out,
    words: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[SOURCE]",
            help="Instructions, as JSONL, CSV, Parquet or a hub id; default: built-in ones. key=value sets what has no "
            "option, section.key=value the recipe.",
        ),
    ] = None,
    profile: Annotated[str, typer.Option(help="small (up to about a billion parameters) or large.")] = "small",
    column: Annotated[str, typer.Option(help="Column with the instruction, text or messages.")] = "prompt",
    recipe: Annotated[
        str, typer.Option("--config", help="How the models are tuned, and the engines.")
    ] = "self_lengthen",
    model: Annotated[
        str | None, typer.Option(help="Run folder, model folder or hub id; default: the recipe's.")
    ] = None,
    subset: Subset = None,
    split: Split = "train",
    limit: Annotated[int | None, typer.Option(min=1, help="Instructions a round, to try it out.")] = None,
    against: Against = None,
    dry_run: DryRun = False,
    push: Push = None,
    seed: Seed = 0,
    as_json: AsJson = False,
) -> None:
    """Rounds in which a model extends its own texts and is tuned on them, until that lengthens nothing more."""
    from lengthctl.data_gen.self_lengthen_seeds import read_seeds
    from lengthctl.data_gen.self_lengthen_settings import PROFILES
    from lengthctl.pipelines.self_lengthen_models import LocalModels, check_recipe
    from lengthctl.progress import Narrator
    from lengthctl.registry import did_you_mean

    sources, settings, overrides = split_words(words or ())
    if len(sources) > 1:
        raise ConfigError(
            "data self-lengthen", [Problem("SOURCE", "one at a time")], "Put the instructions in one file"
        )
    if profile not in PROFILES:
        problem = Problem("--profile", f"there is no {profile!r}{did_you_mean(profile, PROFILES)}")
        raise ConfigError("data self-lengthen", [problem])
    few = [] if limit is None else [f"instructions={limit}"]
    base: SelfLengthenSettings = changed(PROFILES[profile], [f"seed={seed}", *settings, *few], "data self-lengthen")
    named = [] if model is None else model_overrides(model, None, None)
    config = load_named(recipe, [*named, f"run.seed={seed}", *overrides])
    check_recipe(config)
    reading = reading_of("data self-lengthen", sources or ["builtin"], subset, split)
    seeds = read_seeds(sources[0] if sources else "builtin", column=column, reading=reading)
    if dry_run:
        _tell_plan(base, seeds, as_json)
        return
    prepare_heavy()
    from lengthctl.pipelines.self_lengthen import run_self_lengthen
    from lengthctl.rollout.backend import Sampling

    narrator = Narrator()
    sampling = Sampling(
        temperature=base.temperature,
        top_p=base.top_p,
        top_k=base.top_k,
        repetition_penalty=base.repetition_penalty,
    )
    result = run_self_lengthen(
        base,
        out,
        model=config.model.name,
        seeds=seeds,
        models=LocalModels(config, sampling, narrator),
        contamination=strictly_kept_out(against),
        command=command_line(),
        say=narrator.say,
    )
    emit(json.dumps(result, ensure_ascii=False) if as_json else _told(result))
    if push is not None:
        from lengthctl.pipelines.publish import push_dataset

        push_dataset(out, push)


def _tell_plan(settings: SelfLengthenSettings, seeds: list[SeedInstruction], as_json: bool) -> None:
    """First calls, and what all rounds come to at most."""
    from dataclasses import asdict

    from lengthctl.pipelines.room_estimate import describe_first_calls
    from lengthctl.pipelines.self_lengthen import estimate_self_lengthen, first_documents

    shown = [describe_first_calls(document) for document in islice(first_documents(settings, seeds), 1)]
    most = estimate_self_lengthen(settings)
    told = f"{len(seeds)} instructions given; at most {most.calls} calls, about {most.prompt_tokens} prompt tokens and "
    told += f"{most.completion_tokens} completion tokens; {settings.rounds} trainings of each role"
    text = "\n\n".join([*shown, told])
    emit(json.dumps({**asdict(most), "text": text}, ensure_ascii=False) if as_json else text)


def _told(result: dict[str, Any]) -> str:
    """A line a round, and where the best models are."""
    lines = []
    for one in result["rounds"]:
        median = one["probe"].get("median_words")
        lines.append(f"before round {one['round']}: median {'-' if median is None else f'{median:g}'} words")
    stopped = f" (stopped: {result['stopped']})" if result["stopped"] else ""
    return "\n".join([*lines, f"{result['rows']} texts{stopped}", f"generator: {result['generator']}"])
