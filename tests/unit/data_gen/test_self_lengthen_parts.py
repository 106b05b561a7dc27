"""Where texts are parted, what is kept of them, and what is thinned out."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lengthctl.data_gen.self_lengthen_parts import Opening, first_half, opening_of, part_ends, thin

GOLDEN = json.loads((Path(__file__).parents[2] / "golden" / "self_lengthen.json").read_text())
pieces = st.sampled_from(
    ["One tells of bees.", "Two.", "\u4e09\u8bf4\u8702\u3002", "# Four", "five", "\n", "\n\n", "\n \n", " "]
)
texts = st.one_of(st.text(max_size=200), st.lists(pieces, max_size=20).map("".join))


def paragraphs(count: int) -> str:
    return "\n\n".join(f"Part {i}" for i in range(count))


@pytest.mark.parametrize(("count", "kept"), GOLDEN["parts_in_first_half"].items())
def test_golden_first_half(count: str, kept: int) -> None:
    assert first_half(paragraphs(int(count))) == paragraphs(kept)


@pytest.mark.parametrize(("count", "kept"), GOLDEN["parts_kept"].items())
def test_golden_opening(count: str, kept: int) -> None:
    opening = opening_of(paragraphs(int(count)))
    assert opening.text == paragraphs(kept)
    assert opening.prefill == (paragraphs(kept) + "\n\n" if kept else "")


def test_two_paragraphs_of_several_lines_are_parted_at_lines() -> None:
    assert first_half("a\nb\n\nc\nd\ne") == "a\nb"
    assert opening_of("a\nb\n\nc\nd\ne").text == "a\nb", "one of two paragraphs"


def test_a_text_of_one_line_is_parted_at_sentences() -> None:
    text = "One came. Two left. Three stayed. Four slept."
    assert first_half(text) == "One came. Two left."
    opening = opening_of(text)
    assert opening == Opening("One came. Two left.", is_paragraph=False)
    assert opening.prefill == "One came. Two left."
    assert opening.joined(" Three sang.") == opening.joined("Three sang.") == "One came. Two left. Three sang."
    assert opening.joined("\n\nThree sang.") == "One came. Two left.\n\nThree sang."
    chinese = opening_of("\u4e00\u6765\u4e86\u3002\u4e8c\u8d70\u4e86\u3002\u4e09\u7559\u4e0b\u3002")
    assert (
        chinese.joined("\u4e09\u5531\u6b4c\u3002")
        == "\u4e00\u6765\u4e86\u3002\u4e8c\u8d70\u4e86\u3002\u4e09\u5531\u6b4c\u3002"
    )


def test_joining_leaves_one_blank_line_between_paragraphs() -> None:
    opening = Opening("One.", is_paragraph=True)
    assert opening.joined("Two.") == opening.joined("\n\n\nTwo.\n") == "One.\n\nTwo."
    assert opening.joined("  \n") == "One."
    assert Opening("").joined(" Two. ") == "Two."


@given(texts, st.integers(2, 4))
def test_parts_hold_the_whole_text_in_order(text: str, least: int) -> None:
    ends = part_ends(text, least)
    assert ends == sorted(set(ends))
    assert bool(ends) == bool(text.strip())
    if ends:
        assert ends[-1] == len(text.rstrip())
        starts = [0, *ends[:-1]]
        assert all(text[a:b].strip() for a, b in zip(starts, ends, strict=True)), "no part is empty"


@given(texts)
def test_half_and_opening_are_beginnings_and_never_the_whole(text: str) -> None:
    whole = text.strip()
    for part in (first_half(text), opening_of(text).text):
        assert whole.startswith(part)
        assert not part or len(part) < len(whole)


@given(texts, st.floats(0.05, 1), st.integers(0, 5))
def test_thinning_leaves_lines_out_and_changes_none(text: str, keep: float, seed: int) -> None:
    thinned = thin(text, keep=keep, seed=seed, key="k")
    assert thin(text, keep=keep, seed=seed, key="k") == thinned
    assert bool(thinned) == bool(text.strip())
    rest = iter(text)
    assert all(character in rest for character in thinned), "what is left stands in the same order"
    assert thin(text, keep=1) == text.strip()


def test_thinning_draws_each_line_for_itself() -> None:
    lines = [f"line {i}" for i in range(4000)]
    kept = thin("\n".join(lines), keep=0.8, key="a").split("\n")
    assert 0.77 < len(kept) / 4000 < 0.83
    assert set(kept) <= set(lines)
    assert thin("\n".join(lines), keep=0.8, key="b").split("\n") != kept
    sentences = thin("One came. Two left. Three stayed. Four slept. Five sang.", keep=0.5, key="x")
    assert 0 < len(sentences) < 56
    blank = thin("a\n\nb\n\nc\n\nd", keep=0.6, seed=3, key="y")
    assert "\n\n\n" not in blank, "blank lines do not pile up"


def test_a_share_out_of_range_is_refused() -> None:
    with pytest.raises(ValueError, match="keep"):
        thin("a", keep=0)
