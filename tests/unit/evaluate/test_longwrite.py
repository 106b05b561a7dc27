"""LongBench-Write and LonGen: targets from rows, scores by hand, intervals, failures counted."""

from __future__ import annotations

import json
import os
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from fake_judge import FakeJudge

from lengthctl.config import JudgeConfig
from lengthctl.errors import DataError
from lengthctl.evaluate.judge import Judge
from lengthctl.evaluate.longwrite import (
    Written,
    compare_writing,
    judge_writing,
    measure_writing,
    summarise_writing,
)
from lengthctl.evaluate.longwrite_prompts import bucket_of, load_longbench_write, load_longen
from lengthctl.judging import LONGBENCH_WRITE, LONGEN, Rubric
from lengthctl.length import Relation, Unit
from lengthctl.rollout.scripted import ScriptedBackend
from lengthctl.scoring import longen_score, s_l

DATA = os.environ.get("LENGTHCTL_DATA")
needs_data = pytest.mark.skipif(DATA is None, reason="LENGTHCTL_DATA does not name the folder of development data")

ROWS = [
    {"prompt": "Describe a lake.", "type": "Functional", "length": 100},
    {"prompt": "Write an essay on tea.", "type": "Academic", "length": 1000},
    {"prompt": "写一篇关于茶的文章", "type": "Academic", "length": 1000},
    {"prompt": "Write a story.", "type": "Literature", "length": 2000, "lang": "en"},
    {"prompt": "Write a book.", "type": "Literature", "length": 20000},
]


def written_file(tmp_path: Path, rows: list[dict[str, Any]]) -> str:
    path = tmp_path / "rows.jsonl"
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))
    return str(path)


def words(count: int) -> str:
    return "word " * count


def written(tmp_path: Path, lengths: tuple[int, ...] = (50, 1000, 500, 2000, 10000)) -> list[Written]:
    prompts = load_longbench_write(written_file(tmp_path, ROWS))
    pairs = zip(prompts, lengths, strict=True)
    return [measure_writing(prompt, words(n), tokens=n, is_truncated=False) for prompt, n in pairs]


def judge(backend: Any, **changes: Any) -> Judge[Rubric]:
    return Judge(JudgeConfig(backend="scripted", script="s", **changes), backend, LONGBENCH_WRITE)


def test_rows_become_prompts_with_targets(tmp_path: Path) -> None:
    prompts = load_longbench_write(written_file(tmp_path, ROWS))
    assert [p.target.value for p in prompts] == [100, 1000, 1000, 2000, 20000]
    assert {p.target.unit for p in prompts} == {Unit.WORDS_LONGWRITER}
    assert [p.columns["bucket"] for p in prompts] == ["[0,500)", "[500,2k)", "[500,2k)", "[2k,4k)", "[4k,20k]"]
    assert [p.columns["language"] for p in prompts] == ["en", "en", "zh", "en", "en"]
    assert prompts[1].messages == ({"role": "user", "content": "Write an essay on tea."},)
    assert len({p.id for p in prompts}) == 5


@pytest.mark.parametrize(
    ("length", "bucket"),
    [
        *((1, "[0,500)"), (499, "[0,500)"), (500, "[500,2k)"), (1999, "[500,2k)"), (2000, "[2k,4k)")),
        *((3999, "[2k,4k)"), (4000, "[4k,20k]"), (20_000, "[4k,20k]"), (20_001, ">20k")),
    ],
)
def test_buckets(length: int, bucket: str) -> None:
    assert bucket_of(length) == bucket


@pytest.mark.parametrize("length", [0, -5, "200", None, True, 2.5])
def test_a_row_without_a_length_is_named(tmp_path: Path, length: Any) -> None:
    source = written_file(tmp_path, [{"prompt": "Write it.", "length": length}])
    with pytest.raises(DataError, match=r"rows\.jsonl.*Write it.*length"):
        load_longbench_write(source)


def test_a_row_without_a_prompt_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"rows\.jsonl:1.*prompt"):
        load_longbench_write(written_file(tmp_path, [{"text": "Write it.", "length": 10}]))


# F.3 of the method sheet: type, constraint, length, score
CONSTRAINTS = [
    ("about", "around 4000 words", 2400, 0.5),
    ("about", "around 4000 words", 3199, 0.9994),
    ("about", "大约4000字", 4801, 0.9996),
    ("about", "around 2,000 words", 2000, 1.0),
    ("about", "about 2k words", 2000, 1.0),
    ("about", "a 4000words text", 4800, 1.0),
    ("about", "一篇大约两千字", 2000, 1.0),
    ("about", "一万二千字左右", 12_000, 1.0),
    ("range", "两千至三千字", 2000, 1.0),
    ("about", "1.5万字", 15_000, 1.0),
    ("range", "4000-5000 words", 3000, 0.5),
    ("range", "4000-5000 words", 6250, 0.5),
    ("range", "2000字至4000字", 1500, 0.5),
    ("range", "2000字至4000字", 4500, 0.75),
    ("above", "more than 4000 words", 3000, 0.5),
    ("above", "大于4000字", 6001, 0.9997),
    ("below", "less than 4000 words", 1999, 0.999),
    ("below", "小于4000字", 4001, 0.9995),
]


@pytest.mark.parametrize(("kind", "phrase", "length", "score"), CONSTRAINTS)
def test_constraints_of_longen(tmp_path: Path, kind: str, phrase: str, length: int, score: float) -> None:
    rows = [{"query": f"Write {phrase}.", "type": kind, "constraint": phrase, "language": "en", "range": "2-4k"}]
    (prompt,) = load_longen(written_file(tmp_path, rows))
    assert longen_score(length, prompt.target) == pytest.approx(score, abs=1e-4)
    one = measure_writing(prompt, words(length), tokens=1, is_truncated=False)
    assert one.scored.length == length
    assert summarise_writing([one], 0)["by_kind"][kind]["longen_score"]["value"] == pytest.approx(score, abs=1e-4)


@pytest.mark.parametrize(
    ("kind", "phrase"), [("about", "as long as you like"), ("range", "4000 words"), ("near", "4000"), ("range", "9-3")]
)
def test_a_constraint_without_its_length_is_named(tmp_path: Path, kind: str, phrase: str) -> None:
    rows = [{"query": "Write it.", "type": kind, "constraint": phrase}]
    with pytest.raises(DataError, match="Write it"):
        load_longen(written_file(tmp_path, rows))


def test_scores_by_hand(tmp_path: Path) -> None:
    summary = summarise_writing(written(tmp_path), 0)
    expected = [0.5, 1.0, 0.5, 1.0, 0.5]  # F.1: S_l of half the length is 50
    assert summary["overall"]["s_l"]["value"] == pytest.approx(sum(expected) / 5)
    assert {name: level["s_l"]["value"] for name, level in summary["by_bucket"].items()} == pytest.approx(
        {"[0,500)": 0.5, "[500,2k)": 0.75, "[2k,4k)": 1.0, "[4k,20k]": 0.5}
    )
    assert summary["bucket_mean"]["s_l"]["value"] == pytest.approx(2.75 / 4)
    assert summary["by_language"]["zh"]["s_l"] == pytest.approx({"value": 0.5, "low": 0.5, "high": 0.5, "n": 1})
    for metric in summary["overall"].values():
        assert metric["low"] <= metric["value"] <= metric["high"]
    assert "s_q" not in summary["overall"]
    assert "s" not in summary["overall"]


def test_quality_beside_length(tmp_path: Path) -> None:
    backend = FakeJudge()
    graded, judgement = judge_writing(judge(backend), written(tmp_path))
    summary = summarise_writing(graded, 0, judgement)
    overall = summary["overall"]
    assert overall["s"]["value"] == pytest.approx((overall["s_l"]["value"] + overall["s_q"]["value"]) / 2)
    assert set(summary["dimensions"]) == set(LONGBENCH_WRITE.names)
    dimensions = [metric["value"] for metric in summary["dimensions"].values()]
    assert overall["s_q"]["value"] == pytest.approx(sum(dimensions) / 6)
    assert summary["judge"]["is_valid"] is True
    assert all(request.messages[0]["content"].count("word ") >= 50 for request in backend.asked)


def test_texts_without_a_verdict_are_left_out_of_quality_only(tmp_path: Path) -> None:
    good = json.dumps(dict.fromkeys(LONGBENCH_WRITE.names, 5))
    ones = written(tmp_path)
    script = {f"{ones[0].prompt.id}#0": ["no idea"], "*": [good]}
    graded, judgement = judge_writing(judge(ScriptedBackend(script)), ones)
    summary = summarise_writing(graded, 0, judgement)
    assert summary["overall"]["s_q"] == {"value": 1.0, "low": 1.0, "high": 1.0, "n": 4}
    assert summary["overall"]["s_l"]["n"] == 5
    assert "s_q" not in summary["by_bucket"]["[0,500)"]
    assert summary["judge"]["parse_error"] == 1
    assert summary["judge"]["is_valid"] is False


def test_longen_has_seven_dimensions(tmp_path: Path) -> None:
    rows = [{"query": "Write.", "type": "about", "constraint": "around 40 words", "language": "en", "range": "2-4k"}]
    one = measure_writing(load_longen(written_file(tmp_path, rows))[0], words(40), tokens=40, is_truncated=True)
    settings = JudgeConfig(backend="scripted", script="s")  # type: ignore[call-arg]
    graded, _ = judge_writing(Judge(settings, FakeJudge(LONGEN), LONGEN), [one])
    summary = summarise_writing(graded, 0)
    assert len(summary["dimensions"]) == 7
    assert summary["overall"]["truncation"]["value"] == pytest.approx(1.0)
    assert "s" not in summary["overall"]


def test_reasoning_counts_for_nothing(tmp_path: Path) -> None:
    (prompt, *_) = load_longbench_write(written_file(tmp_path, ROWS))
    one = measure_writing(prompt, f"<think>{words(900)}</think>{words(100)}", tokens=1, is_truncated=False)
    assert s_l(one.scored.length, one.scored.target) == pytest.approx(1.0)
    assert "think" not in one.scored.text


def test_refusals_are_counted(tmp_path: Path) -> None:
    (prompt, *_) = load_longbench_write(written_file(tmp_path, ROWS))
    texts = ("I'm sorry, I can't write that.", words(100))
    ones = [measure_writing(prompt, text, tokens=1, is_truncated=False) for text in texts]
    assert summarise_writing(ones, 0)["overall"]["refusal"]["value"] == pytest.approx(0.5)


def test_the_order_of_completions_does_not_matter(tmp_path: Path) -> None:
    ones = written(tmp_path)
    graded, judgement = judge_writing(judge(FakeJudge()), ones)
    assert summarise_writing(graded, 3, judgement) == summarise_writing(graded[::-1], 3, judgement)


def test_a_change_is_paired_by_prompt(tmp_path: Path) -> None:
    before, after = written(tmp_path), written(tmp_path, (100, 1000, 1000, 2000, 20000))
    change = compare_writing(before, after[:3], 0)
    assert change["s_l"]["value"] == pytest.approx(1 / 3)
    assert change["s_l"]["n"] == 3
    assert compare_writing(after, after, 0)["s_l"] == {"value": 0.0, "low": 0.0, "high": 0.0, "n": 5}
    with pytest.raises(ValueError, match="no prompt in common"):
        compare_writing(before[:1], after[1:], 0)


def test_nothing_is_not_zero() -> None:
    with pytest.raises(ValueError, match="no completions"):
        summarise_writing([], 0)


@needs_data
def test_the_benchmarks_own_rows() -> None:
    prompts = load_longbench_write(f"{DATA}/longwriter/longbench_write.jsonl")
    assert len(prompts) == 98
    # the published counts, but for the English rows of up to 500 words, which the development data leave out
    found = Counter(p.columns["bucket"] for p in prompts)
    assert (found["[2k,4k)"], found["[4k,20k]"]) == (31, 27)
    assert Counter(p.columns["language"] for p in prompts) == {"zh": 60, "en": 38}
    ruler = load_longbench_write(f"{DATA}/longwriter/longwrite_ruler.jsonl")
    assert Counter(p.target.value for p in ruler) == dict.fromkeys((1000, 2000, 5000, 10_000, 20_000, 30_000), 8)


@needs_data
def test_longens_own_rows() -> None:
    prompts = load_longen(f"{DATA}/self_lengthen/longen.jsonl")
    assert len(prompts) == 240
    assert Counter(p.columns["kind"] for p in prompts) == dict.fromkeys(("about", "range", "above", "below"), 60)
    assert Counter(p.target.relation for p in prompts)[Relation.RANGE] == 60
    assert all(1000 <= p.target.value <= 8000 for p in prompts)
