"""The verbs that make training data: `data ruler`, `data pairs`, `data judge` and `data problems`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lengthctl.cli.app import AsJson, app, emit, prepare_for
from lengthctl.cli.data_results import (
    Against,
    ColumnNames,
    Out,
    Seed,
    Split,
    Subset,
    command_line,
    kept_out,
    reading_of,
    tell,
)
from lengthctl.errors import ConfigError, DataError, Problem, RunFolderError

if TYPE_CHECKING:
    from lengthctl.data_gen.preference_rules import PairRules, PairSet
    from lengthctl.data_gen.preference_texts import Text
    from lengthctl.mlt_table import MltTable

__all__: list[str] = []

data = typer.Typer(help="Make training data: rows with meta length tokens, pairs by length.", no_args_is_help=True)
app.add_typer(data, name="data")


@data.command()
def ruler(
    sources: Annotated[list[str], typer.Argument(metavar="SOURCE...", help="JSONL, CSV, Parquet, or hub ids.")],
    out: Out,
    hindsight: Annotated[
        bool,
        typer.Option("--hindsight", help="The sources are the model's own texts, from gen, sample or eval."),
    ] = False,
    openings: Annotated[
        bool,
        typer.Option("--openings", help="Each text's openings too, up to the end of a sentence."),
    ] = False,
    table: Annotated[str, typer.Option(help="The tokens: ruler, paper, fm, or a .json file with a table.")] = "ruler",
    cap: Annotated[int, typer.Option(min=1, help="Rows of each token at most.")] = 20_000,
    ordered: Annotated[bool, typer.Option("--ordered", help="Fill source by source, as Ruler's code does.")] = False,
    strip_lengths: Annotated[
        bool, typer.Option("--strip-lengths", help="Take lengths out of prompts that name one; else such rows go.")
    ] = False,
    subset: Subset = None,
    split: Split = "train",
    columns: ColumnNames = None,
    controls: Annotated[
        bool, typer.Option("--controls", help="Also the same rows without tokens, and with the length in words.")
    ] = False,
    markers: Annotated[
        bool,
        typer.Option("--markers", help="Also the same rows with the token as plain text at the prompt's end."),
    ] = False,
    forms: Annotated[bool, typer.Option("--forms", help="Put each request in one of several forms.")] = False,
    against: Against = None,
    seed: Seed = 0,
    as_json: AsJson = False,
) -> None:
    """Rows that begin with the token of their own length: measured, filtered, balanced, with a card."""
    from lengthctl.data_gen.balance import Fill
    from lengthctl.data_gen.hindsight import read_samples
    from lengthctl.data_gen.instruction_data import WHOLE, read_instructions
    from lengthctl.data_gen.ruler import RulerSettings, build_ruler_data
    from lengthctl.data_gen.ruler_rows import REQUEST_FORMS
    from lengthctl.progress import Narrator

    settings = RulerSettings(
        seed=seed,
        cap=cap,
        openings=openings,
        fill=Fill.ORDERED if ordered else Fill.MIXED,
        length_demands="strip" if strip_lengths else "drop",
        controls=(*(("vanilla", "worded") if controls else ()), *(("marked",) if markers else ())),
        request_forms=REQUEST_FORMS if forms else (),
    )
    if len(set(sources)) < len(sources):
        raise ConfigError("data ruler", [Problem("SOURCE", "one is named twice")])
    reading = reading_of("data ruler", sources, subset, split, columns)
    if hindsight and reading != WHOLE:
        given = {"--subset": subset is not None, "--split": split != "train", "--columns": columns is not None}
        wrong = [Problem(name, "has no effect with --hindsight") for name, is_set in given.items() if is_set]
        raise ConfigError("data ruler", wrong)
    read = [read_samples(s) if hindsight else read_instructions(s, reading) for s in sources]
    narrator = Narrator()
    with narrator.bar(0, "rows measured") as bar:
        facts = build_ruler_data(
            read,
            _table(table),
            settings,
            out,
            contamination=kept_out(against),
            command=command_line(),
            on_row=bar.update,
        )
    tell(facts.to_row(), out, as_json)


@data.command()
def pairs(
    sources: Annotated[list[Path], typer.Argument(metavar="FILE...", help="Texts that gen, sample or eval wrote.")],
    out: Out,
    kind: Annotated[
        str,
        typer.Option(
            help="adherence (a hit over a miss), hindsight (each text under its own length), or quality (the best by "
            "length and quality together, as LongWriter)."
        ),
    ] = "hindsight",
    mlt: Annotated[str | None, typer.Option(help="Ask by tokens (as --table of data ruler); else in words.")] = None,
    openings: Annotated[
        bool,
        typer.Option("--openings", help="With --mlt: each text's openings too, up to the end of a sentence."),
    ] = False,
    per_prompt: Annotated[
        int | None, typer.Option(min=1, help="Pairs a prompt and length at most; default 2, of quality 1.")
    ] = None,
    judge_config: Annotated[
        str | None,
        typer.Option(
            "--judge",
            help="Of quality: recipe whose judge grades the texts; default: a column `quality`, "
            "else what the text itself shows.",
        ),
    ] = None,
    against: Against = None,
    seed: Seed = 0,
    as_json: AsJson = False,
) -> None:
    """Pairs of a better and a worse text for a length, in TRL's preference form."""
    from lengthctl.data_gen.openings import with_openings
    from lengthctl.data_gen.preference_pairs import adherence_pairs, hindsight_pairs, write_pairs
    from lengthctl.data_gen.preference_rules import PairRules
    from lengthctl.data_gen.preference_texts import PairDrop, read_texts

    makers = {"adherence": adherence_pairs, "hindsight": hindsight_pairs}
    if kind not in {*makers, "quality"}:
        from lengthctl.registry import did_you_mean

        hint = did_you_mean(kind, [*makers, "quality"])
        raise ConfigError("data pairs", [Problem("--kind", f"there is no {kind!r}{hint}")])
    if kind != "quality" and judge_config is not None:
        raise ConfigError("data pairs", [Problem("--judge", f"has no effect with --kind {kind}")])
    most = per_prompt or (1 if kind == "quality" else 2)
    rules = PairRules(seed=seed, per_prompt=most, table=None if mlt is None else _table(mlt, "--mlt"))
    if openings and rules.table is None:
        raise ConfigError("data pairs", [Problem("--openings", "needs --mlt, whose lengths they get")])
    texts, unread = read_texts(sources)
    held_out = kept_out(against)
    usable = [text for text in texts if not any(held_out.hit(turn["content"]) for turn in text.request)]
    unread[PairDrop.CONTAMINATED] += len(texts) - len(usable)
    if texts and not usable:
        raise DataError("every text answers a prompt of the evaluation", "Give texts for training prompts")
    if openings and rules.table is not None:
        usable = list(with_openings(usable, rules.table))
    found = makers[kind](usable, rules) if kind in makers else _quality_pairs(usable, rules, judge_config, out)
    tell(write_pairs([found], out, rules, unread=unread), out, as_json)


def _quality_pairs(texts: list[Text], rules: PairRules, judge_config: str | None, out: Path) -> PairSet:
    """By S_l and S_q: of the judge, else those that the texts bring, else from the texts alone."""
    from lengthctl.data_gen.quality_pairs import quality_pairs, with_own_quality
    from lengthctl.progress import Narrator

    narrator = Narrator()
    if judge_config is None:
        graded = with_own_quality(texts)
    else:
        from lengthctl.cli.named import load_named
        from lengthctl.pipelines.text_judging import grade_texts

        recipe = load_named(judge_config, None)
        if recipe.judge is not None:
            prepare_for(recipe.judge.backend)
        with narrator.bar(len(texts), "texts judged") as bar:
            graded = grade_texts(recipe, texts, cache=out / "verdicts.jsonl", say=narrator.say, tick=bar.update)
    made = quality_pairs(graded, rules)
    if made.found.pairs:
        narrator.say(made.line)
    return made.found


@data.command()
def judge(
    sources: Annotated[
        list[str], typer.Argument(metavar="SOURCE...", help="Preference pairs; with --truth, instruction data.")
    ],
    out: Out,
    truth: Annotated[
        list[str] | None,
        typer.Option(help="Cut pairs of known truth from texts: length, repetition or keyword; can be repeated."),
    ] = None,
    judge_config: Annotated[
        str | None,
        typer.Option("--judge", help="Recipe whose judge writes verdicts on the pairs; those that are right are kept."),
    ] = None,
    n: Annotated[int, typer.Option("--n", min=1, help="Pairs for training at most.")] = 2000,
    held_out: Annotated[float, typer.Option(min=0, max=0.9, help="Share of requests that only the test sees.")] = 0.1,
    max_words: Annotated[int, typer.Option(min=10, help="Of --truth: words of a text at most.")] = 60,
    subset: Subset = None,
    split: Split = "train",
    columns: ColumnNames = None,
    against: Against = None,
    seed: Seed = 0,
    as_json: AsJson = False,
) -> None:
    """Pairs in both orders for a judge that compares two texts: for RL, with right verdicts for a cold start."""
    from lengthctl.cli.named import load_named
    from lengthctl.data_gen.judge_files import JudgeDataSettings
    from lengthctl.data_gen.known_truth import Truth
    from lengthctl.pipelines.judge_data import build_known_data, build_preference_data, opened_writer
    from lengthctl.progress import Narrator
    from lengthctl.registry import did_you_mean

    wrong = [name for name in truth or () if name not in set(Truth)]
    if wrong:
        problem = Problem("--truth", f"there is no {wrong[0]!r}{did_you_mean(wrong[0], set(Truth))}")
        raise ConfigError("data judge", [problem])
    if truth and judge_config is not None:
        problem = Problem("--judge", "has no effect with --truth, whose verdicts a program writes")
        raise ConfigError("data judge", [problem])
    if columns is not None and not truth:
        raise ConfigError("data judge", [Problem("--columns", "needs --truth: pairs have their own")])
    reading = reading_of("data judge", sources, subset, split, columns)
    settings = JudgeDataSettings(pairs=n, held_out=held_out, max_words=max_words, seed=seed)
    command = command_line()
    narrator = Narrator()
    recipe = None if judge_config is None else load_named(judge_config, None)
    with narrator.bar(0, "pairs") as bar:
        if truth:
            from lengthctl.data_gen.instruction_data import read_instructions

            read = [read_instructions(source, reading) for source in sources]
            kinds, evaluated = [Truth(name) for name in dict.fromkeys(truth)], kept_out(against)
            facts = build_known_data(
                read, kinds, settings, out, contamination=evaluated, command=command, on_pair=bar.update
            )
        else:
            with opened_writer(recipe, out, narrator.say) as writer:
                facts = build_preference_data(
                    sources, settings, out, judge=writer, reading=reading, command=command, on_pair=bar.update
                )
    tell(facts, out, as_json, "rl.jsonl")


@data.command()
def problems(
    out: Out,
    n: Annotated[int, typer.Option("--n", min=1, help="Tasks.")] = 5000,
    verbosity: Annotated[str, typer.Option(help="How solutions are written: terse, plain or long.")] = "plain",
    steps: Annotated[int, typer.Option(min=1, max=50, help="Most steps of a task.")] = 4,
    digits: Annotated[int, typer.Option(min=1, max=6, help="Digits of the numbers.")] = 1,
    seed: Seed = 0,
    as_json: AsJson = False,
) -> None:
    """Built-in arithmetic with worked solutions, asked as `evaluate.problems=builtin` asks; none of its test tasks."""
    import json

    from lengthctl.data_gen.checkable import Verbosity, make_tasks
    from lengthctl.problem_sources import ask_problem
    from lengthctl.rundir import write_atomic

    if verbosity not in set(Verbosity):
        raise ConfigError("data problems", [Problem("--verbosity", f"{verbosity!r} is none of terse, plain, long")])
    rows = [
        {
            "id": task.id,
            "prompt": [{"role": "user", "content": ask_problem(task.question)}],
            "completion": [{"role": "assistant", "content": task.worked[verbosity]}],
            "steps": task.steps,
            "answer": task.answer,
        }
        for task in make_tasks(n, seed, (1, steps), digits, split="train")
    ]
    if (out / "stats.json").exists():
        raise RunFolderError(f"{out} holds data of another kind", "Name another folder")
    out.mkdir(parents=True, exist_ok=True)
    write_atomic(out / "train.jsonl", "".join(json.dumps(row) + "\n" for row in rows))
    facts = {"rows": len(rows), "verbosity": verbosity, "file": str(out / "train.jsonl")}
    emit(json.dumps(facts) if as_json else f"{len(rows)} rows: {facts['file']}")


def _table(name: str, option: str = "--table") -> MltTable:
    from lengthctl.config import read_table

    try:
        return read_table(name)
    except (TypeError, ValueError) as error:
        raise ConfigError("data", [Problem(option, str(error))], "Give ruler, paper, fm, or a .json file") from error
