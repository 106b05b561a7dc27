"""Prompts that name the length of their answer, such as "in 50 words": found, and taken out.

Ours: patterns for English, and counts of characters in Chinese and Japanese. A number or number word must stand with a
unit of text and a cue ("in", "at most", "or less", a hyphen). Vague wishes ("short", "in detail") are none, since
they go with any length token; "in a sentence" is none either, since grammar exercises say it. Made to miss little: some
prompts that only talk about lengths are found too.
"""

from __future__ import annotations

import re

__all__ = ["find_length_demands", "strip_length_demands"]


def _any_of(words: str) -> str:
    """A group of alternatives; `_` stands for a blank inside one."""
    return f"(?:{'|'.join(words.split()).replace('_', ' ')})"


_NUMERAL = _any_of(
    "one two three four five six seven eight nine ten eleven twelve fifteen twenty thirty forty fifty sixty seventy"
    " eighty ninety hundred thousand"
)
_NUMBER = (
    rf"(?:\d{{1,6}}(?:[,.]\d{{3}})*k?|{_NUMERAL}(?:[ -](?:and )?{_NUMERAL}){{0,4}}"
    rf"|{_any_of('a_hundred a_thousand a_single a_few a_couple(?:_of)? several')})"
)
_COUNT = rf"{_NUMBER}(?:\s?(?:-|\u2013|\u2014|to|or|and)\s?{_NUMBER})?"
_UNIT = _any_of("words? sentences? paragraphs? lines pages? tokens?")
_HYPHENED = _any_of("words? sentences? paragraphs? lines? pages? characters? tokens?")
_COMPARED = _any_of("more less fewer longer shorter") + " than"
_ABOUT = rf"""(?:(?:no_)?{_COMPARED}|{
    _any_of(
        "about around approximately roughly exactly only just precisely at_most at_least up_to under over below above"
        " between a_maximum(?:_of)? a_minimum(?:_of)? maximum(?:_of)? minimum(?:_of)? max min the_next"
    )
})\s+""".replace("_", " ")
_CUE = _any_of(
    "in within using with into of to use write has have having contains? containing be is are limit(?:ed)?_to"
    " exceed exceeding long length"
)
_BEHIND = rf"""(?: ?,? ?(?:or {_any_of("less fewer more so under longer shorter")}|{
    _any_of("at_least at_most in_length long each only total limit max(?:imum)? min(?:imum)?")
})\b)"""
_BEFORE = rf"(?:{_CUE}\s+(?:{_ABOUT}){{0,2}}|(?:{_ABOUT}){{1,2}})"
_CHARACTERS = r"\d{2,6}(?:,\d{3})?\s(?:characters|chars)"
_DEMAND = re.compile(
    "|".join(
        (
            rf"\b{_BEFORE}{_COUNT}[\s-]{_UNIT}\b{_BEHIND}?",
            rf"\b{_COUNT}[\s-]{_UNIT}{_BEHIND}",
            rf"\b{_BEFORE}{_CHARACTERS}\b{_BEHIND}?",
            rf"\b{_CHARACTERS}{_BEHIND}",
            rf"\(\s*(?:{_ABOUT}){{0,2}}{_COUNT}\s{_UNIT}{_BEHIND}?\s*\)",
            rf"\b{_COUNT}-{_HYPHENED}\b",
            rf"\b(?:{_NUMBER}|single) (?:word|sentence|paragraph|page|line)(?= [a-z]+)",
            r"\b(?:a|one|single)[ -](?:word|sentence|paragraph) (?:or two|or less|answer|response|reply|summary)\b",
            rf"\b(?:word|sentence|page|length) (?:limit|count)(?: (?:of|is|must be))?:? (?:{_ABOUT}){{0,2}}{_COUNT}\b",
            r"(?<![\d\u7b2c])\d{1,6} ?(?:[-~\u5230\u81f3\uff5e] ?\d{1,6} ?)?[\u591a\u4f59]?[\u4e2a\u500b]?"
            r"(?:\u6587?\u5b57|[\u8bcd\u8a5e\u53e5\u6bb5])(?:\u4ee5[\u5185\u5167\u4e0a\u4e0b]|\u5de6\u53f3|\u7a0b\u5ea6)?\u7684?",
        )
    ),
    re.IGNORECASE,
)

_HAS_UNIT = re.compile(
    r"word|sentence|paragraph|line|page|token|char|length|[\u5b57\u8bcd\u8a5e\u53e5\u6bb5]", re.IGNORECASE
)
"""Every demand holds one of these; it finds that most prompts have none in a tenth of the time."""

_SENTENCE = re.compile(r"[^.!?\n\u3002\uff01\uff1f]*(?:[.!?\u3002\uff01\uff1f]+|\n|$)")
_FRAME = re.compile(
    _any_of(
        "please answers? respond reply response write use using your the an? its? this should must will shall be is are"
        " has have keep make limit(?:ed)? in of to with and that about me text total length long try stay do not whole"
        " output no more than give provide"
    ),
    re.IGNORECASE,
)
_ARTICLE = re.compile(rf"\b(an?)\s+{_COUNT}[ -]{_HYPHENED}\s+(?=(\w))", re.IGNORECASE)


def find_length_demands(text: str) -> list[str]:
    """What a prompt says about the length of its answer, in its order; empty for nothing."""
    return [match.group() for match in _DEMAND.finditer(text)] if _HAS_UNIT.search(text) else []


def strip_length_demands(text: str) -> str:
    """The prompt without its length demands: a sentence that says nothing else goes whole, of others the phrase.

    A text without demand comes back as it is. What is left is mostly grammatical, not always.
    """
    if not find_length_demands(text):
        return text
    stripped = "".join(_without_demand(sentence) for sentence in _SENTENCE.findall(_ARTICLE.sub(_article, text)))
    return re.sub(r" {2,}", " ", stripped).strip(" ")


def _article(match: re.Match[str]) -> str:
    article = "an" if match[2].lower() in "aeiou" else "a"
    return f"{article.capitalize() if match[1][0].isupper() else article} "


def _without_demand(sentence: str) -> str:
    if not find_length_demands(sentence):
        return sentence
    rest = _DEMAND.sub(_gap, sentence)
    if all(_FRAME.fullmatch(word) for word in re.findall(r"[^\W\d_]+", rest)):
        return "\n" if sentence.endswith("\n") else ""
    rest = re.sub(r"^\s*[:,]\s*", "", re.sub(r"\(\s*\)", "", rest))
    rest = re.sub(r" ([,.;:!?])", r"\1", re.sub(r"[ \t]{2,}", " ", rest))
    return rest if sentence[:1].isspace() else rest.lstrip()


def _gap(demand: re.Match[str]) -> str:
    """A blank, but nothing in a script without blanks."""
    return " " if demand.group().isascii() or " " in demand.group() else ""
