"""Meta length tokens: golden rows of the source, own tables, what is read back, and the file beside a model."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lengthctl.errors import ModelError
from lengthctl.length import Band, BandKind, Relation, Target, Unit, count_length, ruler_band
from lengthctl.mlt import (
    MLT_FILE,
    RULER_TABLE,
    DataRange,
    MetaToken,
    MltRecord,
    MltTable,
    ruler_table,
    split_output,
    split_text,
    template_hash,
)

NAMES = ["10", "30", "50", "80", "150", "300", "500", "700", ">800"]
MLT_IDS = dict(enumerate(RULER_TABLE.tokens, start=1000))

numbers = st.lists(st.integers(1, 5000), min_size=1, max_size=12, unique=True).map(sorted)


def name(token: MetaToken | None) -> str | None:
    return token.name if token else None


def test_the_table_is_that_of_the_source() -> None:
    assert [token.name for token in RULER_TABLE.tokens] == NAMES
    assert [token.text for token in RULER_TABLE.tokens][-2:] == ["[MLT:700]", "[MLT:>800]"]
    for token in RULER_TABLE.tokens:
        assert token.pm == ruler_band(token.target, BandKind.PRECISE)
        assert token.fm == ruler_band(token.target, BandKind.FLEXIBLE)
    assert RULER_TABLE.named(">800").target == Target(801, Relation.AT_LEAST)
    assert RULER_TABLE.named("[MLT:80]").fm == Band(61, 100)


# Counts around the ends of the data ranges, which are open below in the source; primary is its code, paper its Table 3.
@pytest.mark.parametrize(
    ("counts", "expected"),
    [
        ((0, 5, 6, 14, 15, 16), (None, None, "10", "10", "10", None)),
        ((25, 26, 35, 36), (None, "30", "30", None)),
        ((45, 46, 55, 56), (None, "50", "50", None)),
        ((75, 76, 85, 86), (None, "80", "80", None)),
        ((135, 136, 144, 145), (None, "150", "150", "150")),
        ((146, 154, 155, 156), ("150", "150", "150", None)),
        ((295, 296, 305, 306), (None, "300", "300", None)),
        ((495, 496, 505, 506), (None, "500", "500", None)),
        ((695, 696, 705, 706), (None, "700", "700", None)),
        ((800, 801, 2000), (None, ">800", ">800")),
    ],
)
def test_golden_data_ranges(counts: tuple[int, ...], expected: tuple[str | None, ...]) -> None:
    assert tuple(name(RULER_TABLE.token_for_text(n)) for n in counts) == expected
    paper = tuple(None if 136 <= n <= 145 else e for n, e in zip(counts, expected, strict=True))
    assert tuple(name(ruler_table("paper").token_for_text(n)) for n in counts) == paper


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        *[(1, "10"), (20, "10"), (21, "30"), (40, "30"), (41, "50"), (60, "50"), (61, "80"), (100, "80")],
        *[(101, "150"), (120, "150"), (200, "150"), (201, "300"), (250, "300"), (400, "300"), (401, "500")],
        *[(600, "500"), (601, "700"), (800, "700"), (801, ">800"), (5000, ">800")],
    ],
)
def test_golden_targets(value: int, expected: str) -> None:
    assert RULER_TABLE.token_for_target(Target(value)).name == expected
    assert RULER_TABLE.token_for_target(Target(value, Relation.ABOUT, tolerance=0.5)).name == expected


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        (Target(801, Relation.AT_LEAST), ">800"),
        (Target(2000, Relation.AT_LEAST), ">800"),
        (Target(100, Relation.AT_LEAST), "150"),
        (Target(5, Relation.AT_MOST), "10"),
        (Target(20, Relation.AT_MOST), "10"),
        (Target(39, Relation.AT_MOST), "10"),
        (Target(40, Relation.AT_MOST), "10"),
        (Target(500, Relation.AT_MOST), "300"),
        (Target(25, Relation.RANGE, high=55), "30"),
        (Target(31, Relation.RANGE, high=50), "30"),
        (Target(31, Relation.RANGE, high=51), "50"),
        (Target(700, Relation.RANGE, high=3000), ">800"),
    ],
)
def test_a_range_gets_what_it_shares_most_with_and_the_shorter_of_two(target: Target, expected: str) -> None:
    assert RULER_TABLE.token_for_target(target).name == expected


def test_a_target_of_another_unit_or_out_of_reach() -> None:
    with pytest.raises(ValueError, match="count words, and the target tokens"):
        RULER_TABLE.token_for_target(Target(50, unit=Unit.TOKENS))
    with pytest.raises(ValueError, match=r"no meta length token is for 91 words.*\[46, 60\]"):
        MltTable.parse({"tokens": [40, 52]}).token_for_target(Target(91))
    with pytest.raises(ValueError, match=r"no meta length token '\[MLT:80O\]'; did you mean"):
        RULER_TABLE.named("[MLT:80O]")


@given(st.integers(1, 10**6))
def test_every_length_belongs_to_one_token(count: int) -> None:
    (only,) = [token for token in RULER_TABLE.tokens if count in token.fm]
    assert ruler_table(DataRange.FM).token_for_text(count) == ruler_table(DataRange.FM).named(only.name)
    assert RULER_TABLE.token_for_target(Target(count)) is only
    for ranges in (DataRange.PRIMARY, DataRange.PAPER):
        assert name(ruler_table(ranges).token_for_text(count)) in (only.name, None)


@given(numbers, st.booleans(), st.sampled_from(Unit))
def test_an_own_table_tiles_and_comes_back_from_plain_data(values: list[int], is_open: bool, unit: Unit) -> None:
    table = MltTable.parse({"unit": unit, "tokens": [*values, *([f">{values[-1]}"] if is_open else [])]})
    assert MltTable.parse(json.loads(json.dumps(table.to_row()))) == table
    assert [token.target.value for token in table.tokens[: len(values)]] == values
    assert table.tokens[0].fm.low == 1
    assert all(a.fm.high + 1 == b.fm.low for a, b in zip(table.tokens, table.tokens[1:], strict=False))
    assert math.isinf(table.tokens[-1].fm.high) == is_open
    for token in table.tokens:
        assert table.token_for_target(token.target) is token
        assert table.token_for_text(token.target.value) is token


def test_defaults_of_an_own_table() -> None:
    table = MltTable.parse(
        {"tokens": [20, 45, {"target": 100, "name": "long", "data": [70, 140], "fm": [64, 150]}, 200]}
    )
    assert [token.fm for token in table.tokens] == [Band(1, 30), Band(31, 63), Band(64, 150), Band(151, 266)]
    assert [token.data for token in table.tokens] == [Band(18, 22), Band(41, 49), Band(70, 140), Band(180, 220)]
    assert [token.pm for token in table.tokens] == [Band(11, 30), Band(36, 55), Band(91, 110), Band(181, 220)]
    assert [token.name for token in table.tokens] == ["20", "45", "long", "200"]
    ranges = MltTable.parse({"tokens": [{"target": {"value": 5, "high": 9, "relation": "range"}}, 40, ">60"]})
    assert [token.fm for token in ranges.tokens] == [Band(5, 9), Band(10, 60), Band(61, math.inf)]
    assert [token.text for token in ranges.tokens] == ["[MLT:5-9]", "[MLT:40]", "[MLT:>60]"]
    assert MltTable.parse({"tokens": RULER_TABLE.to_row()["tokens"]}) == RULER_TABLE


@pytest.mark.parametrize(
    ("tokens", "message"),
    [
        ([], "at least one token"),
        ({}, "a list of numbers and mappings"),
        ([50, 30], "found 50 before 30"),
        ([30, 30], "30 stands twice: remove one"),
        ([30, True], "found True"),
        (["about 30"], "found 'about 30'"),
        ([0], "at least 1, found 0"),
        ([{"value": 30}], "a token has a target"),
        ([{"target": {"words": 30}}], "a target has value"),
        ([{"target": {"value": 30, "unit": "tokens"}}], "counts tokens, and its table words"),
        ([{"target": 30, "name": "thirty words"}], "'thirty words'"),
        ([{"target": 30, "name": "30]"}], "'30]'"),
        ([{"target": 30, "name": "x"}, {"target": 60, "name": "x"}], "two tokens are named x"),
        ([{"target": 30, "name": "300"}], "a number outside its fm band"),
        ([{"target": 30, "fm": [31, 60]}], r"fm band \[31, 60\] of \[MLT:30\] does not hold its target"),
        ([{"target": 30, "data": [31, 33]}], r"data band \[31, 33\] of \[MLT:30\] does not hold its target"),
        ([{"target": 30, "pm": [1, 50], "fm": [1, 40]}], "leaves its fm band"),
        ([{"target": 30, "fm": [20, 60]}, {"target": 70, "fm": [60, 80]}], "fm bands of .* overlap"),
        ([{"target": 30, "data": [20]}], "whole numbers"),
        ([{"target": 30, "data": [20.5, 40]}], "whole numbers"),
        ([{"target": 30, "data": [40, 20]}], "low <= high"),
    ],
)
def test_a_table_that_cannot_be_is_refused_in_one_line(tokens: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        MltTable.parse({"tokens": tokens})
    assert "\n" not in str(caught.value)


def test_other_data_and_tables_out_of_order() -> None:
    for value in (None, 5, {}, {"tokens": [5], "units": "words"}):
        with pytest.raises(ValueError, match="a mapping of unit and tokens"):
            MltTable.parse(value)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="no unit 'word'; did you mean words"):
        MltTable.parse({"unit": "word", "tokens": [5]})
    with pytest.raises(ValueError, match=r"data bands of \[MLT:>800\] and \[MLT:700\] fall"):
        MltTable(RULER_TABLE.tokens[::-1])


# w*n is n times the word "w". None: not scored. The last: tokens besides the first.
@pytest.mark.parametrize(
    ("text", "token", "words", "fm", "extra"),
    [
        ("[MLT:10]one two three", "10", 3, True, 0),
        ("[MLT:>800]" + "w " * 799, ">800", 799, False, 0),
        ("[MLT:>800]" + "w " * 801, ">800", 801, True, 0),
        (" [MLT:30]" + "w " * 25, "30", 25, True, 0),
        ("[MLT:30]\n\n# Title\n" + "w " * 24, "30", 25, True, 0),
        ("[MLT:10]one two[MLT:30]three", "10", 3, True, 1),
        ("[MLT:10]", "10", 0, False, 0),
        ("no token here", None, 3, None, 0),
        ("the MLT idea", None, 3, None, 0),
        ("[MLT:200]a b", None, 4, None, 0),
    ],
)
def test_golden_outputs(text: str, token: str | None, words: int, fm: bool | None, extra: int) -> None:
    found = split_text(text, RULER_TABLE)
    count = count_length(found.text)
    assert (name(found.token), count, found.extra) == (token, words, extra)
    assert (count in found.token.fm if found.token else None) == fm


def test_text_around_tokens_is_kept() -> None:
    assert split_text("\n [MLT:10]\n# A", RULER_TABLE).text == "\n# A"
    assert split_text(" no token", RULER_TABLE).text == " no token"
    found = split_text("a [MLT:30] b[MLT:10][MLT:>800]c.[MLT:10]", RULER_TABLE)
    assert (found.token, found.text, found.extra) == (None, "a  b c.", 4)


def test_ids_are_read_by_the_first_one_only() -> None:
    ten, thirty = 1000, 1001
    found = split_output([ten, 1, 2, thirty, 3, ten], MLT_IDS)
    assert (name(found.token), found.answer_ids, found.extra) == ("10", (1, 2, 3), 2)
    late = split_output([7, thirty, 1], MLT_IDS)
    assert (late.token, late.answer_ids, late.extra) == (None, (7, 1), 1)
    assert split_output([ten], MLT_IDS).answer_ids == ()


@given(st.lists(st.integers(990, 1015) | st.integers()))
def test_no_id_is_lost_and_no_token_stays(ids: list[int]) -> None:
    found = split_output(ids, MLT_IDS)
    assert not set(found.answer_ids) & set(MLT_IDS)
    assert len(found.answer_ids) + found.extra + (found.token is not None) == len(ids)


@given(st.lists(st.sampled_from([*(t.text for t in RULER_TABLE.tokens), "[MLT:", "]", "10", " ", "w"]) | st.text()))
def test_any_text_is_read(parts: list[str]) -> None:
    found = split_text("".join(parts), RULER_TABLE)
    assert found.extra >= 0
    assert len(found.text) <= len("".join(parts))


def record() -> MltRecord:
    return MltRecord(RULER_TABLE, tuple(MLT_IDS), template_hash("{{ messages }}"))


def test_the_record_comes_back(tmp_path: Path) -> None:
    assert MltRecord.read(tmp_path) is None
    record().write(tmp_path)
    assert MltRecord.read(tmp_path) == record()
    assert record().by_id == MLT_IDS
    plain = json.loads((tmp_path / MLT_FILE).read_text())
    assert (plain["schema"], plain["unit"]) == (1, "words")
    last = plain["tokens"][-1]
    assert (last["text"], last["id"], last["fm"]) == ("[MLT:>800]", 1008, [801, None])
    with pytest.raises(ValueError, match="9 tokens need as many different ids"):
        MltRecord(RULER_TABLE, (1, 2, 3), "")


def test_a_record_of_no_use_says_so(tmp_path: Path) -> None:
    record().write(tmp_path)
    file = tmp_path / MLT_FILE
    whole = file.read_text()
    plain = json.loads(whole)
    for text in (whole[:300], "", "\udcff"):
        file.write_bytes(text.encode(errors="surrogateescape"))
        with pytest.raises(ModelError, match="cannot be read"):
            MltRecord.read(tmp_path)
    documents: list[Any] = [[], {**plain, "schema": 2}]
    for document in documents:
        file.write_text(json.dumps(document))
        with pytest.raises(ModelError, match=r"has schema .*Use the version"):
            MltRecord.read(tmp_path)
    first, *others = plain["tokens"]
    faults: list[dict[str, Any]] = [
        {"tokens": others[:0]},
        {"tokens": None},
        {"tokens": [{**first, "text": "[MLT:11]"}, *others]},
        {"tokens": [{**first, "id": others[0]["id"]}, *others]},
        {"tokens": [{key: value for key, value in first.items() if key != "fm"}, *others]},
        {"unit": "tokens"},
        {"template_hash": None},
    ]
    for fault in faults:
        file.write_text(json.dumps({**plain, **fault}))
        with pytest.raises(ModelError, match=r"describes no meta length tokens.*Copy it again"):
            MltRecord.read(tmp_path)
