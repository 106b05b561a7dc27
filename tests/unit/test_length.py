"""Counters, targets and Ruler's bands against golden vectors."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lengthctl.length import BandKind, Relation, Target, count_length, deviation, log_ratio, ruler_band

# text -> (words, words_split, words_lifebench); computed by hand from each rule.
COUNTS = {
    "": (0, 0, 0),
    "   \n\t": (0, 0, 0),
    "Hello, world!": (2, 2, 2),
    "state-of-the-art": (4, 1, 1),
    "Don't stop: it's John's.": (7, 4, 4),
    "3.14 is 1,000,000 times 50%": (8, 5, 8),
    "\u4f60\u597d\u4e16\u754c": (1, 1, 4),
    "\U0001f600 smile \U0001f600": (1, 3, 1),
    "e\u0301te\u0301": (2, 1, 2),
}

# text -> (words_longwriter, words_longen, words_mixed); by hand from each rule.
MIXED_COUNTS = {
    "Hello, world!": (2, 2, 2),
    "It's 2024, don't panic.": (5, 4, 4),
    "well-known state-of-the-art": (6, 2, 2),
    "\u4f60\u597d\uff0c\u4e16\u754c\u3002": (4, 6, 4),
    "\u4f7f\u7528Python\u7f16\u7a0b": (4, 5, 5),
    "na\u00efve caf\u00e9": (0, 2, 2),
    "foo_bar baz2": (0, 2, 2),
    "# Title\n\n- item one\n- item two": (5, 8, 5),
    "\u3053\u308c\u306f\u30da\u30f3\u3067\u3059": (0, 1, 7),
    "a,b,c": (3, 1, 1),
    "": (0, 0, 0),
}

# target -> count: (PM, FM); the bands are open below and closed above.
BANDS = {
    10: {1: (1, 1), 20: (1, 1), 21: (0, 0)},
    30: {20: (0, 0), 21: (1, 1), 40: (1, 1), 41: (0, 0)},
    50: {40: (0, 0), 41: (1, 1), 60: (1, 1), 61: (0, 0)},
    80: {60: (0, 0), 61: (0, 1), 70: (0, 1), 71: (1, 1), 90: (1, 1), 91: (0, 1), 100: (0, 1), 101: (0, 0)},
    150: {100: (0, 0), 101: (0, 1), 131: (1, 1), 170: (1, 1), 171: (0, 1), 200: (0, 1), 201: (0, 0)},
    300: {200: (0, 0), 201: (0, 1), 281: (1, 1), 320: (1, 1), 321: (0, 1), 400: (0, 1), 401: (0, 0)},
    500: {400: (0, 0), 401: (0, 1), 451: (1, 1), 550: (1, 1), 551: (0, 1), 600: (0, 1), 601: (0, 0)},
    700: {600: (0, 0), 601: (0, 1), 631: (1, 1), 770: (1, 1), 771: (0, 1), 800: (0, 1), 801: (0, 0)},
}


@pytest.mark.parametrize("text", COUNTS)
def test_counters(text: str) -> None:
    found = tuple(count_length(text, unit) for unit in ("words", "words_split", "words_lifebench"))
    assert found == COUNTS[text]


@pytest.mark.parametrize("text", MIXED_COUNTS)
def test_counters_of_long_writing(text: str) -> None:
    found = tuple(count_length(text, unit) for unit in ("words_longwriter", "words_longen", "words_mixed"))
    assert found == MIXED_COUNTS[text]


def test_other_units() -> None:
    assert count_length("One. Two! Three") == 3
    assert count_length("One. Two! Three", "sentences") == 3
    assert count_length("state-of-the-art", "words_unicode") == 4
    assert count_length("Don't", "words_unicode") == 1
    assert count_length("ab c", "characters") == 4
    with pytest.raises(ValueError, match="needs a tokenizer"):
        count_length("a", "tokens")


@pytest.mark.parametrize("value", BANDS)
def test_ruler_bands(value: int) -> None:
    for count, (pm, fm) in BANDS[value].items():
        assert (count in ruler_band(Target(value), BandKind.PRECISE)) == bool(pm), count
        assert (count in ruler_band(Target(value), BandKind.FLEXIBLE)) == bool(fm), count


@given(st.text(), st.text())
def test_words_add_up(a: str, b: str) -> None:
    assert count_length(a + " " + b) == count_length(a) + count_length(b)


@given(st.integers(1, 5000), st.integers(0, 10_000))
def test_precise_lies_inside_flexible(value: int, length: int) -> None:
    if length in ruler_band(Target(value), BandKind.PRECISE):
        assert length in ruler_band(Target(value), BandKind.FLEXIBLE)


TARGETS = st.one_of(
    st.builds(Target, st.integers(1, 500), st.sampled_from([Relation.EXACT, Relation.AT_MOST, Relation.AT_LEAST])),
    st.builds(lambda low, more: Target(low, Relation.RANGE, high=low + more), st.integers(1, 500), st.integers(0, 99)),
    st.builds(lambda v: Target(v, Relation.ABOUT, tolerance=0.1), st.integers(1, 500)),
)


@given(TARGETS)
def test_a_target_round_trips(target: Target) -> None:
    assert Target.parse(target.to_row()) == target


@given(TARGETS, st.integers(0, 2000))
def test_deviation_is_zero_only_where_it_should(target: Target, length: int) -> None:
    if target.relation in (Relation.AT_MOST, Relation.AT_LEAST, Relation.RANGE):
        assert (deviation(length, target) == 0) == (length in target.band)
    assert (log_ratio(length, target) == 0) == (deviation(length, target) == 0)


@pytest.mark.parametrize(("args", "match"), [({"value": 0}, "at least 1"), ({"value": 5, "high": 9}, "belongs to")])
def test_bad_targets(args: dict[str, int], match: str) -> None:
    with pytest.raises(ValueError, match=match):
        Target(**args)
