"""What a text says about lengths of text, one by one: number or range, relation, unit. In English and Chinese. Ours.

Numbers are found by their unit; what relation they have is read from the few characters beside them. Every repeat in a
pattern is bounded, so the time grows with the text alone.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from lengthctl.chinese_numbers import CHINESE_NUMBER, parse_chinese_number
from lengthctl.data_gen.english_numbers import ENGLISH_NUMBER, parse_english_number
from lengthctl.length import Relation, Unit

__all__ = ["Mention", "find_mentions"]


@dataclass(frozen=True)
class Mention:
    """A length that a text speaks of."""

    low: int
    high: int | None
    """Upper end of a range."""
    relation: Relation
    unit: Unit
    """`WORDS` for words, and for Chinese \u5b57."""
    is_part: bool
    """Of each section, paragraph or day, not of the whole."""


_LARGEST = 10**7
_FEWEST_CHARACTERS = 20
"""Of an English text: fewer are persons in it."""
_WINDOW = 48
"""Characters looked at on either side of a number."""

_HAN_UNIT = (
    "(?:[个個]?字符|[个個]?字(?![符母体體典节節段幕])|[个個]?[单單]?[词詞](?![汇彙语語典])|句[话話]?|[个個]?token)"
)
_HAN = re.compile(
    rf"(?<![第几幾数數])({CHINESE_NUMBER})\s?(?:{_HAN_UNIT})?"
    rf"(?:\s?(?:[-~～—–－]{{1,2}}|[至到])\s?({CHINESE_NUMBER}))?\s?([多余餘来來]?)\s?({_HAN_UNIT})(?!文(?!章))"
)
_UNIT = r"(?:words?|characters?|chars|sentences?|tokens?)"
_ENGLISH = re.compile(
    rf"(?<![\w$€£#])(?<!\d[.,])({ENGLISH_NUMBER})(\+?)(?:[\s-]{_UNIT})?"
    rf"(?:-?\s?(-|\u2013|\u2014|to|and)\s?({ENGLISH_NUMBER})(\+?))?(?:\s?-\s?|\s{{1,2}})({_UNIT})\b",
    re.IGNORECASE,
)
_LABEL = re.compile(
    rf"\b((?:word|character|token|sentence)\s(?:count|limit|target|length|range)|length in words)"
    rf"\s?(?:is|of|should be|must be)?\s?[:=]?\s?"
    rf"((?:at (?:least|most)|about|around|approximately|maximum|minimum|up to)\s)?"
    rf"({ENGLISH_NUMBER})(?:\s?(?:-|\u2013|to)\s?({ENGLISH_NUMBER}))?(?![\w-]|\s{_UNIT})",
    re.IGNORECASE,
)
_HAN_LABEL = re.compile(
    rf"(?:字[数數]|篇幅|[长長]度)(?:要求|限制)?(?:[请請]?控制在|[为為是在])?[:：]?\s?([约約]|不少于|不超[过過]|至少|至多)?\s?"
    rf"({CHINESE_NUMBER})(?:\s?(?:[-~～—]|[至到])\s?({CHINESE_NUMBER}))?(?!\s?{_HAN_UNIT}|\s?[-~～—至到年月%])"
)


_BEFORE = (
    (Relation.EXACT, r"exactly|precisely|恰好|正好|[刚剛]好"),
    (Relation.AT_LEAST, r"(?:no|not) (?:be )?(?:less|fewer|shorter|under|below)(?: than)?"),
    (Relation.AT_LEAST, r"不(?:少|低|短|小)[于於]|至少|最少|起[码碼]|[多大高][于於]"),
    (Relation.AT_MOST, r"(?:no|not) (?:be )?(?:more|longer|over|above)(?: than)?"),
    (Relation.AT_MOST, r"not (?:to )?exceed(?:ing)?|without exceeding"),
    (Relation.AT_MOST, r"不(?:能|可|要|得)?超[过過出]|不(?:多|高|[长長]|大)[于於]|至多|最多|[少低小][于於]"),
    (Relation.AT_LEAST, r"at (?:the )?(?:very )?least|min(?:imum)?\.?(?: length)?(?: of)?:?|超[过過]"),
    (Relation.AT_LEAST, r"(?:more|longer) than|over|above|beyond|exceed(?:s|ing)?|upwards of"),
    (Relation.AT_MOST, r"at (?:the )?(?:very )?most|max(?:imum)?\.?(?: length)?(?: of)?:?|up to|capped at"),
    (Relation.AT_MOST, r"(?:less|fewer|shorter) than|under|below|within|limit:?|limit (?:of|is)"),
    (Relation.AT_MOST, r"limit(?:ed)? (?:it |yourself |(?:your|the) (?:answer|response|text) )?to"),
    (Relation.ABOUT, r"about|around|approximately|approx\.?|roughly|circa|some|nearly|almost|close to"),
    (Relation.ABOUT, r"in the (?:region|range) of|~|[约約](?:[为為是在]|控制在)?|大概[为為是在]?|[近将將]|差不多"),
)
"""What stands close before a number; the first that fits decides, so negations come first."""
_BEHIND = (
    (Relation.AT_LEAST, r"or (?:more|longer|over|above)|(?:at )?min(?:imum)?\b|at least|and (?:up|above)|以上|起"),
    (Relation.AT_MOST, r"or (?:less|fewer|shorter|under|below)|max(?:imum)?\b|at (?:the )?most|tops\b|limit\b"),
    (Relation.AT_MOST, r"以[内內下]|之[内內]|[内內](?![容心])"),
    (Relation.ABOUT, r"or so|give or take|approximately|左右|上下"),
)
_BETWEEN = re.compile(r"\bbetween\s?$", re.IGNORECASE)
_RELATION_BEFORE = [(r, re.compile(rf"(?<![A-Za-z])(?:{p})(?:\s(?:a|the|of))?\s?$", re.I)) for r, p in _BEFORE]
_RELATION_BEHIND = [
    (r, re.compile(rf"(?:\s(?:in length|long|in total))?[\s,，(（]{{0,2}}(?:{p})", re.I)) for r, p in _BEHIND
]
_PART_BEFORE = re.compile(
    r"(?:\b(?:each|every|per|respectively|apiece)\b(?!\s?,)[^.!?;\n]{0,40}|(?:每|各)[^。！？；，,\n]{0,12})$",
    re.IGNORECASE,
)
_PART_BEHIND = re.compile(
    r"\s(?:each|apiece|respectively|(?:per|for each|for every|in each|in every)\s\w+)\b", re.IGNORECASE
)
_NOT_ASKED = re.compile(
    r"(?:\b(?:this|these|those|the|following|my|his|her|their|your|first|last|next|other|existing|original"
    r"|attached|worth a?)"
    r"(?:\s(?:following|attached|above))?|[这這那此原][篇段个個]?(?:约|約)?|前|[最]?后)\s?$",
    re.IGNORECASE,
)
_LIMIT_NOUN = re.compile(r"[\s-](?:limit|minimum|maximum|count|target|requirement|max|min)\b", re.IGNORECASE)
_RATE = re.compile(
    r"(?:\s(?:per|a|an)\s(?:minute|hour|second|day|week|month|page)|/|\s?(?:of|from) vocabulary)", re.IGNORECASE
)


def find_mentions(text: str) -> Iterator[Mention]:
    """Every length that a text speaks of, by pattern.

    Left out are lengths of given material ("this 2000-word article"), rates (words per minute), vague numbers (a few
    hundred words, \u51e0\u5343\u5b57), pages, paragraphs, and numbers above ten million. "More than n" is at least n.
    """
    english = list(_ENGLISH.finditer(text))
    ranged = {found.start(6) for found in english if found[4] is not None}
    for found in _HAN.finditer(text):
        if found.start(4) in ranged:  # "100 to 200 tokens": the Chinese pattern sees its end alone
            continue
        own = Relation.ABOUT if found[3] else None
        yield from _mention(text, found, _chinese(found[1], found[2]), found[4], own)
    for found in _HAN_LABEL.finditer(text):
        own = _relation_before(found[1] or "")
        yield from _mention(text, found, _chinese(found[2], found[3]), "\u5b57", own)
    for found in english:
        own = Relation.AT_LEAST if found[2] or found[5] else None
        is_list = (found[3] or "").lower() == "and" and not _BETWEEN.search(_before(text, found))
        ends = _english(found[4], None) if is_list else _english(found[1], found[4])
        yield from _mention(text, found, ends, found[6], own)
    for found in _LABEL.finditer(text):
        own = _relation_before(found[2] or "") or (Relation.AT_MOST if found[1].lower().endswith("limit") else None)
        yield from _mention(text, found, _english(found[3], found[4]), found[1], own, is_label=True)


def _chinese(*numerals: str | None) -> list[int | None]:
    """Values of those that are there; None for one that is no number."""
    return [parse_chinese_number(numeral) for numeral in numerals if numeral is not None]


def _english(*numerals: str | None) -> list[int | None]:
    return [parse_english_number(numeral) for numeral in numerals if numeral is not None]


def _mention(
    text: str, found: re.Match[str], ends: list[int | None], unit: str, own: Relation | None, *, is_label: bool = False
) -> Iterator[Mention]:
    """What a match says, if anything; `own` is the relation that it holds itself."""
    numbers = [number for number in ends if number is not None and 1 <= number <= _LARGEST]
    if len(numbers) < len(ends) or numbers != sorted(set(numbers)):
        return
    before, behind = _before(text, found), text[found.end() : found.end() + _WINDOW]
    if unit.lower().startswith("char") and numbers[0] < _FEWEST_CHARACTERS:
        return
    is_given = _NOT_ASKED.search(before) and not _LIMIT_NOUN.match(behind)
    if _RATE.match(behind) or (is_given and not is_label):
        return
    is_part = _PART_BEFORE.search(before) is not None or _PART_BEHIND.match(behind) is not None
    relation = own or _relation_before(before) or _relation_behind(behind) or Relation.EXACT
    high = numbers[1] if len(numbers) == 2 else None
    yield Mention(numbers[0], high, relation if high is None else Relation.RANGE, _unit(unit), is_part)


def _unit(name: str) -> Unit:
    signs = {
        "char": Unit.CHARACTERS,
        "\u5b57\u7b26": Unit.CHARACTERS,
        "sentence": Unit.SENTENCES,
        "\u53e5": Unit.SENTENCES,
    }
    return next((unit for sign, unit in {**signs, "token": Unit.TOKENS}.items() if sign in name.lower()), Unit.WORDS)


def _before(text: str, found: re.Match[str]) -> str:
    return text[max(0, found.start() - _WINDOW) : found.start()]


def _relation_before(text: str) -> Relation | None:
    return next((relation for relation, pattern in _RELATION_BEFORE if pattern.search(text)), None)


def _relation_behind(text: str) -> Relation | None:
    return next((relation for relation, pattern in _RELATION_BEHIND if pattern.match(text)), None)
