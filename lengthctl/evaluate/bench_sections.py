"""The parts of a bench's report: the verdict, accuracy against tokens, and what answers and training cost."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from lengthctl.evaluate.bench_plots import curves_figure
from lengthctl.evaluate.cost import Mark
from lengthctl.evaluate.metrics import Metric
from lengthctl.evaluate.problem_sections import problem_sections
from lengthctl.evaluate.sections import Section
from lengthctl.evaluate.shown import shown
from lengthctl.evaluate.summary import Level, Measure, Summary, parse_level
from lengthctl.evaluate.tables import Cell, Table, difference_cell, metric_cell

__all__ = ["bench_rows", "bench_sections", "bench_verdict"]

_AXES = ("tokens per completion", "accuracy (%)")
_ACCURACY = Measure("accuracy", "accuracy, points")
_SHARE = Measure("saved", "tokens saved %")
_TOKENS = Measure("tokens", "tokens", 1)


def bench_verdict(results: Mapping[str, Any]) -> str:
    """The setting that saves most of those that are not inferior, with its figures; where there is none, the one whose
    accuracy comes nearest. A base that solves next to nothing is told instead: beside it everything looks as good."""
    verdicts: Mapping[str, Any] = results["verdicts"]
    scope = f"({results['problem_count']} problems, {_seeds(results['seeds'])}; 95 % intervals, paired by problem)"
    if not verdicts:
        return f"Only the base was measured {scope}."
    best = results["best"]
    if best is not None:
        half = "at least half" if verdicts[best]["saves_half"] else "less than half"
        told = f"{shown(best, 60)} saves most without being inferior, {half} of the tokens"
        return f"{told}: {_figures(verdicts[best])} {scope}."
    margin = 100 * next(iter(verdicts.values()))["margin"]
    base = 100 * next(iter(results["reasoning"].values()))["accuracy"]["value"]
    if base <= margin:
        return f"The base itself solves {base:.1f} %: none can lose {margin:g} points, so nothing is shown {scope}."
    near = max(verdicts, key=lambda name: verdicts[name]["accuracy_change"]["low"])
    return (
        f"No method saves tokens and keeps the lower end of its accuracy's change above -{margin:g} points; nearest "
        f"comes {shown(near, 60)}: {_figures(verdicts[near])} {scope}."
    )


def bench_sections(results: Mapping[str, Any]) -> list[Section]:
    """All of them, the verdicts first."""
    reasoning = {str(name): parse_level(level) for name, level in results["reasoning"].items()}
    summary = Summary((), is_training=False, raw=results, reasoning=reasoning)
    plot, *parts = problem_sections(summary)
    figure = curves_figure(_curves(reasoning, results["methods"]), _AXES, results["config"]["margin"])
    note = (
        "Upper left is better; bars are 95 % intervals. Grey: from the base's accuracy down to the margin; dotted: "
        "half of its tokens; the broad line joins settings that no other beats on both counts."
    )
    tables = {
        "Against the base: is accuracy kept, and what is saved?": _verdicts(results),
        "What a correct answer costs": _costs(results),
        "What training cost": _training(results),
        "Seed by seed": _by_seed(results),
        "What failed": _failures(results),
    }
    made = [Section(title, tables=(table,)) for title, table in tables.items() if table is not None]
    of_verdicts = [section for section in made if section.title.startswith("Against")]
    rest = [section for section in made if section not in of_verdicts]
    return [replace(plot, figures=(figure,), note=note), *of_verdicts, *parts, *rest]


def bench_rows(results: Mapping[str, Any]) -> tuple[list[str], list[list[str]]]:
    """Head and rows of the table for a terminal: each setting with its accuracy and tokens, and the verdict on it."""
    accuracy, tokens = Measure("accuracy", "accuracy %"), Measure("tokens", "tokens", 1)
    rows = []
    for name, raw in results["reasoning"].items():
        level, verdict = parse_level(raw), results["verdicts"].get(name)
        change = "" if verdict is None else _figures(verdict)
        kept = "" if verdict is None else "yes" if verdict["is_not_inferior"] else "no"
        rows.append([name, accuracy.text(level["accuracy"]), tokens.text(level["tokens"]), change, kept])
    return ["", accuracy.title, tokens.title, "against the base", "not inferior"], rows


def _curves(reasoning: Mapping[str, Level], methods: Mapping[str, str]) -> dict[str, list[Mark]]:
    curves: dict[str, list[Mark]] = {}
    for name, level in reasoning.items():
        curves.setdefault(shown(methods[name], 60), []).append(Mark(name, level["tokens"], level["accuracy"]))
    return curves


def _verdicts(results: Mapping[str, Any]) -> Table | None:
    verdicts, changes = results["verdicts"], results["problem_differences"]
    if not verdicts:
        return None
    has_reasoning = any(verdict["saved_reasoning"] for verdict in verdicts.values())
    scores = [key for key in next(iter(changes.values())) if key.startswith("aes_")]
    weights = ", ".join(scores[0].split("_")[1:]) if scores else ""
    rows = []
    for name, verdict in verdicts.items():
        score = parse_level(changes[name]).get(scores[0]) if scores else None
        cells = [
            Cell(shown(name, 60)),
            difference_cell(_metric(verdict["accuracy_change"]), _ACCURACY),
            Cell("yes" if verdict["is_not_inferior"] else "no", is_strong=verdict["is_not_inferior"]),
            metric_cell(_metric(verdict["saved"]), _SHARE),
            *([metric_cell(_metric(verdict["saved_reasoning"]), _SHARE)] if has_reasoning else []),
            Cell("yes" if verdict["saves_half"] else "no", is_strong=verdict["saves_half"]),
            metric_cell(score, Measure("aes", "aes", 1), places=2),
            Cell(", ".join(map(str, verdict["seeds"]))),
        ]
        rows.append(tuple(cells))
    head = (
        *("setting", "accuracy, points", f"lower end above -{100 * results['config']['margin']:g}", "tokens saved %"),
        *(["reasoning saved %"] if has_reasoning else []),
        *("half saved", f"efficiency score ({weights})", "seeds"),
    )
    note = (
        "Each against the base on the same problems and seeds: 95 % intervals, bootstrap over problems. Bold: the "
        "interval leaves out 0, or the condition holds; half is of all tokens. The efficiency score (O1-Pruner's, "
        f"arXiv 2501.12570) weighs savings, gains and losses of accuracy by {weights}."
    )
    return Table(head, tuple(rows), note)


def _costs(results: Mapping[str, Any]) -> Table:
    rows = [
        (
            Cell(shown(name, 60)),
            metric_cell(_metric(cost["tokens_drawn"]), _TOKENS),
            metric_cell(_metric(cost["tokens_per_correct"]), _TOKENS),
            _number(cost["seconds"], 2),
            _number(cost["seconds_per_correct"], 2),
        )
        for name, cost in results["costs"].items()
    ]
    note = (
        "Tokens are all that were drawn, discarded ones included; per correct answer, they and the seconds are divided "
        "by the answers that are right. Seconds are wall-clock time over completions, many of which were drawn at once."
    )
    head = ("setting", "tokens drawn", "tokens per correct answer", "seconds", "seconds per correct answer")
    return Table(head, tuple(rows), note)


def _training(results: Mapping[str, Any]) -> Table | None:
    rows = [
        (
            Cell(shown(method, 60)),
            Cell(shown(seed, 20)),
            _number(trained["seconds"] / 60, 1),
            _number(trained["train_minutes"], 1),
            Cell("" if trained["tokens"] is None else f"{trained['tokens']:,}"),
        )
        for method, by_seed in results["training"].items()
        for seed, trained in by_seed.items()
    ]
    note = "Minutes in all: data, start, measuring before and after, and training itself, on the machine of this bench."
    return (
        Table(("method", "seed", "minutes in all", "of them training", "tokens"), tuple(rows), note) if rows else None
    )


def _by_seed(results: Mapping[str, Any]) -> Table | None:
    seeds = [str(seed) for seed in results["seeds"]]
    if len(seeds) < 2:
        return None
    rows = []
    for name, by in results["by_seed"].items():
        cells = [Cell(shown(name, 60))]
        for seed in seeds:
            found = by.get(seed)
            change = None if found is None or name == next(iter(results["by_seed"])) else found["accuracy_change"]
            cells += [
                _number(None if found is None else 100 * found["accuracy"], 1),
                difference_cell(_metric(change), _ACCURACY),
                _number(None if found is None else found["mean_total_tokens"], 1),
            ]
        rows.append(tuple(cells))
    head = [f"{what}, seed {seed}" for seed in seeds for what in ("accuracy %", "points", "tokens")]
    return Table(("setting", *head), tuple(rows), "Points: against the base with the same seed, paired by problem.")


def _failures(results: Mapping[str, Any]) -> Table | None:
    rows = [
        (Cell(shown(one["method"], 60)), Cell(str(one["seed"])), Cell(shown(one["why"], 400)))
        for one in results["failures"]
    ]
    return Table(("method", "seed", "why"), tuple(rows), prose=1) if rows else None


def _figures(verdict: Mapping[str, Any]) -> str:
    accuracy, saved = verdict["accuracy_change"], verdict["saved"]
    points = (
        f"accuracy {100 * accuracy['value']:+.1f} points [{100 * accuracy['low']:+.1f}, {100 * accuracy['high']:+.1f}]"
    )
    if saved is None:
        return points
    low, high = 100 * saved["low"], 100 * saved["high"]
    return f"{points}, {100 * saved['value']:.1f} % [{low:.1f}, {high:.1f}] fewer tokens"


def _seeds(seeds: list[int]) -> str:
    return f"seed{'s' if len(seeds) > 1 else ''} {', '.join(map(str, seeds))}"


def _metric(value: Mapping[str, float] | None) -> Metric | None:
    return parse_level({"": value}).get("")


def _number(value: float | None, places: int) -> Cell:
    return Cell("" if value is None else f"{value:.{places}f}")
