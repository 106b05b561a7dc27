"""What AgentWrite says to the model: the plan's prompt, each part's, and plans as text. English, Chinese for Chinese
requests, and for other languages English that asks for the request's. The words are ours.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

from lengthctl.length import Unit
from lengthctl.plans import PlanStep
from lengthctl.prompts import name_unit
from lengthctl.writing_system import language_of, wording_language, writing_system

__all__ = ["Wording"]

_EXAMPLE_POINTS = frozenset(
    {"how the old mill was found", "who had lived in it", "老磨坊是怎样被发现的", "谁在里面住过"}
)
"""Main points of the brief prompt's example."""
_EXAMPLE_SUBJECT = re.compile(r"\bmills?\b|磨坊", re.IGNORECASE)

_COUNT_LABELS = {Unit.CHARACTERS: "Character Count", Unit.SENTENCES: "Sentence Count", Unit.TOKENS: "Token Count"}
_HAN_UNITS = {Unit.SENTENCES: "句", Unit.TOKENS: "个词元"}

_LINE = {
    "en": "Paragraph {number} - Main Point: {point} - {label}: {length} {unit}",
    "zh": "段落{number} - 主要内容：{point} - 字数：{length}{unit}",
}
_OPENING = {"en": "Paragraph 1 - Main Point:", "zh": "段落1 - 主要内容："}

_PLAN = {
    "en": """\
Somebody asks for a long text. It is not written yet: first you make the plan for it.

<request>
{request}
</request>

Divide the text into paragraphs that do, read one after the other, all that is asked. Say precisely what each of them \
covers, so that none says what another says and nothing is missing. A paragraph has {floor} to {ceiling} {unit}; do \
not make more of them than the matter needs.{sum}

Write one line for each paragraph, in this form, and nothing else:
Paragraph 1 - Main Point: (what it covers) - {label}: (a number) {unit}
Paragraph 2 - Main Point: (what it covers) - {label}: (a number) {unit}{language}""",
    "zh": """\
有人需要一篇长文。现在先不写正文，请先为它列出写作计划。

<request>
{request}
</request>

把全文分成若干段落，依次读下来要满足题目的全部要求。写清每一段具体讲什么，使各段互不重复，也没有遗漏。每段{floor}到{ceiling}{unit}，\
段落不要分得过细。{sum}

每段写一行，格式如下，除此之外什么都不要写：
段落1 - 主要内容：（这一段讲什么） - 字数：（数字）{unit}
段落2 - 主要内容：（这一段讲什么） - 字数：（数字）{unit}""",
}
_SUM = {
    "en": " All of them together have about {total} {unit}: about {parts}.",
    "zh": "全文合计约{total}{unit}，大约{parts}。",
}
_BRIEF_PLAN = {
    "en": """\
{request}

Do not answer yet. First make an outline of your answer: {parts}{sum}. Write one line for each paragraph.\
{example}{language}""",
    "zh": """\
{request}

先不要回答，先列出提纲：{parts}{sum}。每段写一行。{example}""",
}
_EXAMPLE = {
    "en": """ For a story about a mill the lines would be:
Paragraph 1 - Main Point: How the old mill was found - {label}: {each} {unit}
Paragraph 2 - Main Point: Who had lived in it - {label}: {each} {unit}""",
    "zh": """如果是一个关于磨坊的故事，就这样写：
段落1 - 主要内容：老磨坊是怎样被发现的 - 字数：{each}{unit}
段落2 - 主要内容：谁在里面住过 - 字数：{each}{unit}""",
}
_BRIEF_SUM = {"en": ", about {total} {unit} in all", "zh": "，合计约{total}{unit}"}

_STEP = {
    "en": """\
A long text is written part by part, after a plan.

<request>
{request}
</request>

<plan>
{plan}
</plan>

{shown}This is the part to write:
{line}

It has about {length} {unit}. {place} Say nothing twice, and leave what the plan gives to other parts to them. A short \
heading is fine where it helps, but no label and no count of the plan. Answer with this part alone.{language}""",
    "zh": """\
一篇长文正按计划逐段写成。

<request>
{request}
</request>

<plan>
{plan}
</plan>

{shown}现在要写的是这一段：
{line}

篇幅约{length}{unit}。{place}不要重复已有的内容，也不要写计划里属于其他段落的内容。需要时可以加一个小标题，但不要写段落编号和字数。\
只写这一段的正文。""",
}
_SHOWN = dict.fromkeys(("en", "zh"), "<text_so_far>\n{text}\n</text_so_far>\n\n")
_BRIEF_STEP = {
    "en": "{request}\n\n{shown}Write {which} of the answer, about {length} {unit}. It is about this: {point}{language}",
    "zh": "{request}\n\n{shown}请写回答的{which}，约{length}{unit}，内容是：{point}",
}
_BRIEF_SHOWN = {
    "en": "The answer so far ends like this:\n{text}\n\n",
    "zh": "目前的回答结尾是：\n{text}\n\n",
}
_PLACES = {
    "en": {
        "first": "It is the first part: the text begins with it, and others follow.",
        "next": "It goes on from the text so far, and others follow: no summary, no closing words, no outlook.",
        "apart": "Other parts stand before and behind it: no introduction, no summary, no closing words.",
        "last": "It is the last part: bring the text to its end.",
    },
    "zh": {
        "first": "这是第一段：全文由它开头，后面还有其他段落。",
        "next": "它紧接已有的正文，后面还有其他段落：不要总结，不要写结束语，不要预告下文。",
        "apart": "它的前后都有其他段落：不要写引言，不要总结，不要写结束语。",
        "last": "这是最后一段：请让全文收尾。",
    },
}
_WHICH = {
    "en": {"first": "the first paragraph", "next": "the next paragraph", "apart": "one paragraph"},
    "zh": {"first": "第一段", "next": "下一段", "apart": "其中一段"},
}
_LAST = {"en": "the last paragraph", "zh": "最后一段"}
_LANGUAGE = "\nUse the language of the request."


@dataclass(frozen=True)
class Wording:
    """The prompts for one request.

    Args:
        request: what is asked for, in words.
        unit: what lengths count.
        is_brief: the short prompts.
    """

    request: str
    unit: Unit
    is_brief: bool = False

    @cached_property
    def language(self) -> Literal["en", "zh"]:
        """Of the prompts."""
        return wording_language(self.request)

    @property
    def opening(self) -> str:
        """First words of a plan."""
        return _OPENING[self.language]

    def copies_example(self, points: Iterable[str]) -> bool:
        """One of a plan's main points is the brief prompt's example's, or about its subject, which the request does not
        name."""
        is_named = _EXAMPLE_SUBJECT.search(self.request) is not None
        return any(
            point.casefold() in _EXAMPLE_POINTS or (not is_named and _EXAMPLE_SUBJECT.search(point)) for point in points
        )

    def plan(
        self, total: int | None, parts: int | None, floor: int, ceiling: int, *, shows_example: bool = True
    ) -> str:
        """Ask for the plan.

        Args:
            total: length of the whole; None: none is named.
            parts: about so many steps; None without a total.
            floor: least length of a step.
            ceiling: its greatest.
            shows_example: the brief prompt has one; small models follow the form by it, or copy it.
        """
        template, sums = (_BRIEF_PLAN, _BRIEF_SUM) if self.is_brief else (_PLAN, _SUM)
        told = self._parts(parts)
        tail = sums[self.language].format(total=total, unit=self._unit(total or 2), parts=told) if total else ""
        each = total // parts if total and parts else (floor + ceiling) // 2
        shown = _EXAMPLE[self.language].format(label=self._label, each=each, unit=self._unit(2))
        return template[self.language].format(
            request=self.request,
            floor=floor,
            ceiling=ceiling,
            unit=self._unit(2),
            label=self._label,
            sum=tail,
            parts=told,
            example=shown if shows_example else "",
            language=self._language,
        )

    def step(
        self,
        steps: Sequence[PlanStep],
        index: int,
        length: int,
        *,
        text: str = "",
        is_apart: bool = False,
        is_last: bool = False,
    ) -> str:
        """Ask for a part.

        Args:
            steps: all of the plan, each with a length.
            index: of the part's.
            length: that it is asked for.
            text: what stands, or what is shown of it.
            is_apart: it does not know the parts before it.
            is_last: the text ends with it.
        """
        step, language = steps[index], self.language
        place = "first" if index == 0 else "apart" if is_apart else "next"
        shown = (_BRIEF_SHOWN if self.is_brief else _SHOWN)[language].format(text=text) if text else ""
        return (_BRIEF_STEP if self.is_brief else _STEP)[language].format(
            request=self.request,
            plan="" if self.is_brief else self.lines(steps),
            shown=shown,
            line=self._line(index, PlanStep(step.point, length)),
            length=length,
            unit=self._unit(length),
            place=_PLACES[language]["last" if is_last else place],
            which=_LAST[language] if is_last else _WHICH[language][place],
            point=step.point,
            language=self._language,
        )

    def lines(self, steps: Sequence[PlanStep]) -> str:
        """A plan as the model is asked to write it; `parse_plan` reads it back."""
        return "\n".join(self._line(index, step) for index, step in enumerate(steps))

    def _line(self, index: int, step: PlanStep) -> str:
        return _LINE[self.language].format(
            number=index + 1, point=step.point, label=self._label, length=step.length, unit=self._unit(step.length or 2)
        )

    def _parts(self, parts: int | None) -> str:
        if self.language == "zh":
            return f"{parts}段" if parts else "若干段"
        return ("1 paragraph" if parts == 1 else f"{parts} paragraphs") if parts else "a few paragraphs"

    def _unit(self, count: int) -> str:
        return _HAN_UNITS.get(self.unit, "字") if self.language == "zh" else name_unit(self.unit, count)

    @property
    def _label(self) -> str:
        return _COUNT_LABELS.get(self.unit, "Word Count")

    @property
    def _language(self) -> str:
        """Big models are always told; small ones where the prompt's language may be another."""
        if self.is_brief and (writing_system(self.request) is None or language_of(self.request) == "en"):
            return ""
        return _LANGUAGE
