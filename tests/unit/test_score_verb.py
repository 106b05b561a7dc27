"""`lengthctl score`: kinds of files, options, thresholds, and bad input that gets one line."""

from __future__ import annotations

import csv
import json
import resource
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from command_line import run_main
from hypothesis import given
from hypothesis import strategies as st

from lengthctl.cli.targets import target_from_options
from lengthctl.errors import ConfigError, DataError
from lengthctl.length import Relation, Target, Unit
from lengthctl.pipelines.score_file import Columns, score_file, summarise_file
from lengthctl.pipelines.target_cells import parse_cell
from lengthctl.pipelines.text_files import MAX_LINE_BYTES
from lengthctl.records import read_records
from lengthctl.scoring import Scored

ROWS = [{"text": "one two three.", "target": 3}, {"text": "one two", "target": 10}, {"text": "", "target": 10}]


def write_jsonl(path: Path, rows: Sequence[object]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def lengths(path: Path, columns: Columns | None = None, **options: Any) -> list[int]:
    return [s.length for s in score_file(path, columns or Columns(), **{"target": None, **options}).scored]


class Letters:
    """A tokenizer with a token a letter."""

    def encode(self, text: str, *, add_special_tokens: bool) -> list[int]:
        return [ord(c) for c in text]


def test_every_kind_of_file_gives_the_same(tmp_path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    rows = [*ROWS, {"text": 'a "quoted", text\nof two\u2028lines', "target": 5}]
    files = [write_jsonl(tmp_path / "a.jsonl", rows), tmp_path / "a.json", tmp_path / "a.csv", tmp_path / "a.parquet"]
    files[1].write_text(json.dumps(rows), encoding="utf-8")
    with files[2].open("w", newline="", encoding="utf-8-sig") as file:
        writer = csv.DictWriter(file, ["text", "target"])
        writer.writeheader()
        writer.writerows(rows)
    pq.write_table(pa.Table.from_pylist(rows), files[3])
    found = [score_file(path, Columns(), target=None).scored for path in files]
    assert [s.length for s in found[0]] == [3, 2, 0, 6]
    for other in found[1:]:
        assert [(s.text, s.target) for s in other] == [(s.text, s.target) for s in found[0]]


def test_columns_and_groups_by_option(tmp_path: Path) -> None:
    path = write_jsonl(tmp_path / "a.jsonl", [{"answer": "a b", "words": 2, "question": i % 2} for i in range(4)])
    found = score_file(path, Columns("answer", "words", "question"), target=None).scored
    assert [s.prompt_id for s in found] == ["0", "1", "0", "1"]
    alone = score_file(path, Columns("answer", "words"), target=None).scored
    assert [s.prompt_id for s in alone] == ["1", "2", "3", "4"]


def test_own_records_are_scored_again_to_the_same(tmp_path: Path) -> None:
    before = [Scored("p", Target(30), 2, 9, cut, "a b", 12, True) for cut in (True, False)]
    path = write_jsonl(tmp_path / "samples.jsonl", [{"schema": 1, **s.to_row()} for s in before])
    found = score_file(path, Columns(), target=None)
    assert found.scored == before
    assert summarise_file(found, "s", seed=0)["subjects"]["s"]["overall"]["truncation"]["value"] == 0.5


def test_what_a_file_cannot_tell_is_not_told(tmp_path: Path) -> None:
    found = score_file(write_jsonl(tmp_path / "a.jsonl", ROWS), Columns(), target=None)
    summary = summarise_file(found, "a", seed=0)
    (subject,) = summary["subjects"].values()
    for level in (subject["overall"], *subject["by_target"].values()):
        assert not {"truncation", "cut", "mean_tokens", "violation"} & set(level)
    assert "tlg" not in subject
    nine = score_file(write_jsonl(tmp_path / "b.jsonl", ROWS[1:]), Columns(), target=None)
    (subject,) = summarise_file(nine, "b", seed=0)["subjects"].values()
    assert subject["tlg"]["as_ruler"]["Level:0"] == {
        **{"n": 2, "pm": 0.5, "fm": 0.5},
        **{"pm_interval": [0.0, 1.0], "fm_interval": [0.0, 1.0]},
    }


def test_tokens_are_counted_by_the_tokenizer(tmp_path: Path) -> None:
    path = write_jsonl(tmp_path / "a.jsonl", [{"text": "abc", "target": 3}])
    found = score_file(path, Columns(), target=None, unit=Unit.TOKENS, encoder=Letters()).scored
    assert [(s.length, s.tokens, s.target.unit) for s in found] == [(3, 3, Unit.TOKENS)]
    with pytest.raises(DataError, match="--model"):
        lengths(path, unit=Unit.TOKENS)


def test_verb_prints_writes_and_fails_by_bound(tmp_path: Path) -> None:
    path = write_jsonl(tmp_path / "a.jsonl", ROWS)
    out = tmp_path / "scores" / "a.jsonl"
    done = run_main("score", str(path), "--json", "--out", str(out), "--fail-under", "pm=0.6")
    assert (done.returncode, done.stderr) == (0, "")
    (subject,) = json.loads(done.stdout)["subjects"].values()
    assert subject["overall"]["pm"]["value"] == pytest.approx(2 / 3)
    rows = [row for _, row in read_records(out)]
    assert [(row["length"], row["pm"], row["s_l"]) for row in rows] == [(3, True, 1.0), (2, True, 0.0), (0, False, 0.0)]
    failed = run_main("score", str(path), "--fail-under", "pm=0.7", "--fail-over", "abs_relative_deviation=0.9")
    assert failed.returncode == 3
    assert failed.stderr == "lengthctl: pm is 0.6667, under the bound of 0.7\n"
    assert "PM %" in failed.stdout


@pytest.mark.parametrize(
    ("args", "match"),
    [
        (["--fail-under", "pmm=0.5"], "did you mean pm?"),
        (["--words", "0"], "at least 1"),
        (["--words", "5", "--tokens", "5"], "name one length"),
        (["--words", "5", "--target-column", "target"], "has no effect"),
        (["--unit", "wrods"], "words"),
        (["--tokens", "5"], "--model"),
    ],
)
def test_wrong_options_exit_2(tmp_path: Path, args: list[str], match: str) -> None:
    out = run_main("score", str(write_jsonl(tmp_path / "a.jsonl", ROWS)), *args)
    assert (out.returncode, out.stdout) == (2, "")
    assert match in out.stderr
    assert "Traceback" not in out.stderr


@pytest.mark.parametrize(
    ("name", "content", "match"),
    [
        ("a.jsonl", b"", "has no rows"),
        ("a.txt", b"x", "unknown kind of file"),
        ("none.jsonl", None, "no such file"),
        ("a.jsonl", b'{"text": "a", "target": 1}\n{"text": "a", "ta', ":2: not valid JSON"),
        ("a.jsonl", b'{"txet": "a", "target": 1}\n', "no column 'text'; did you mean txet?"),
        ("a.jsonl", b'{"text": "a", "target": 1}\n{"target": 1}\n{"text": null, "target": 2}\n', "2 of 3 .* on line 2"),
        ("a.jsonl", b'{"text": 5, "target": 1}\n', ":1: the text is no string but int"),
        ("a.jsonl", b'{"text": ["a"], "target": 1}\n', "no string but list"),
        ("a.jsonl", b'{"text": "a\x00b", "target": 1}\n', ":1: a NUL byte"),
        ("a.jsonl", b'{"text": "a\\u0000b", "target": 1}\n', ":1: the text holds a NUL"),
        ("a.jsonl", b'{"text": "a\\ud800", "target": 1}\n', "half a surrogate pair"),
        ("a.jsonl", b'{"text": "a", "target": 0}\n', ":1: a target needs a whole length of at least 1, found 0"),
        ("a.jsonl", b'{"text": "a", "target": -3}\n', "at least 1, found -3"),
        ("a.jsonl", b'{"text": "a", "target": true}\n', "found True"),
        ("a.jsonl", b'{"text": "a", "target": 2.5}\n', "found 2.5"),
        ("a.jsonl", b'{"text": "a", "target": {"valeu": 3}}\n', "a target has value, relation"),
        ("a.jsonl", b'{"text": "a", "target": {"value": 3, "unit": "wrods"}}\n', "wrods"),
        (
            "a.jsonl",
            b'{"text": "a", "target": 3}\n{"text": "a", "target": {"value": 3, "unit": "characters"}}\n',
            "each unit",
        ),
        ("a.jsonl", b"[1]\n", "a JSON object is needed"),
        ("a.jsonl", b'{"text": "\xff", "target": 3}\n', "not valid JSON"),
        ("a.json", b"[1]", "a JSON object is needed"),
        ("a.json", b'[{"text": "a", "target": 1}', "not valid JSON"),
        ("a.json", b"[" * 100_000, "not valid JSON"),
        ("a.csv", b"text,target\na,1,2\n", ":2: more cells"),
        ("a.csv", b"text,target\na,1\nb\n", "1 of 2 rows have no 'target', the first on line 3"),
        ("a.csv", b'text,target\n"a,1\n', "not valid CSV"),
        ("a.csv", b"text,target\n\xff,1\n", "not valid CSV"),
        ("a.csv", b"text,target\na,many\n", "found 'many'"),
        ("a.parquet", b"PAR1", "not a valid Parquet file"),
    ],
)
def test_bad_input_is_told_in_a_line(tmp_path: Path, name: str, content: bytes | None, match: str) -> None:
    path = tmp_path / name
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(DataError, match=match) as caught:
        lengths(path)
    message = str(caught.value)
    assert path.name in message
    assert "\n" not in message
    assert len(message) < 400 + len(str(path))


@pytest.mark.parametrize("name", ["a.jsonl", "a.csv"])
def test_a_line_of_50_mb_is_refused_in_little_memory(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    head, tail = (b'{"target": 1, "text": "', b'"}') if name == "a.jsonl" else (b"target,text\n1,", b"")
    path.write_bytes(head + b"word " * 10_000_000 + tail + b"\n")
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(DataError, match="longer than 8 MiB"):
        lengths(path)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100_000  # KiB


def test_a_line_within_the_bound_is_scored(tmp_path: Path) -> None:
    words = MAX_LINE_BYTES // 20
    assert lengths(write_jsonl(tmp_path / "a.jsonl", [{"text": "a " * words, "target": 9}])) == [words]


def test_targets_from_options() -> None:
    assert target_from_options() is None
    assert target_from_options(unit=Unit.TOKENS) is None
    assert target_from_options(words=50) == Target(50)
    assert target_from_options(words=50, unit=Unit.WORDS_SPLIT) == Target(50, unit=Unit.WORDS_SPLIT)
    assert target_from_options(tokens=50) == Target(50, unit=Unit.TOKENS)
    assert target_from_options(between="80-120") == Target(80, Relation.RANGE, high=120)
    assert target_from_options(at_least=80, at_most=120) == Target(80, Relation.RANGE, high=120)
    assert target_from_options(at_most=9, unit=Unit.SENTENCES) == Target(9, Relation.AT_MOST, Unit.SENTENCES)
    assert target_from_options(at_least=9) == Target(9, Relation.AT_LEAST)
    assert target_from_options(about=50) == Target(50, Relation.ABOUT, tolerance=0.1)
    assert target_from_options(about=50, tolerance=0.2) == Target(50, Relation.ABOUT, tolerance=0.2)


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"words": 5, "at_most": 9}, "name one length"),
        ({"words": 5, "tolerance": 0.1}, "--tolerance  has no effect"),
        ({"words": 5, "unit": Unit.TOKENS}, "contradicts --words"),
        ({"tokens": 5, "unit": Unit.WORDS}, "contradicts --tokens"),
        ({"between": "80"}, "LOW-HIGH"),
        ({"between": "120-80"}, "low <= high"),
        ({"at_least": 120, "at_most": 80}, "low <= high"),
        ({"tokens": -1}, "at least 1"),
        ({"about": 5, "tolerance": 1.5}, "between 0 and 1"),
    ],
)
def test_options_that_contradict(options: dict[str, Any], match: str) -> None:
    with pytest.raises(ConfigError) as caught:
        target_from_options(**options)
    assert match in str(caught.value)


@pytest.mark.parametrize(
    ("cell", "expected"),
    [
        (50, Target(50)),
        (50.0, Target(50)),
        ("50", Target(50)),
        (" 50.0 ", Target(50)),
        (">800", Target(801, Relation.AT_LEAST)),
        (">=800", Target(800, Relation.AT_LEAST)),
        ("<50", Target(49, Relation.AT_MOST)),
        ("<= 50", Target(50, Relation.AT_MOST)),
        ("80-120", Target(80, Relation.RANGE, high=120)),
        ("80 to 120", Target(80, Relation.RANGE, high=120)),
        ("~50", Target(50, Relation.ABOUT, tolerance=0.1)),
        ('{"value": 50, "unit": "words_split"}', Target(50, unit=Unit.WORDS_SPLIT)),
        (Target(5, Relation.RANGE, Unit.TOKENS, high=6).to_row(), Target(5, Relation.RANGE, Unit.TOKENS, high=6)),
    ],
)
def test_cells(cell: object, expected: Target) -> None:
    assert parse_cell(cell) == expected


@given(st.one_of(st.text(), st.floats(), st.none(), st.lists(st.integers()), st.dictionaries(st.text(), st.text())))
def test_a_cell_is_a_target_or_a_value_error(cell: object) -> None:
    try:
        parse_cell(cell)
    except ValueError as error:
        assert len(str(error)) < 300  # noqa: PT017
