"""Where a text could end."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lengthctl.decode.draft import token_texts
from lengthctl.sentences import sentence_ends


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("One. Two! Three?", ["One.", " Two!", " Three?"]),
        ("Dr. Smith came. He left.", ["Dr. Smith came.", " He left."]),
        ("See e.g. the sea. Fine.", ["See e.g. the sea.", " Fine."]),
        ("It is 3.14 wide. So.", ["It is 3.14 wide.", " So."]),
        ("J. Doe sat. I sat, and so did I. Good.", ["J. Doe sat.", " I sat, and so did I.", " Good."]),
        ("Mix it. 2. Bake it. 3.", ["Mix it.", " 2. Bake it."]),
        ("It was 1999. He left in 2001.", ["It was 1999.", " He left in 2001."]),
        ("1. Mix it.\n2. Bake it.", ["1. Mix it.", "\n2. Bake it."]),
        ('He said "Go." She went.', ['He said "Go."', " She went."]),
        ("Wait... what? no.", ["Wait... what?", " no."]),
        ("\u4f60\u597d\u3002\u4e16\u754c\uff01", ["\u4f60\u597d\u3002", "\u4e16\u754c\uff01"]),
        ("no end here", []),
        ("", []),
    ],
)
def test_sentence_ends(text: str, parts: list[str]) -> None:
    ends = sentence_ends(text)
    assert [text[a:b] for a, b in zip([0, *ends], ends, strict=False)] == parts


@given(st.text())
def test_sentence_ends_rise_and_lie_inside(text: str) -> None:
    ends = sentence_ends(text)
    assert ends == sorted(set(ends))
    assert all(0 < end <= len(text) for end in ends)


@given(st.text(max_size=60))
def test_token_texts_put_split_characters_together(text: str) -> None:
    data = text.encode()

    def decode(ids: object) -> str:
        return bytes(ids).decode("utf-8", "replace")  # type: ignore[call-overload]

    if "\ufffd" not in text:
        assert "".join(token_texts(list(data), decode)) == text
