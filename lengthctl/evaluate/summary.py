"""`summary.json` of a training run or an evaluation, read into one form: sides in order, compared with the first."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lengthctl.errors import DataError
from lengthctl.evaluate.columns import LONG_TARGET, MEASURES, Measure, in_order
from lengthctl.evaluate.metrics import Metric
from lengthctl.evaluate.shown import shown

__all__ = [
    "MEASURES",
    "Level",
    "Measure",
    "Side",
    "Summary",
    "count",
    "difference_rows",
    "parse_level",
    "parse_summary",
    "read_summary",
    "summary_rows",
]

Level = Mapping[str, Metric]
"""Metrics of one set of completions, by measure."""

_NAME_CHARACTERS = 60


@dataclass(frozen=True)
class Side:
    """One set of completions: a training run before or after, or a subject of an evaluation."""

    name: str
    overall: Level
    by_target: Mapping[str, Level]
    samples: str
    """JSONL file, relative to the folder of the summary."""
    model: str = ""
    control: str = ""
    difference: Level = field(default_factory=dict)
    """This side minus the first, paired by prompt; empty for the first."""
    difference_by_target: Mapping[str, Level] = field(default_factory=dict)
    judge: Level = field(default_factory=dict)
    judge_counts: Mapping[str, float] = field(default_factory=dict)
    """Bare numbers among the judge's metrics, such as verdicts that could not be parsed."""
    seconds: float | None = None
    """Wall-clock time of its completions."""

    def at(self, label: str) -> Level | None:
        """Metrics of a target by its label, or of `all`."""
        return self.overall if label == "all" else self.by_target.get(label)


@dataclass(frozen=True)
class Summary:
    """What was measured. `raw` is the file's content, for what is only printed."""

    sides: tuple[Side, ...]
    is_training: bool
    raw: Mapping[str, Any]
    seed: int = 0
    reasoning: Mapping[str, Level] = field(default_factory=dict)
    """By name: `accuracy` (0 to 1) and `tokens` (a completion)."""

    @property
    def has_lengths(self) -> bool:
        """Lengths were asked for; else problems alone were answered."""
        return any("mean_abs_relative_deviation" in side.overall for side in self.sides)

    @property
    def title(self) -> str:
        """What the summary is about, as a title."""
        return "Length adherence" if self.has_lengths else "Accuracy and tokens"

    @property
    def labels(self) -> list[str]:
        """Labels of the targets, those of the first side first."""
        return list(dict.fromkeys(label for side in self.sides for label in side.by_target))

    @property
    def is_long(self) -> bool:
        """Every target asks for a long text."""
        numbers = [int(number) for label in self.labels for number in re.findall(r"\d{1,9}", label)]
        return bool(numbers) and min(numbers) >= LONG_TARGET

    def measures(self, limit: int | None = None) -> list[Measure]:
        """Those of `MEASURES` that some side has, the first `limit` of them; of long targets others come first."""
        found = in_order(is_long=self.is_long)
        return [m for m in found if any(m.key in side.overall for side in self.sides)][:limit]


def read_summary(run_dir: Path) -> dict[str, Any]:
    """`summary.json` of a run or evaluation folder.

    Raises:
        DataError: it is missing, torn, or no summary.
    """
    path = run_dir / "summary.json"
    try:
        summary: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise DataError(f"{path} does not exist", "Finish the run first: `lengthctl train --resume RUN`") from error
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path} is torn ({error})", "Remove it and finish the run again") from error
    parse_summary(summary, str(path))
    return summary


def parse_summary(raw: Any, source: str = "the summary") -> Summary:
    """A summary of either shape: `after` (and `before`, `change`) of a run, or `subjects` (and `differences`).

    Names lose control characters and what of them exceeds 60 characters; equal ones are numbered. What is no metric is
    passed over.

    Raises:
        DataError: neither shape, no side, or a side without metrics; `source` names the file.
    """
    remedy = "Remove it and finish the run again"
    if not isinstance(raw, Mapping) or not ("after" in raw or "subjects" in raw):
        raise DataError(f"{source} is no summary: it has neither `after` nor `subjects`", remedy)
    is_training = "subjects" not in raw
    sides = _training_sides(raw) if is_training else _subject_sides(raw)
    if not sides:
        raise DataError(f"{source} is no summary: it has no subjects", remedy)
    for side in sides:
        if not side.overall:
            raise DataError(f"{source} is no summary: `{side.name}` has no metrics", remedy)
    seed = raw.get("seed")
    reasoning = {_name(name): parse_level(level) for name, level in _mapping(raw.get("reasoning")).items()}
    return Summary(
        tuple(sides),
        is_training,
        raw,
        seed=seed if isinstance(seed, int) else 0,
        reasoning={name: level for name, level in reasoning.items() if {"accuracy", "tokens"} <= set(level)},
    )


def summary_rows(summary: Mapping[str, Any]) -> tuple[list[str], list[list[str]]]:
    """Head and rows of the table by target, the first side on top; each cell with its 95 % interval.

    Raises:
        DataError: it is no summary.
    """
    parsed = parse_summary(summary)
    measures = parsed.measures(limit=7)  # what a wide terminal holds
    rows = []
    for label in [*parsed.labels, "all"]:
        for side in parsed.sides:
            if level := side.at(label):
                cells = [m.text(level[m.key]) if m.key in level else "" for m in measures]
                rows.append([label, side.name, *cells, str(count(level))])
    return ["target", "", *(m.title for m in measures), "n"], rows


def difference_rows(summary: Mapping[str, Any]) -> tuple[list[str], list[list[str]]]:
    """Head and rows of the differences over all targets; the head begins with the name of the first side, which the
    others are compared with. No rows where nothing is compared.

    Raises:
        DataError: it is no summary.
    """
    parsed = parse_summary(summary)
    measures = parsed.measures(limit=7)
    rows = [
        [
            side.name,
            *(m.text(side.difference[m.key], signed=True) if m.key in side.difference else "" for m in measures),
        ]
        for side in parsed.sides[1:]
        if side.difference
    ]
    return [parsed.sides[0].name, *(m.title for m in measures)], rows


def count(level: Level) -> int:
    """Completions that its metrics are means of."""
    return max((metric.n for metric in level.values()), default=0)


def _training_sides(raw: Mapping[str, Any]) -> list[Side]:
    change = _mapping(raw.get("change"))
    return [
        Side(
            name,
            parse_level(_mapping(raw[name]).get("overall")),
            _by_target(_mapping(raw[name])),
            f"samples/{name}.jsonl",
            difference=parse_level(change) if name == "after" and "before" in raw else {},
            difference_by_target=_by_target(change) if name == "after" else {},
            seconds=_seconds(_mapping(raw.get("minutes")).get(name), 60),
        )
        for name in ("before", "after")
        if name in raw
    ]


def _subject_sides(raw: Mapping[str, Any]) -> list[Side]:
    differences = _mapping(raw.get("differences"))
    sides = []
    seen = Counter[str]()
    for name, value in _mapping(raw["subjects"]).items():
        subject, difference = _mapping(value), _mapping(differences.get(name))
        seen[_name(name)] += 1
        number = seen[_name(name)]
        sides.append(
            Side(
                _name(name) if number == 1 else f"{_name(name)} ({number})",
                parse_level(subject.get("overall")),
                _by_target(subject),
                str(subject.get("samples", "")),
                model=_name(subject.get("model", "")),
                control=_name(subject.get("control", "")),
                difference=parse_level(difference),
                difference_by_target=_by_target(difference),
                judge=parse_level(subject.get("judge")),
                judge_counts=_numbers(subject.get("judge")),
                seconds=_seconds(subject.get("seconds"), 1),
            )
        )
    return sides


def _by_target(value: Mapping[str, Any]) -> dict[str, Level]:
    return {_name(label): parse_level(level) for label, level in _mapping(value.get("by_target")).items()}


def parse_level(value: Any) -> dict[str, Metric]:
    """Metrics by measure, from JSON; what is no metric is passed over."""
    level = {}
    for key, entry in _mapping(value).items():
        numbers = {k: v for k, v in _mapping(entry).items() if isinstance(v, int | float)}
        if {"value", "low", "high", "n"} <= set(numbers):
            value, low, high = (float(numbers[part]) for part in ("value", "low", "high"))
            level[str(key)] = Metric(value, low, high, int(numbers["n"]))
    return level


def _numbers(value: Any) -> dict[str, float]:
    return {_name(key): float(entry) for key, entry in _mapping(value).items() if isinstance(entry, int | float)}


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _name(value: object) -> str:
    """On one line, the middle left out of a long one: paths differ at their ends."""
    text = " ".join(shown(str(value), 1000).split())
    if len(text) <= _NAME_CHARACTERS:
        return text
    return f"{text[: _NAME_CHARACTERS // 2 - 1]}\u2026{text[-_NAME_CHARACTERS // 2 :]}"


def _seconds(value: Any, factor: float) -> float | None:
    return value * factor if isinstance(value, int | float) else None
