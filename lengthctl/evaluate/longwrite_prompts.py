"""Prompts of LongBench-Write and LonGen: they state their length themselves, and each has its own rule of counting.

Sources: LongWriter, arXiv 2408.07055; Self-Lengthen, arXiv 2410.23933.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from lengthctl.chinese_numbers import parse_chinese_number
from lengthctl.config import PromptsConfig
from lengthctl.errors import DataError
from lengthctl.length import Relation, Target, Unit
from lengthctl.prompt_sources import load_seed_prompts
from lengthctl.prompts import LengthPrompt, SeedPrompt

__all__ = ["BUCKETS", "bucket_of", "load_longbench_write", "load_longen"]

BUCKETS: Mapping[str, tuple[int, int]] = {
    "[0,500)": (0, 499),
    "[500,2k)": (500, 1999),
    "[2k,4k)": (2000, 3999),
    "[4k,20k]": (4000, 20_000),
}
"""LongBench-Write's ranges of required lengths, both ends inside; the one item of 20,000 needs the last end closed."""

_BEYOND = ">20k"

_HAN = re.compile(r"[\u4e00-\u9fff]")
_LETTER = re.compile(r"[^\W\d_]")


def bucket_of(length: int) -> str:
    """The range of a required length; `>20k` beyond the benchmark's."""
    return next((name for name, (low, high) in BUCKETS.items() if low <= length <= high), _BEYOND)


def load_longbench_write(source: str, *, split: str = "train") -> list[LengthPrompt]:
    """Rows with `prompt`, `type` and `length` as prompts; LongWrite-Ruler's rows have the same fields.

    `length` is the target though some prompts ask for less than it or for a range, as in the benchmark.

    Args:
        source: a .jsonl, .parquet or .csv file, or a hub id.
        split: of a hub dataset.

    Raises:
        DataError: the source cannot be read, or a row has no prompt or no whole length of at least 1.
    """
    prompts = []
    for seed in _rows(source, "prompt", split):
        length = seed.columns.get("length")
        if type(length) is not int or length < 1:
            raise DataError(f"{_place(source, seed)}: `length` is a whole number from 1, found {length!r}")
        target = Target(length, unit=Unit.WORDS_LONGWRITER)
        prompts.append(_prompt(seed, target, str(seed.columns.get("type", "")), {"bucket": bucket_of(length)}))
    return prompts


_KINDS = {"about": Relation.ABOUT, "range": Relation.RANGE, "above": Relation.AT_LEAST, "below": Relation.AT_MOST}
_NUMBER = re.compile(
    r"(\d[\d,\uff0c]*(?:\.\d+)?)(?!\d)(?:\s*([kK\u5343\u4e07])(?![A-Za-z]))?"
    r"|([\u96f6\u4e00\u4e8c\u4e24\u4e09\u56db\u4e94\u516d\u4e03\u516b\u4e5d\u5341\u767e\u5343\u4e07]+)"
    r"(?=\s*(?:\u4e2a?\u5b57|\u81f3|\u5230|[-~\uff5e\u2014]))"
)
"""Digits with a power, or a Chinese numeral before the unit or the dash of a range."""


def load_longen(source: str, *, split: str = "train") -> list[LengthPrompt]:
    """Rows with `query`, `type` (about, range, above, below) and `constraint` as prompts.

    What counts as right lies around or beside the number asked for: see `scoring.longen_score`.

    Raises:
        DataError: the source cannot be read, or a constraint holds no length.
    """
    prompts = []
    for seed in _rows(source, "query", split):
        kind, phrase = str(seed.columns.get("type")), str(seed.columns.get("constraint"))
        numbers = _numbers(phrase)
        if kind not in _KINDS or len(numbers) != 1 + (kind == "range"):
            raise DataError(f"{_place(source, seed)}: no length of type {kind!r} in {phrase!r}")
        try:
            target = Target(
                numbers[0],
                _KINDS[kind],
                Unit.WORDS_LONGEN,
                high=numbers[1] if kind == "range" else None,
                tolerance=0.2 if kind == "about" else None,
            )
        except ValueError as error:
            raise DataError(f"{_place(source, seed)}: {error}") from error
        prompts.append(_prompt(seed, target, "", {"kind": kind, "range": str(seed.columns.get("range", ""))}))
    return prompts


def _rows(source: str, column: str, split: str) -> list[SeedPrompt]:
    return load_seed_prompts(PromptsConfig(split=split, eval_source=source, column=column), "eval")  # type: ignore[call-arg]


def _prompt(seed: SeedPrompt, target: Target, topic: str, columns: Mapping[str, str]) -> LengthPrompt:
    language = seed.columns.get("lang") or seed.columns.get("language") or _language(seed.messages[-1]["content"])
    own = {**columns, "language": str(language)}
    # the row's own words are the only wording
    return LengthPrompt(f"{seed.id}|{target.label}", seed.id, seed.messages, target, 0, topic or None, own)


def _place(source: str, seed: SeedPrompt) -> str:
    return f"{source}: the row {seed.messages[-1]['content'][:40]!r}"


def _language(text: str) -> str:
    """`zh` for a text of which at least half the letters are ideographs, else `en`. Ours."""
    return "zh" if 2 * len(_HAN.findall(text)) >= max(1, len(_LETTER.findall(text))) else "en"


def _numbers(phrase: str) -> list[int]:
    """Lengths of a constraint in their order: `2,000` (the benchmark's code reads 2), `2.5k`, Chinese numerals; 0 for a
    numeral that is none."""
    found = []
    for digits, power, numeral in _NUMBER.findall(phrase):
        number = numeral or digits + power.lower().replace("k", "\u5343")
        found.append(parse_chinese_number(number) or 0)
    return found
