"""The writing system of a text, by its letters."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lengthctl.writing_system import WritingSystem, language_of, wording_language, writing_system


@pytest.mark.parametrize(
    ("text", "system"),
    [
        ("Hello, world", WritingSystem.LATIN),
        ("naïve café", WritingSystem.LATIN),
        ("你好，世界", WritingSystem.HAN),
        ("使用Python编写一个函数", WritingSystem.HAN),
        ("これはペンです", WritingSystem.KANA),
        ("日本語の文章を書く", WritingSystem.KANA),
        ("안녕하세요 세계", WritingSystem.HANGUL),
        ("Привет, мир", WritingSystem.CYRILLIC),
        ("Καλημέρα", WritingSystem.GREEK),
        ("مرحبا", WritingSystem.ARABIC),
        ("A long text about the city of 北京", WritingSystem.LATIN),
        ("", None),
        ("1234 !?", None),
        ("\u2014 \u00d7", None),
    ],
)
def test_of_a_text(text: str, system: WritingSystem | None) -> None:
    assert writing_system(text) is system


def test_wordings_are_chinese_for_chinese_alone() -> None:
    assert [wording_language(text) for text in ("写一篇文章", "Write", "これはペンです", "")] == [
        "zh",
        "en",
        "en",
        "en",
    ]


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("The history of Rome is long, and it is told from the start.", "en"),
        ("Die Geschichte der Stadt Rom ist lang und wird von Anfang an erzählt.", None),
        ("L'histoire de la ville de Rome est longue et commence il y a longtemps.", None),
        ("罗马的历史很长", "zh"),
        ("これはペンです", "ja"),
        ("안녕하세요", "ko"),
        ("Привет", None),
        ("", None),
    ],
)
def test_languages(text: str, language: str | None) -> None:
    assert language_of(text) == language


def test_long_texts_are_known_by_their_ends() -> None:
    assert writing_system("中" * 5000 + "a" * 100_000 + "文" * 5000) is WritingSystem.HAN


@given(st.text(max_size=60))
def test_any_text_has_one_or_none(text: str) -> None:
    assert (writing_system(text) is None) or any(map(str.isalpha, text))
