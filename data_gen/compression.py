"""Reasoning made shorter, and checked: the answer still follows, its numbers are there, and it is shorter.

Source: C3oT, arXiv 2412.11664, whose compressor is a large model without checks. Ours: the checks, the attempts, and
the compressor that needs no model (`equations_compressor.py`).
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from lengthctl.checking import Status
from lengthctl.conditions import COMPRESSION_LEVELS, SHORT
from lengthctl.data_gen.compress_prompts import judge_call, shorten_call
from lengthctl.data_gen.equations_compressor import keep_equations
from lengthctl.data_gen.reasoned_rows import CheckAnswer, ReasonedRow, split_steps
from lengthctl.decode.calls import raise_for_error
from lengthctl.decode.flow import Answer, Call, Flow, FlowFailedError, Setback
from lengthctl.judging import is_refusal
from lengthctl.reasoning import parse_reasoning
from lengthctl.records import FinishReason

__all__ = ["Compressed", "CompressionSettings", "Compressor", "Fault", "compress", "compress_by_equations"]

_YES = re.compile(r"\W*(?:yes\b|是|能|可以)", re.IGNORECASE)
_NUMBER = re.compile(r"\d+(?:\.\d+)?")
_LEVEL_SLACK = 0.1
"""Share of the long reasoning by which a numbered level may be missed. Ours."""


class Fault(StrEnum):
    """What is wrong with shortened reasoning."""

    EMPTY = "empty"
    """Nothing was written before the answer, or nothing at all."""
    REFUSED = "refused"
    UNFINISHED = "unfinished"
    """The limit ended it."""
    NO_ANSWER = "no_answer"
    """It marks no final answer."""
    ANSWER_LOST = "answer_lost"
    """It leads to another answer, or to none that the checker can read."""
    NUMBERS_LOST = "numbers_lost"
    """No number of the answer line is left in it."""
    NOT_SHORTER = "not_shorter"
    """It keeps more of the length than it may."""
    JUDGED_WRONG = "judged_wrong"
    """The judge does not say that the answer follows."""
    NO_EQUATION = "no_equation"
    """Of the compressor without a model: no equation comes to the answer."""


@dataclass(frozen=True)
class CompressionSettings:
    """How reasoning is shortened.

    Raises:
        ValueError: a value out of its range.
    """

    attempts: int = 3
    """At most so many versions are written."""
    most_share: float = 0.9
    """Of the long reasoning's length, above 0 and up to 1, that the short one may keep."""
    max_tokens: int = 2048
    """Of a version."""
    most_characters: int = 60_000
    """Longer reasoning is not shortened: a part of it could not be checked."""
    judge: bool = False
    """Also ask the model whether the answer follows, and take another version where it does not say so."""

    def __post_init__(self) -> None:
        for is_right, said in (
            (self.attempts >= 1, "attempts is at least 1"),
            (0 < self.most_share <= 1, "most_share lies above 0 and up to 1"),
            (self.max_tokens >= 16, "max_tokens is at least 16"),
            (self.most_characters >= 100, "most_characters is at least 100"),
        ):
            if not is_right:
                raise ValueError(f"{said}, found {self}")


@dataclass(frozen=True)
class Compressor:
    """What shortening is done by: settings, the checker of answers, and what a length is counted in."""

    settings: CompressionSettings
    check: CheckAnswer
    count: Callable[[str], int] = len
    """Length of reasoning; the same for both forms."""

    def fault_of(self, row: ReasonedRow, short: str, share: float | None = None) -> Fault | None:
        """What is wrong with a short form; `share`: of the long one that was to be left out. The lengths are those of
        the reasoning alone; with a share numbers may be lost, as in the paper."""
        if not short.strip():
            return Fault.EMPTY
        long = self.count(row.solution.reasoning)
        most = self.settings.most_share if share is None else min(1.0, 1 - share + _LEVEL_SLACK)
        if self.count(short) > most * long:
            return Fault.NOT_SHORTER
        numbers = set(_NUMBER.findall(row.solution.final.replace(",", "")))
        if share is None and numbers and not numbers & set(_NUMBER.findall(short.replace(",", ""))):
            return Fault.NUMBERS_LOST
        return None


@dataclass(frozen=True)
class Compressed:
    """What became of a row."""

    shorts: dict[str, str]
    """Short reasoning by condition; those that came to nothing are missing."""
    faults: dict[str, list[Fault]] = field(default_factory=dict)
    """Of the versions that were not taken, by condition, in their order."""

    def count_faults(self) -> Counter[Fault]:
        """Over all conditions."""
        return Counter(fault for faults in self.faults.values() for fault in faults)


def compress(row: ReasonedRow, conditions: Sequence[str], compressor: Compressor) -> Flow[Compressed]:
    """Short reasoning under each condition (`short`, or numbered levels): the first version that passes; where none
    does, the condition is missing.

    Raises:
        FlowFailedError: the reasoning is too long, or the backend failed.
    """
    if len(row.solution.reasoning) > compressor.settings.most_characters:
        raise FlowFailedError(Setback.TOO_LONG, f"reasoning of {len(row.solution.reasoning)} characters")
    made = Compressed({})
    for condition in conditions:
        share = COMPRESSION_LEVELS.get(condition)
        if share == 1:
            made.shorts[condition] = ""
            continue
        faults: list[Fault] = []
        short = yield from _attempts(row, condition, share, compressor, faults)
        if short is not None:
            made.shorts[condition] = short
        if faults:
            made.faults[condition] = faults
    return made


def compress_by_equations(row: ReasonedRow, compressor: Compressor) -> Compressed:
    """Short reasoning without a model, checked as that of a model is."""
    short = keep_equations(row.solution.reasoning, row.solution.final)
    fault = None if short is None else compressor.fault_of(row, short)
    if short is None or fault is not None:
        return Compressed({}, {SHORT: [fault or Fault.NO_EQUATION]})
    return Compressed({SHORT: short})


def _attempts(
    row: ReasonedRow, condition: str, share: float | None, compressor: Compressor, faults: list[Fault]
) -> Generator[Sequence[Call], Sequence[Answer], str | None]:
    """The first version that passes; faults of the others are added to `faults`."""
    settings = compressor.settings
    for attempt in range(settings.attempts):
        name = f"{condition}/{attempt}"
        last = str(faults[-1]) if faults else None
        call = shorten_call(
            f"shorten/{name}",
            row.question,
            row.solution.reasoning,
            max_tokens=settings.max_tokens,
            share=share,
            fault=last,
        )
        answers = yield [call]
        raise_for_error(answers)
        short, fault = _read(row, answers[0], compressor, share)
        if fault is None and settings.judge:
            answers = yield [judge_call(f"judge/{name}", row.question, short, row.solution.final)]
            raise_for_error(answers)
            said = answers[0].text.rpartition("</think>")[2]
            fault = None if _YES.match(said) else Fault.JUDGED_WRONG
        if fault is None:
            return short
        faults.append(fault)
    return None


def _read(row: ReasonedRow, answer: Answer, compressor: Compressor, share: float | None) -> tuple[str, Fault | None]:
    """Short reasoning without its answer line, and what is wrong with it."""
    parsed = parse_reasoning(answer.text)
    text = parsed.answer.strip()
    if answer.finish is FinishReason.LIMIT or not parsed.is_closed:
        return "", Fault.UNFINISHED
    if not text:
        return "", Fault.EMPTY
    if is_refusal(text):
        return "", Fault.REFUSED
    parts = split_steps(text)
    if parts is None:
        return "", Fault.NO_ANSWER
    short, _, final = parts
    if compressor.check(final, row.solution.final).status is not Status.CORRECT:
        return short, Fault.ANSWER_LOST
    return short, compressor.fault_of(row, short, share)
