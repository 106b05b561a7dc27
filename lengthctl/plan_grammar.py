"""Plans read from what a model wrote: lines with a number, a main point and a length, in any language.

A line is a step by a head word with a number ("Paragraph 3 - ...", 第三段：...), or, where there is no such line, as
an item of a numbered list, or by any word that heads several lines with rising numbers. Ours. Linear in the text, of
which the first 100,000 characters are read, and of a line the first 4,000.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import pairwise

from lengthctl.chinese_numbers import parse_chinese_number
from lengthctl.plans import Plan, PlanError, PlanFault, PlanStep
from lengthctl.reasoning import without_reasoning

__all__ = ["parse_plan"]

_TEXT_CHARS, _LINE_CHARS, _POINT_CHARS = 100_000, 4_000, 1_000
_LARGEST = 1_000_000
"""A greater length is none."""

_INVISIBLE = str.maketrans("", "", "\u200b\u200e\u200f\u2060\ufeff")
_LEAD = " \t-*+\u2022\u00b7#>|([\u3010\uff08<\u2013\u2014"
_EDGE = " \t-\u2013\u2014:\uff1a,\uff0c;\uff1b|\u3001"
_SEPARATOR = r"[-\u2013\u2014:\uff1a.\uff0e|\u3001,)\]\u3011\uff09>]"

_HEADS = (
    "paragraphs?|paragraphe|section|part|chapter|step|absatz|abschnitt|kapitel|teil|partie|chapitre|párrafo|sección"
    "|capítulo|parte|parágrafo|seção|paragrafo|sezione|capitolo|абзац|раздел|глава|часть|пункт|단락|문단|섹션|제"
    "|段落|部分|章节|章節|段|章|节|節|第|セクション|パラグラフ"
)
_BEHIND_NUMBER = "段落|部分|段|章|节|節|단락|문단|장|절"
_ORDINALS = {
    "one": 1,
    "two": 2,
    "three": 3,
    "four": 4,
    "five": 5,
    "six": 6,
    "seven": 7,
    "eight": 8,
    "nine": 9,
    "ten": 10,
}
_HAN_DIGITS = "零〇一二三四五六七八九十百"
_PLACE = rf"\d{{1,4}}|[{_HAN_DIGITS}]{{1,5}}|{'|'.join(_ORDINALS)}|[ivx]{{1,6}}"
_HEAD = re.compile(
    rf"(?P<head>{_HEADS})[ \t]{{0,3}}(?:#|no\.|\u2116)?[ \t]{{0,3}}"
    rf"(?P<place>{_PLACE})(?![^\W_{_HAN_DIGITS}\u4e00-\u9fff]|\d)[ \t]{{0,3}}(?P<kind>{_BEHIND_NUMBER})?"
    r"(?:[ \t]{0,3}(?:of|/)[ \t]{0,3}\d{1,4})?(?P<rest>.*)",
    re.IGNORECASE,
)
_ITEM = re.compile(
    rf"(?:(?P<place>\d{{1,3}})[ \t]{{0,3}}(?:{_BEHIND_NUMBER})?[.)\u3001\uff0e\uff09:\uff1a|](?!\d)"
    rf"|(?P<han>[{_HAN_DIGITS}]{{1,4}})\u3001)(?P<rest>.*)"
)
_ANY_HEAD = re.compile(
    rf"(?P<head>[^\W\d_]{{1,20}})[ \t]{{0,3}}(?P<place>\d{{1,3}})[ \t]{{0,3}}(?={_SEPARATOR})(?P<rest>.*)"
)

_POINT_LABEL = re.compile(
    "(?:(?:main|key|central) (?:point|idea|topic|content)s?|topic|focus|content"
    "|hauptpunkt|idée principale|punto principal|idea principal"
    "|主要内容|主要內容|中心内容|主旨|主题|主題|要点|要點|内容|內容|要旨)[ \t]{0,3}[:：][ \t]*",
    re.IGNORECASE,
)
_COUNT_LABEL = re.compile(
    r"(?:word|character|sentence|token)s?[ -]?(?:counts?|length|limit|budget|target)[ \t]{0,3}[:：=]?"
    r"|(?<![^\W_])(?:length|words|count)[ \t]{0,3}[:：=]"
    "|(?:字数|字數|篇幅|长度|長度|文字数)(?:要求|目标|目標)?[ \t]{0,3}[:：=]?",
    re.IGNORECASE,
)
_DIGITS = (
    r"(?:\d{1,3}(?:[,\uff0c \u00a0\u202f]\d{3}(?!\d)){1,3}|\d{1,3}\.\d{3}(?![\dkK])|\d{1,9}(?:\.\d{1,3})?)"
    r"[ ]?(?:[kK](?![a-zA-Z])|[千万])?"
)
_NUMBER = rf"(?:{_DIGITS}|[{_HAN_DIGITS}两千万]{{1,12}})"
_ABOUT = (
    "(?:about|around|approximately|approx\\.?|roughly|circa|ca\\.|at least|at most|up to|etwa|environ|unos"
    "|大约|大約|大概|约|約|至少|不少于)?"
)
_TO = r"[ \t]{0,3}(?:-|\u2013|\u2014|~|\uff5e|to|bis|à|至|到)[ \t]{0,3}"
_COUNT = rf"{_ABOUT}[ \t~\u2248]{{0,4}}(?P<low>{_NUMBER})(?:{_TO}(?P<high>{_NUMBER}))?"
_UNIT = (
    "(?:words?|characters?|chars?|sentences?|tokens?|wörtern?|worte?|wort|mots?|palabras?|parole|palavras?|слова?|字符"
    "|个字|個字|汉字|文字|字|词|詞|句|単語|단어|글자|자)"
)
_LABELLED = re.compile(
    rf"[ \t\[(\uff08\u3010<~\u2248]{{0,6}}{_COUNT}(?:[ \t]{{0,3}}{_UNIT})?[\])\uff09\u3011>]?", re.IGNORECASE
)
_TRAILING = re.compile(
    rf"(?<![A-Za-z0-9.,])[\[(\uff08\u3010~\u2248 \t]{{0,4}}{_COUNT}[ \t-]{{0,3}}{_UNIT}(?:左右|上下|以内|以上)?"
    r"[ \t\])\uff09\u3011>.\u3002|]{0,6}$",
    re.IGNORECASE,
)
_TRAILING_CHARS = 80
_OTHER_LABEL = re.compile(
    r"[-\u2013\u2014|,\uff0c;\uff1b(\uff08][^-\u2013\u2014|,\uff0c;\uff1b(\uff08:\uff1a]{1,40}[:\uff1a]$"
)


@dataclass
class _Read:
    """A step while its lines are read."""

    place: int | None
    point: str = ""
    length: int | None = None


@dataclass
class _Reader:
    steps: list[_Read] = field(default_factory=list)
    dropped: int = 0

    def begin(self, place: int | None, body: str) -> None:
        """A line with a number."""
        point, length = _point_and_length(body)
        self.steps.append(_Read(place, point, length))

    def go_on(self, line: str) -> None:
        """A line without: it tells the length or the point of the step before it, or nothing."""
        point, length = _point_and_length(line)
        step = self.steps[-1] if self.steps else None
        if step is not None and not point and length is not None and step.length is None:
            step.length = length
        elif step is not None and (not step.point or _POINT_LABEL.match(line)) and point:
            step.point = f"{step.point}: {point}"[:_POINT_CHARS] if step.point else point
            step.length = length if step.length is None else step.length
        else:
            self.dropped += 1


def parse_plan(text: str, *, max_steps: int = 50, is_cut: bool = False, keeps_first: bool = False) -> Plan:
    """The plan that a text holds.

    Of the counts in a step's line the last one with a label holds ("Word Count: 400 words"), else a number with its
    unit at the line's end; of a range the middle. Steps keep their order and are numbered anew. Reasoning in front of
    it is no part of it.

    Args:
        text: what a model wrote.
        max_steps: a plan of more is refused.
        is_cut: the text was ended by a limit: a last step without length is left out where others have one.
        keeps_first: of steps with the same main point keep the first, instead of refusing the plan.

    Raises:
        PlanError: see `PlanFault`.
    """
    lines = list(_lines(without_reasoning(text)[:_TEXT_CHARS]))
    heads = _heads(lines)
    reader = _Reader()
    for line, head in zip(lines, heads, strict=True):
        if head is None:
            reader.go_on(line)
        else:
            reader.begin(*head)
    read = [step for step in reader.steps if step.point]
    if is_cut and len(read) > 1 and read[-1].length is None and any(step.length for step in read):
        read.pop()
    if not read:
        raise PlanError(PlanFault.NO_STEPS)
    distinct: dict[str, _Read] = {}
    for step in read:
        distinct.setdefault(" ".join(step.point.casefold().split()), step)
    if len(distinct) < len(read) and not keeps_first:
        raise PlanError(PlanFault.REPEATED_POINT, f"{len(read)} steps with {len(distinct)} points")
    read = list(distinct.values())
    if len(read) > max_steps:
        raise PlanError(PlanFault.TOO_MANY_STEPS, f"{len(read)}, more than {max_steps}")
    has_gaps = any(step.place not in (None, place) for place, step in enumerate(read, 1))
    dropped = reader.dropped + len(reader.steps) - len(read)
    return Plan(tuple(PlanStep(step.point, step.length) for step in read), dropped, has_gaps)


def _lines(text: str) -> Iterable[str]:
    """Lines without layout; neither blank ones nor fences."""
    for raw in text.replace("\r\n", "\n").replace("\r", "\n").translate(_INVISIBLE).split("\n"):
        line = raw[:_LINE_CHARS].replace("**", "").replace("__", "").strip().lstrip(_LEAD).rstrip("|* \t")
        if line and not line.startswith(("```", "~~~")):
            yield line


def _heads(lines: list[str]) -> list[tuple[int | None, str] | None]:
    """For each line that begins a step its number and what follows, by the first way in which any line does."""
    named = [_HEAD.match(line) for line in lines]
    kinds = Counter(_kind(found) for found in named if found is not None and _body(found["rest"]) is not None)
    if kinds:
        kind = kinds.most_common(1)[0][0]
        return [_head(found) if found is not None and _kind(found) == kind else None for found in named]
    items = [_ITEM.match(line) for line in lines]
    if any(items):
        return [(_place(found["place"] or found["han"]), found["rest"]) if found else None for found in items]
    others = [_ANY_HEAD.match(line) for line in lines]
    places: dict[str, list[int]] = {}
    for found in filter(None, others):
        places.setdefault(found["head"].casefold(), []).append(int(found["place"]))
    rising = [head for head, ns in places.items() if len(ns) > 1 and all(a < b for a, b in pairwise(ns))]
    if not rising:
        return [None] * len(lines)
    head = max(rising, key=lambda word: len(places[word]))
    return [_head(found) if found is not None and found["head"].casefold() == head else None for found in others]


def _kind(found: re.Match[str]) -> str:
    """Paragraph, chapter, ...: of nested ones those with the most lines are the steps."""
    return (found["kind"] or "段") if found["head"] in "第제" else found["head"].casefold().removesuffix("s")


def _head(found: re.Match[str]) -> tuple[int | None, str] | None:
    body = _body(found["rest"])
    return None if body is None else (_place(found["place"]), body)


def _body(rest: str) -> str | None:
    """What follows a head; None where the head runs on, as in "Part 1 of my life"."""
    rest = rest.strip()
    if not rest or re.match(_SEPARATOR, rest) or _POINT_LABEL.match(rest) or _COUNT_LABEL.match(rest):
        return rest
    return None


def _place(text: str) -> int | None:
    """Of a Roman number None."""
    return _ORDINALS.get(text.lower()) or parse_chinese_number(text)


def _point_and_length(line: str) -> tuple[str, int | None]:
    """Take a line without its head apart."""
    body = line.lstrip(_EDGE + "." + ")]】）>").rstrip()
    point, length, rest = body, None, ""
    labels = list(_COUNT_LABEL.finditer(body))
    trailing = None if labels else _TRAILING.search(body, max(0, len(body) - _TRAILING_CHARS))
    if labels:
        point = body[: labels[-1].start()]
        if found := _LABELLED.match(body, labels[-1].end()):
            length, rest = _length(found), body[found.end() :]
    elif trailing:
        point, length = body[: trailing.start()], _length(trailing)
        point = _OTHER_LABEL.sub("", point.rstrip())
    point = _plain_point(point) or _plain_point(rest)
    return point, length


def _plain_point(text: str) -> str:
    text = text.strip(_EDGE).rstrip("([【（<~≈")
    text = _POINT_LABEL.sub("", text.strip(_EDGE), count=1) if _POINT_LABEL.match(text) else text
    if text[:1] + text[-1:] in ("[]", "<>", "【】"):
        text = text[1:-1]
    text = text.strip(_EDGE)[:_POINT_CHARS]
    return text if any(map(str.isalnum, text)) else ""


def _length(found: re.Match[str]) -> int | None:
    """The number, or the middle of two."""
    low = _value(found["low"])
    high = _value(found["high"]) if found["high"] else None
    if low is None:
        return None
    middle = int((low + high) / 2 + 0.5) if high is not None and high > low else int(low + 0.5)
    return middle if 1 <= middle <= _LARGEST else None


def _value(text: str) -> float | None:
    text = text.strip().translate(str.maketrans("", "", ",，\u00a0\u202f "))
    if text[-1:] in "kK":
        return float(text[:-1]) * 1000
    if re.fullmatch(r"\d{1,3}\.\d{3}", text):
        return float(text.replace(".", ""))
    if re.fullmatch(r"\d+(?:\.\d+)?", text):
        return float(text)
    return parse_chinese_number(text)
