"""Whole numbers as Chinese writes them, read and written: 两千, 十万, 3千5百, 一万二, 1.2万. Pure. Ours."""

from __future__ import annotations

import re
import unicodedata
from fractions import Fraction

__all__ = ["CHINESE_NUMBER", "LARGEST", "parse_chinese_number", "write_chinese_number"]

_CHARACTERS = "[\\d零〇一二兩两三四五六七八九十百千万萬亿億]"
CHINESE_NUMBER = (
    rf"(?<!{_CHARACTERS})(?<!\d[.,])(?:{_CHARACTERS}[.,\uff0c\uff0e]?){{0,20}}{_CHARACTERS}(?!{_CHARACTERS})"
)
"""Pattern of a stretch that may be a number, whole, without a group; for a search."""

LARGEST = 10**12 - 1
"""The largest number that is read or written."""

_LONGEST = 32
"""Characters of a numeral that is read."""
_DIGITS = {c: i for i, c in enumerate("零一二三四五六七八九")} | {"两": 2}
_PLAIN = str.maketrans("〇兩萬億壹贰貳叁參肆伍陆陸柒捌玖拾佰仟", "零两万亿一二二三三四五六六七八九十百千")
_ARABIC = r"(?:\d{1,3}(?:,\d{3})+|\d{1,12})(?:\.\d{1,6})?"
_DIGIT_ROW = re.compile("[零一二三四五六七八九]{2,12}")
_NUMBER = rf"(?:{_ARABIC}|[一二三四五六七八九两])"
_SECTION = re.compile(
    rf"(?:({_NUMBER}?)千(零?))?(?:({_NUMBER}?)百(零?))?(?:({_NUMBER}?)十(零?))?(零|{_NUMBER})?", re.ASCII
)
_GROUPS = (("亿", 10**8), ("万", 10**4))


def parse_chinese_number(text: str) -> int | None:
    """The number that a numeral stands for, 0 to 10**12 - 1; None for a text that is none, or for no whole number.

    Read are digits with or without thousands separators, Chinese numerals in either script and in the forms of
    contracts, digits before a power (3千5百, 1.2万), rows of digits (二〇二四), a last digit that stands for the power
    below (一万二 is 12000, 三千五 is 3500), and a power alone (万 is 10000). Not read: two digits for "or" (三四千).
    """
    if len(text) > _LONGEST:
        return None
    rest = unicodedata.normalize("NFKC", text).strip().translate(_PLAIN)
    if not rest:
        return None
    if _DIGIT_ROW.fullmatch(rest):
        return int("".join(str(_DIGITS[character]) for character in rest))
    total, power = Fraction(0), 0
    for mark, scale in _GROUPS:
        head, found, tail = rest.partition(mark)
        if found:
            value = _lower_part(head, power) if head else Fraction(not power)
            if not value or (power and value * scale >= power):
                return None
            total, rest, power = total + value * scale, tail, scale
    if power and rest in _DIGITS and rest != "零":
        total += Fraction(_DIGITS[rest] * power, 10)
    elif rest:
        below = _lower_part(rest, power)
        if below is None:
            return None
        total += below
    return int(total) if total.denominator == 1 and total <= LARGEST else None


def _lower_part(text: str, power: int) -> Fraction | None:
    """A number without groups that stands behind a group of `power`, 0 for none, with the zero that fills a gap."""
    value = _section(text.removeprefix("零") if power and len(text) > 1 else text)
    return None if value is None or (power and value >= power) else value


def _section(text: str) -> Fraction | None:
    """A number without groups."""
    found = _SECTION.fullmatch(text)
    if found is None or not text:
        return None
    total, above, gap = Fraction(0), 0, False
    for place, power in ((1, 1000), (3, 100), (5, 10)):
        if found[place] is None:
            continue
        if not found[place] and above and power > 10:
            return None  # 一千百
        value = _value(found[place]) * power if found[place] else Fraction(power)
        if above and value >= above:
            return None
        total, above, gap = total + value, power, bool(found[place + 1])
    last = found[7]
    if last is None:
        return None if gap else total  # 一千零 is half a number
    shorthand = above > 10 and last in _DIGITS and not gap
    value = _value(last) * (above // 10 if shorthand else 1)
    if above and (value >= above or not value):
        return None
    return total + value


def _value(number: str) -> Fraction:
    return Fraction(_DIGITS[number]) if number in _DIGITS else Fraction(number.replace(",", ""))


def write_chinese_number(number: int) -> str:
    """The numeral of a number: 两千, 十万, 一千零五十; `parse_chinese_number` reads it back.

    Raises:
        ValueError: below 0 or above 10**12 - 1.
    """
    if not 0 <= number <= LARGEST:
        raise ValueError(f"a number from 0 to {LARGEST} can be written, found {number}")
    if number == 0:
        return "零"
    written = ""
    rest = number
    for mark, scale in (*_GROUPS, ("", 1)):
        value, rest = divmod(rest, scale)
        if value:
            gap = "零" if written and value < 1000 else ""
            written += gap + _written_section(value) + mark
        elif written and rest and not written.endswith("零"):
            written += "零"
    written = re.sub("零+", "零", written)
    # ten at the start is 十; two at the start, before a thousand or a group, is 两
    written = re.sub("^一十", "十", written)
    return re.sub("^二(?=[千万亿])", "两", written)


def _written_section(value: int) -> str:
    """1 to 9999, without what goes for the start of a numeral."""
    written, is_gap = "", False
    for power, mark in ((1000, "千"), (100, "百"), (10, "十"), (1, "")):
        digit = value // power % 10
        if digit:
            written += ("零" if is_gap and written else "") + "零一二三四五六七八九"[digit] + mark
        is_gap = not digit
    return written
