"""Chinese numerals: read in all the ways that requests write them, and written so that they are read back."""

from __future__ import annotations

import re
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lengthctl.chinese_numbers import CHINESE_NUMBER, LARGEST, parse_chinese_number, write_chinese_number

READ = {
    "零": 0,
    "两千": 2000,
    "二千": 2000,
    "十万": 100_000,
    "十二": 12,
    "一百一十": 110,
    "三十零五": 35,
    "一千零五十": 1050,
    "一千五": 1500,
    "二百五": 250,
    "二十五": 25,
    "一万二": 12_000,
    "一万零五": 10_005,
    "一万二千": 12_000,
    "一亿二": 120_000_000,
    "五百万零三": 5_000_003,
    "3千5百": 3500,
    "3千500": 3500,
    "10万8千": 108_000,
    "1.2万": 12_000,
    "2,000": 2000,
    "２０００": 2000,
    "2，000": 2000,
    "二〇二四": 2024,
    "兩萬": 20_000,
    "壹万贰仟": 12_000,
    "万": 10_000,
    "百万": 1_000_000,
    " 300 ": 300,
}
WRITTEN = {
    0: "零",
    10: "十",
    12: "十二",
    110: "一百一十",
    200: "二百",
    1050: "一千零五十",
    2000: "两千",
    2002: "两千零二",
    10_010: "一万零一十",
    20_000: "两万",
    22_000: "两万二千",
    100_010: "十万零一十",
    202_000_000: "两亿零二百万",
}


@pytest.mark.parametrize(("text", "number"), READ.items())
def test_numerals_are_read(text: str, number: int) -> None:
    assert parse_chinese_number(text) == number


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "字",
        "三四千",
        "一千百",
        "一千零",
        "五十百",
        "1,00",
        "1.5",
        "1.23456千",
        "一万亿",
        "千字",
        "-3",
        "1e3",
        "９" * 40,
    ],
)
def test_what_is_no_whole_number(text: str) -> None:
    assert parse_chinese_number(text) is None


@pytest.mark.parametrize(("number", "text"), WRITTEN.items())
def test_numerals_are_written_as_people_do(number: int, text: str) -> None:
    assert write_chinese_number(number) == text


@given(st.integers(0, LARGEST) | st.integers(0, 100_000))
def test_what_is_written_is_read_back(number: int) -> None:
    assert parse_chinese_number(write_chinese_number(number)) == number


@pytest.mark.parametrize("number", [-1, LARGEST + 1])
def test_numbers_that_cannot_be_written(number: int) -> None:
    with pytest.raises(ValueError, match="can be written"):
        write_chinese_number(number)


@given(st.text("零〇一二两三九十百千万亿1230.,，点 字", max_size=40))
def test_any_text_is_read_or_not(text: str) -> None:
    found = parse_chinese_number(text)
    assert found is None or 0 <= found <= LARGEST


def test_pattern_finds_whole_numbers_only() -> None:
    found = [m[0] for m in re.finditer(CHINESE_NUMBER, "写两千字，共3,000字；第1.2万条，2000字")]
    assert found == ["两千", "3,000", "1.2万", "2000"]


def test_long_rows_of_digits_take_no_time() -> None:
    began = time.perf_counter()
    for text in ("1," * 20_000, "一" * 50_000, "万" * 50_000):
        assert parse_chinese_number(text) is None
        assert sum(1 for _ in re.finditer(CHINESE_NUMBER, text)) <= len(text)
    assert time.perf_counter() - began < 1
