"""Both shapes of a summary become sides in order; what is no summary is refused by name."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from synthetic_evaluation import write_evaluation

from lengthctl.cli.results import print_run
from lengthctl.errors import DataError
from lengthctl.evaluate.summary import difference_rows, parse_summary, read_summary, summary_rows

METRIC = {"value": 0.5, "low": 0.4, "high": 0.6, "n": 8}
LEVELS = {"overall": {"fm": METRIC}, "by_target": {"10": {"fm": METRIC}}}
QUICKSTART = Path(__file__).parents[3] / "docs" / "results" / "quickstart-seed-42.json"


def test_a_training_run_has_before_and_after() -> None:
    summary = parse_summary(json.loads(QUICKSTART.read_text()))
    assert [side.name for side in summary.sides] == ["before", "after"]
    assert summary.is_training
    assert summary.labels == ["10", "30", "50", "80"]
    before, after = summary.sides
    assert not before.difference
    gap = after.overall["fm"].value - before.overall["fm"].value
    assert after.difference["fm"].value == pytest.approx(gap)
    assert after.samples == "samples/after.jsonl"


def test_rows_hold_every_target_and_side() -> None:
    head, rows = summary_rows(json.loads(QUICKSTART.read_text()))
    assert head[:4] == ["target", "", "PM %", "FM %"]
    assert [row[:2] for row in rows[:3]] == [["10", "before"], ["10", "after"], ["30", "before"]]
    assert rows[0][2] == "65.0 [53.3, 76.7]"
    assert [row[:2] for row in rows[-2:]] == [["all", "before"], ["all", "after"]]
    assert {len(row) for row in rows} == {len(head)}


def test_an_evaluation_has_its_subjects_in_order(tmp_path: Path) -> None:
    raw = write_evaluation(tmp_path)
    summary = parse_summary(read_summary(tmp_path))
    assert [side.name for side in summary.sides] == ["plain", "countdown", "close", "retry"]
    assert not summary.is_training
    close = summary.sides[2]
    assert close.samples == "samples/close.jsonl"
    assert close.difference["fm"].value == pytest.approx(raw["differences"]["close"]["fm"]["value"])
    head, rows = difference_rows(raw)
    assert head[0] == "plain"
    assert [row[0] for row in rows] == ["countdown", "close", "retry"]
    assert rows[1][head.index("FM %")].startswith("+")


def test_the_command_line_prints_both_shapes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_evaluation(tmp_path, prompts=2)
    print_run(tmp_path, False)
    told = capsys.readouterr().out
    assert "Each minus plain" in told
    assert told.splitlines()[-1] == f"report: {tmp_path / 'report.html'}"
    assert any("all" in line and "close" in line and "100.0 [100.0, 100.0]" in line for line in told.splitlines())
    (tmp_path / "summary.json").write_text(QUICKSTART.read_text())
    print_run(tmp_path, False)
    told = capsys.readouterr().out
    assert "before" in told
    assert "Each minus" not in told


def test_names_are_made_fit_and_stay_apart() -> None:
    long = "models/" + "x" * 100
    names = [long + "/a", long + "/b", "a\x1b[31m\u202eb", "a\ufffd[31m\ufffdb"]
    raw = {"subjects": dict.fromkeys(names, LEVELS)}
    found = [side.name for side in parse_summary(raw).sides]
    assert len(set(found)) == 4
    assert all(len(name) <= 64 for name in found)
    assert found[0].endswith("/a")
    assert not any(c in name for name in found for c in "\x1b\u202e")


def test_what_is_no_metric_is_passed_over() -> None:
    raw = {"after": {"overall": {"fm": METRIC, "pm": None, "odd": {"value": 1}}, "by_target": None}, "seed": "x"}
    summary = parse_summary(raw)
    assert set(summary.sides[0].overall) == {"fm"}
    assert summary.labels == []


@pytest.mark.parametrize(
    ("raw", "told"),
    [
        ([], "neither `after` nor `subjects`"),
        ({"before": LEVELS}, "neither `after` nor `subjects`"),
        ({"subjects": {}}, "no subjects"),
        ({"subjects": {"plain": {"overall": {}}}}, "`plain` has no metrics"),
        ({"after": 3}, "`after` has no metrics"),
    ],
)
def test_no_summary_is_named(tmp_path: Path, raw: object, told: str) -> None:
    (tmp_path / "summary.json").write_text(json.dumps(raw))
    with pytest.raises(DataError, match=told) as caught:
        read_summary(tmp_path)
    assert str(tmp_path) in str(caught.value)


@pytest.mark.parametrize("content", [b"{", b"\xff\xfe", b"[" * 100_000])
def test_a_torn_summary_is_named(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "summary.json").write_bytes(content)
    with pytest.raises(DataError, match="is torn"):
        read_summary(tmp_path)


def _level(**values: float) -> dict[str, Any]:
    return {key: {"value": value, "low": value, "high": value, "n": 4} for key, value in values.items()}


@pytest.mark.parametrize(
    ("labels", "first"), [(("300", "500"), "S_l"), (("30", "300"), "PM %"), (("~300", "400-600"), "S_l"), ((), "PM %")]
)
def test_of_long_targets_the_length_score_comes_first(labels: tuple[str, ...], first: str) -> None:
    level = _level(pm=0.1, fm=0.2, s_l=0.5, seq_rep_4=0.25, mean_abs_relative_deviation=0.4, truncation=0.0, hit=0.1)
    side = {"overall": level, "by_target": dict.fromkeys(labels, level)}
    raw = {"subjects": {"a": side, "b": side}, "differences": {"b": level}}
    head, rows = summary_rows(raw)
    assert head[2] == first
    assert difference_rows(raw)[0][1] == first
    assert rows[-1][head.index("repeated 4-grams %")].startswith("25.0")
