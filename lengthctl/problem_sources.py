"""Problems with a reference answer: GSM8K, MATH and AIME, from a file or the hub."""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lengthctl.errors import DataError, first_line
from lengthctl.hub_rows import load_split
from lengthctl.reasoning import AnswerFormat, parse_reasoning
from lengthctl.records import read_records
from lengthctl.registry import did_you_mean

__all__ = ["PROBLEM_SETS", "Problem", "ProblemSet", "ask_problem", "load_problems"]


@dataclass(frozen=True)
class Problem:
    """A question with its reference answer. `difficulty` is the set's own (MATH: level 1 to 5), None if it has none;
    `columns` holds the other fields of the row."""

    id: str
    question: str
    answer: str
    source: str
    difficulty: float | None = None
    columns: Mapping[str, Any] = field(default_factory=dict)


def _after_hashes(value: str) -> str | None:
    """GSM8K's answer: what stands after `####`, without thousands commas."""
    parsed = parse_reasoning(value)
    return parsed.final.replace(",", "") if parsed.final and parsed.format is AnswerFormat.HASHES else None


def _boxed_or_whole(value: str) -> str | None:
    """MATH's answer: the box of a solution, or the text itself where it holds none."""
    parsed = parse_reasoning(value)
    return parsed.final if parsed.format is AnswerFormat.BOXED else value.strip() or None


def _boxed(value: str) -> str | None:
    parsed = parse_reasoning(value)
    return parsed.final if parsed.format is AnswerFormat.BOXED else None


def _integer(value: str) -> str | None:
    """AIME's answer: a whole number, which answer sheets write with leading zeros."""
    digits = value.strip()
    return str(int(digits)) if digits.isascii() and digits.isdigit() and len(digits) <= 9 else None


@dataclass(frozen=True)
class ProblemSet:
    """How a set of problems is read. Column names are tried in order, upper and lower case alike."""

    hub_id: str
    subset: str | None
    split: str
    question: tuple[str, ...]
    answers: tuple[tuple[str, Callable[[str], str | None]], ...]
    """Columns that hold the answer, each with what finds it there."""
    expects: str
    """What an answer looks like, for the message about one that does not."""


_MATH_ANSWERS = (("answer", _boxed_or_whole), ("solution", _boxed))
_WHOLE = "a whole number"
PROBLEM_SETS: Mapping[str, ProblemSet] = {
    "gsm8k": ProblemSet("openai/gsm8k", "main", "test", ("question",), (("answer", _after_hashes),), "text after ####"),
    "math500": ProblemSet("HuggingFaceH4/MATH-500", None, "test", ("problem",), _MATH_ANSWERS, "LaTeX or a box"),
    "math": ProblemSet(
        "DigitalLearningGmbH/MATH-lighteval", "default", "train", ("problem",), _MATH_ANSWERS, "LaTeX or a box"
    ),
    "aime": ProblemSet("HuggingFaceH4/aime_2024", None, "train", ("problem",), (("answer", _integer),), _WHOLE),
}
"""The sets by name."""

_IDS = ("id", "unique_id", "problem_id")
_DIFFICULTIES = ("difficulty", "level")


def load_problems(
    name: str,
    source: str | None = None,
    *,
    subset: str | None = None,
    split: str | None = None,
    limit: int | None = None,
) -> list[Problem]:
    """Problems of the set `name`, in the order of the file. Rows whose answer is empty are left out, with a warning.

    Args:
        name: one of `PROBLEM_SETS`; it says how questions and answers are written.
        source: a `.jsonl`, `.json` (one object a line), `.parquet` or `.csv` file, or a hub id; None: the set's own.
        subset: of a hub dataset; None: the set's own.
        split: of a hub dataset; None: the set's own.
        limit: at most that many problems, from the start.

    Raises:
        DataError: unknown set, a source that cannot be read, a missing column, an answer of another form, an id that
            stands twice, no problems.
    """
    if name not in PROBLEM_SETS:
        raise DataError(f"no problem set {name!r}{did_you_mean(name, PROBLEM_SETS)}")
    kind = PROBLEM_SETS[name]
    place = source or kind.hub_id
    if source is None:
        subset = subset or kind.subset
    problems: dict[str, Problem] = {}
    empty: list[int] = []
    for number, row in _rows(place, subset, split or kind.split):
        if limit is not None and len(problems) >= limit:
            break
        problem = _problem(row, kind, name, f"{place}:{number}")
        if problem is None:
            empty.append(number)
            continue
        if problem.id in problems:
            raise DataError(f"{place}:{number}: the id {problem.id!r} stands twice", "Give each problem its own id")
        problems[problem.id] = problem
    if not problems:
        raise DataError(f"{place} has no problems", "Check the file, the split and the limit")
    if empty:
        warnings.warn(f"{place}: rows without an answer are left out: {len(empty)}, first {empty[0]}", stacklevel=2)
    return list(problems.values())


def _problem(row: Mapping[str, Any], kind: ProblemSet, name: str, where: str) -> Problem | None:
    """One row; None if its answer is empty."""
    by_lower = {key.lower(): key for key in row}
    question_key = _first(by_lower, kind.question)
    answer_key = _first(by_lower, [column for column, _ in kind.answers])
    if question_key is None or answer_key is None:
        needed = kind.question if question_key is None else [column for column, _ in kind.answers]
        raise DataError(
            f"{where}: no column {' or '.join(map(repr, needed))} (found: {', '.join(map(str, row))})",
            f"{name} needs it; rename the column",
        )
    question = _text(row[question_key], where, question_key)
    if row[answer_key] is None or not str(row[answer_key]).strip():
        return None
    find = dict(kind.answers)[answer_key.lower()]
    answer = find(_text(row[answer_key], where, answer_key))
    if answer is None:
        raise DataError(f"{where}: {answer_key!r} holds no answer of {name}", f"It is to be {kind.expects}")
    id_key, difficulty_key = _first(by_lower, _IDS), _first(by_lower, _DIFFICULTIES)
    identity = hashlib.sha256(question.encode()).hexdigest()[:16] if id_key is None else str(row[id_key])
    used = {question_key, id_key}
    columns = {key: value for key, value in row.items() if key not in used}
    difficulty = None if difficulty_key is None else _difficulty(row[difficulty_key])
    return Problem(identity, question, answer, name, difficulty, columns)


def _first(by_lower: Mapping[str, str], names: Iterable[str]) -> str | None:
    return next((by_lower[name] for name in names if name in by_lower), None)


def _text(value: object, where: str, column: str) -> str:
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
    if not isinstance(value, str) or not value.strip():
        raise DataError(f"{where}: {column!r} is to be a text, found {type(value).__name__}", "Mend or remove the row")
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise DataError(f"{where}: {column!r} holds half a surrogate pair, which is no text") from error
    return value


def _difficulty(value: object) -> float | None:
    """A number, or MATH's `Level 5`."""
    words = str(value).split()
    try:
        return float(words[-1]) if words else None
    except ValueError:
        return None


def _rows(source: str, subset: str | None, split: str) -> Iterable[tuple[int, dict[str, Any]]]:
    path = Path(source).expanduser()
    if path.suffix.lower() in (".jsonl", ".json"):
        return read_records(path)
    import datasets

    kind = path.suffix.lower()[1:]
    try:
        if kind in ("parquet", "csv"):
            data = datasets.load_dataset(kind, data_files=str(path), split="train")
        else:
            data = load_split(source, subset, split)
    except DataError:
        raise
    except Exception as error:
        raise DataError(
            f"{source} cannot be loaded ({first_line(error)})", "Check the path, or the hub id and your connection"
        ) from error
    return ((i, dict(row)) for i, row in enumerate(data, 1))


def ask_problem(question: str) -> str:
    """What the user's turn says: evaluation asks so, and training data that teach it ask the same."""
    return f"{question}\nWork it out step by step. Write the final answer alone behind ####."
