"""Length demands in words: a target as a phrase, and the phrase in a request, in several wordings, English and Chinese.

All wordings are ours. `prompts.describe_target` has the one English phrase that evaluation asks with.
"""

from __future__ import annotations

from random import Random
from typing import Literal

from lengthctl.chinese_numbers import write_chinese_number
from lengthctl.length import Relation, Target, Unit
from lengthctl.prompts import name_unit

__all__ = ["draw_phrase", "put_demand"]

Language = Literal["en", "zh"]

_PHRASES = {
    "en": {
        Relation.ABOUT: (
            "about {low} {unit}",
            "around {low} {unit}",
            "roughly {low} {unit}",
            "approximately {low} {unit}",
        ),
        Relation.RANGE: ("between {low} and {high} {unit}", "{low} to {high} {unit}", "{low}-{high} {unit}"),
        Relation.AT_LEAST: ("at least {low} {unit}", "no fewer than {low} {unit}", "{low} {unit} or more"),
        Relation.AT_MOST: ("at most {low} {unit}", "no more than {low} {unit}", "up to {low} {unit}"),
        Relation.EXACT: ("exactly {low} {unit}",),
    },
    "zh": {
        Relation.ABOUT: ("大约{low}{unit}", "{low}{unit}左右", "约{low}{unit}"),
        Relation.RANGE: ("{low}到{high}{unit}", "{low}至{high}{unit}"),
        Relation.AT_LEAST: ("不少于{low}{unit}", "至少{low}{unit}", "{low}{unit}以上"),
        Relation.AT_MOST: ("不超过{low}{unit}", "最多{low}{unit}", "{low}{unit}以内"),
        Relation.EXACT: ("正好{low}{unit}",),
    },
}
_WORDINGS = {
    "en": (
        "{request} Write {demand}.",
        "{request}\n\nLength: {demand}.",
        "{request} The whole text should have {demand}.",
        "{request} ({demand})",
        "{request} Please keep the length to {demand}.",
        "Please write {demand} in answer to this: {request}",
        "Your task, in {demand}: {request}",
        "{request}\n\nAim for {demand}.",
    ),
    "zh": (
        "{request}全文{demand}。",
        "{request}\n\n篇幅：{demand}。",
        "{request}（{demand}）",
        "{request}请写{demand}。",
        "请用{demand}完成下面的任务：{request}",
        "{request}\n\n要求：{demand}。",
    ),
}
_CHINESE_UNITS = {Unit.CHARACTERS: "个字符", Unit.SENTENCES: "句话", Unit.TOKENS: "个token"}
_NUMERALS = 0.5
"""Share of numbers written as Chinese numerals; source: Self-Lengthen, arXiv 2410.23933, its code."""
_SEPARATED = 0.5
"""Share of English numbers from 1,000 on with a comma."""
_ENDS = ".!?。！？…:：\"'”’)）】」』"


def draw_phrase(target: Target, language: Language, rng: Random) -> str:
    """A target as a phrase, e.g. `between 2,000 and 3,000 words`, `两千到三千字`; wording and numbers are drawn."""
    form = rng.choice(_PHRASES[language][target.relation])
    count = target.high or target.value
    unit = name_unit(target.unit, count) if language == "en" else _CHINESE_UNITS.get(target.unit, "字")
    numbers = [_number(target.value, language, rng), "" if target.high is None else _number(target.high, language, rng)]
    return form.format(low=numbers[0], high=numbers[1], unit=unit)


def _number(value: int, language: Language, rng: Random) -> str:
    if language == "zh":
        return write_chinese_number(value) if rng.random() < _NUMERALS else str(value)
    return f"{value:,}" if rng.random() < _SEPARATED else str(value)


def put_demand(request: str, phrase: str, language: Language, rng: Random) -> str:
    """A request that asks for the length, too; nothing else of it is changed but white space at its ends, and a full
    stop that it lacks before what follows."""
    plain = request.strip()
    form = rng.choice(_WORDINGS[language])
    behind = form.partition("{request}")[2]
    if behind and behind[0] not in "\n（" and behind[:2] != " (" and plain[-1:] not in _ENDS:
        plain += "." if language == "en" else "。"
    return form.replace("{demand}", phrase).replace("{request}", plain)
