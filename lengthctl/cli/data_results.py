"""What all `data` verbs share: options, the prompts that no row may hold, and how results are told."""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lengthctl.cli.app import emit, hub_name
from lengthctl.errors import ConfigError, Problem

if TYPE_CHECKING:
    from lengthctl.data_gen.decontamination import Contamination
    from lengthctl.data_gen.instruction_data import Reading

__all__ = [
    "Against",
    "ColumnNames",
    "Limit",
    "Out",
    "Push",
    "Seed",
    "Sources",
    "Split",
    "Subset",
    "check_sources",
    "command_line",
    "finish",
    "kept_out",
    "reading_of",
    "strictly_kept_out",
    "tell",
]

Out = Annotated[Path, typer.Option(help="Folder for the data and their card; an interrupted command goes on there.")]
Seed = Annotated[int, typer.Option(min=0, help="Of every choice.")]
Against = Annotated[
    list[str] | None,
    typer.Option(help="Prompts of an evaluation, which no row may hold; the built-in held-out ones always count."),
]
Sources = Annotated[
    list[str],
    typer.Argument(metavar="SOURCE...", help="JSONL, CSV, Parquet, or hub ids; key=value sets what has no option."),
]
Subset = Annotated[str | None, typer.Option(help="Subset (config name) of hub datasets.")]
Split = Annotated[str, typer.Option(help="Split of hub datasets.")]
ColumnNames = Annotated[
    str | None,
    typer.Option(
        "--columns",
        help="Columns of rows in no known shape: prompt=NAME,completion=NAME (and context, system) or messages=NAME; "
        "also id and licence.",
    ),
]
Limit = Annotated[int | None, typer.Option(min=1, help="Rows of each source at most, to try it out.")]
Push = Annotated[str | None, typer.Option(callback=hub_name, help="Hub repository for the data; uses your own login.")]


def command_line() -> str:
    """The command as it was called, for a card."""
    return shlex.join(["lengthctl", *sys.argv[1:]])


def kept_out(against: Sequence[str] | None) -> Contamination:
    """The built-in held-out prompts, and those of `against`."""
    from lengthctl.data_gen.decontamination import Contamination

    return Contamination(_evaluation_prompts(against))


def strictly_kept_out(against: Sequence[str] | None) -> Contamination:
    """The same for long texts, whose prompts are often templates: fewer words in common are enough."""
    from lengthctl.data_gen.decontamination import strict_contamination

    return strict_contamination(_evaluation_prompts(against))


def _evaluation_prompts(against: Sequence[str] | None) -> list[str]:
    from lengthctl.config import PromptsConfig
    from lengthctl.prompt_sources import load_seed_prompts

    texts = [seed.messages[-1]["content"] for seed in load_seed_prompts(PromptsConfig(), "eval")]  # type: ignore[call-arg]
    for source in against or ():
        own = PromptsConfig(eval_source=source)  # type: ignore[call-arg]
        texts += [seed.messages[-1]["content"] for seed in load_seed_prompts(own, "eval")]
    return texts


def check_sources(verb: str, sources: Sequence[str], out: Path) -> None:
    """A source named twice would count its rows as duplicates of themselves; one where the result goes would be lost.

    Raises:
        ConfigError: there is one, or no source at all.
    """
    if not sources:
        raise ConfigError(verb, [Problem("SOURCE", "is missing")], "Name a file or a hub id")
    if twice := sorted({source for source in sources if sources.count(source) > 1}):
        raise ConfigError(verb, [Problem("SOURCE", f"{twice[0]} is named twice")])
    place = out.resolve()
    written = {place, place / "train.jsonl", place / "train.parquet"}
    if own := next((source for source in sources if Path(source).resolve() in written), None):
        raise ConfigError(verb, [Problem("--out", f"the result would take the place of {own}")], "Name another folder")


def reading_of(
    verb: str, sources: Sequence[str], subset: str | None, split: str, columns: str | None = None
) -> Reading:
    """How the sources of a command are read.

    Raises:
        ConfigError: columns that are none, or a part of hub datasets where there are only files.
    """
    from lengthctl.config import is_hub_id
    from lengthctl.data_gen.instruction_data import Columns, Reading

    problems = []
    if sources and not any(map(is_hub_id, sources)):
        given = {"--subset": subset is not None, "--split": split != "train"}
        problems += [
            Problem(name, "has no effect: no source is a hub dataset") for name, is_set in given.items() if is_set
        ]
    named = None
    if columns is not None:
        pairs = [part.partition("=") for part in columns.split(",")]
        try:
            named = Columns.parse({key.strip(): name.strip() for key, _, name in pairs})
        except ValueError as error:
            problems.append(Problem("--columns", f"= {columns}: {error}"))
    if problems:
        raise ConfigError(verb, problems)
    return Reading(subset, split, named)


def tell(facts: Mapping[str, Any], out: Path, as_json: bool, file: str = "train.jsonl") -> None:
    """The facts as JSON, or the card without its front matter and the path of the rows."""
    if as_json:
        emit(json.dumps(facts, ensure_ascii=False))
    else:
        emit((out / "README.md").read_text(encoding="utf-8").partition("\n---\n")[2].strip())
        emit(f"\n{out / file}")


def finish(facts: Mapping[str, Any], out: Path, as_json: bool, push: str | None) -> None:
    """Tell the result of a data set that is written, then push it where that is wanted."""
    tell(facts, out, as_json)
    if push is not None:
        from lengthctl.pipelines.publish import push_dataset

        push_dataset(out, push)
