"""The card of a data set that was made: where every row came from, and what was dropped for which reason."""

from __future__ import annotations

import json
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from lengthctl.data_gen.filters import DropReason

__all__ = ["DatasetFacts", "LabelFacts", "SourceFacts", "dataset_card", "length_histogram"]

_EDGES = (0, 5, 10, 20, 30, 40, 60, 80, 100, 150, 200, 300, 400, 500, 700, 1000, 1500, 2000, 4000, 8000, 16000)
_SIZES = ((1000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (1_000_000, "100K<n<1M"))


@dataclass(frozen=True)
class SourceFacts:
    """What became of a source's rows.

    Raises:
        ValueError: the rows that are used and those that are dropped are not all.
    """

    name: str
    rows: int
    """Rows read."""
    used: int
    dropped: Mapping[DropReason, int]
    licences: tuple[str, ...] = ()
    """Of the rows that are used, as they name them; empty where none is known."""

    def __post_init__(self) -> None:
        if self.used + sum(self.dropped.values()) != self.rows:
            raise ValueError(f"{self.name}: {self.used} used and {dict(self.dropped)} dropped are not {self.rows} rows")


@dataclass(frozen=True)
class LabelFacts:
    """A class of the data: rows that passed the filters, and those that are used."""

    name: str
    candidates: int
    used: int


@dataclass(frozen=True)
class DatasetFacts:
    """All that a card tells; every number is counted, none is written by hand.

    Raises:
        ValueError: the classes or the histogram have other sums than the sources.
    """

    title: str
    about: str
    """What a row is, and how it was made: a paragraph of Markdown."""
    sources: tuple[SourceFacts, ...]
    labels: tuple[LabelFacts, ...]
    lengths: Mapping[str, int]
    """`length_histogram` of the completions that are used."""
    unit: str
    seed: int
    command: str
    versions: Mapping[str, str]
    settings: Mapping[str, Any]
    files: Mapping[str, str]
    """Configuration of `datasets` to file; the first one is the default."""
    tags: tuple[str, ...] = ()
    languages: tuple[str, ...] = field(default=())

    def __post_init__(self) -> None:
        for what, total in (
            ("classes", sum(label.used for label in self.labels)),
            ("lengths", sum(self.lengths.values())),
        ):
            if total != self.used:
                raise ValueError(f"the {what} sum to {total}, and {self.used} rows are used")

    @property
    def used(self) -> int:
        """Rows of the data set."""
        return sum(source.used for source in self.sources)

    def to_row(self) -> dict[str, Any]:
        """A JSON object with all of it, for `stats.json`."""
        plain = {key: value for key, value in vars(self).items() if key not in ("sources", "labels")}
        sources = [{**vars(s), "dropped": dict(s.dropped)} for s in self.sources]
        return {**plain, "used": self.used, "sources": sources, "labels": [dict(vars(label)) for label in self.labels]}


def length_histogram(lengths: Iterable[int]) -> dict[str, int]:
    """How many lengths lie in each of about twenty classes, by their ends, e.g. `21-30`, `>16000`; empty ones at either
    end are left out. In bounded memory."""
    counts = Counter(bisect_left(_EDGES, length) for length in lengths)
    if not counts:
        return {}
    return {_between(i): counts[i] for i in range(min(counts), max(counts) + 1)}


def _between(i: int) -> str:
    if i in (0, len(_EDGES)):
        return "0" if i == 0 else f">{_EDGES[-1]}"
    return f"{_EDGES[i - 1] + 1}-{_EDGES[i]}"


def dataset_card(facts: DatasetFacts) -> str:
    """Markdown with the front matter of the Hugging Face hub."""
    return "\n".join(
        [
            *_front_matter(facts),
            f"# {_flat(facts.title)}",
            "",
            facts.about,
            "",
            f"{facts.used} rows of {sum(source.rows for source in facts.sources)} read. Lengths are counted in "
            f"{facts.unit}; completions only.",
            "",
            "## Sources",
            "",
            "| source | licence | rows read | used |",
            "|---|---|---:|---:|",
            *(
                f"| {_flat(s.name)} | {_flat(', '.join(s.licences)) or 'not stated'} | {s.rows} | {s.used} |"
                for s in facts.sources
            ),
            "",
            "The licences are those that the sources state; who passes rows on keeps to them.",
            "",
            "## Dropped",
            "",
            *_dropped(facts.sources),
            "",
            "## Classes",
            "",
            "| class | passed the filters | used |",
            "|---|---:|---:|",
            *(f"| {_flat(label.name)} | {label.candidates} | {label.used} |" for label in facts.labels),
            "",
            "## Lengths",
            "",
            f"| {facts.unit} | rows |",
            "|---|---:|",
            *(f"| {between} | {n} |" for between, n in facts.lengths.items()),
            "",
            "## How it was made",
            "",
            f"- Command: `{_flat(facts.command) or 'the library was called'}`",
            f"- Seed: {facts.seed}",
            f"- Versions: {', '.join(f'{name} {version}' for name, version in facts.versions.items())}",
            *(
                f"- {name}: `{json.dumps(value, ensure_ascii=False)}`"
                for name, value in facts.settings.items()
                if name != "seed"
            ),
            "",
        ]
    )


def _front_matter(facts: DatasetFacts) -> list[str]:
    """A JSON string is YAML too, so names need no other care."""
    licences = sorted({licence for source in facts.sources for licence in source.licences})
    size = next((name for limit, name in _SIZES if facts.used < limit), "n>1M")
    lines = ["---", "task_categories: [text-generation]", f"size_categories: [{json.dumps(size)}]"]
    lines.append(f"tags: {json.dumps(['lengthctl', *facts.tags])}")
    if facts.languages:
        lines.append(f"language: {json.dumps(list(facts.languages))}")
    if licences and all(source.licences for source in facts.sources if source.used):
        lines.append(f"license: {json.dumps(licences if len(licences) > 1 else licences[0])}")
    lines.append("configs:")
    for place, (name, file) in enumerate(facts.files.items()):
        lines += [f"- config_name: {json.dumps(name)}", f"  data_files: {json.dumps(file)}"]
        lines += ["  default: true"] if place == 0 else []
    return [*lines, "---", ""]


def _dropped(sources: tuple[SourceFacts, ...]) -> list[str]:
    reasons = [reason for reason in DropReason if any(source.dropped.get(reason) for source in sources)]
    if not reasons:
        return ["Nothing."]
    return [
        f"| reason | {' | '.join(_flat(source.name) for source in sources)} |",
        f"|---|{'---:|' * len(sources)}",
        *(
            f"| {reason}: {reason.meaning} | {' | '.join(str(source.dropped.get(reason, 0)) for source in sources)} |"
            for reason in reasons
        ),
    ]


def _flat(text: str) -> str:
    """In a cell of a table, or a heading."""
    return " ".join(text.split()).replace("|", "\\|").replace("`", "'")
