"""Length statistics of a prompt, and their table."""

from __future__ import annotations

import json
import os
import random
import statistics
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lengthctl.errors import DataError
from lengthctl.evaluate.distribution import is_looping, length_stats, measure_lengths
from lengthctl.evaluate.length_table import read_lengths, write_lengths
from lengthctl.length import Target
from lengthctl.rollout.backend import Request, Sampling
from lengthctl.rollout.prediction import LengthPredictor

DATA = os.environ.get("LENGTHCTL_DATA")
ONE_LOOPS = [*range(100, 181, 10), 2000]
SIZES = st.lists(st.integers(0, 5000), min_size=1, max_size=30)


def sample(prompt_id: str, size: int, **fields: Any) -> dict[str, Any]:
    return {
        "prompt_id": prompt_id,
        "target": Target(50).to_row(),
        "token_ids": list(range(size)),
        "finish": "eos",
        **fields,
    }


def test_one_looping_sample_rules_mean_and_deviation_but_not_the_median() -> None:
    stats = length_stats(ONE_LOOPS, limit=2000)
    assert stats.output_mean == pytest.approx(326)
    assert stats.output_std == pytest.approx(558.537, abs=5e-4)
    assert statistics.stdev(ONE_LOOPS) == pytest.approx(588.750, abs=5e-4)  # of the sample: not what is stored
    assert stats.output_percentiles == pytest.approx({"p25": 122.5, "p50": 145, "p75": 167.5, "p99": 1836.2})
    assert stats.variation == pytest.approx(1.7133, abs=5e-5)
    assert (stats.median, stats.mad, stats.shortest, stats.longest, stats.n) == (145, 25, 100, 2000, 10)
    assert (stats.at_limit, stats.looping, stats.degenerate) == (1, 0, 1)


def test_degenerate_counts_either_sign_once() -> None:
    stats = length_stats([10, 20, 30, 40], 40, looping=[False, True, False, True], cut=[True, False, False, False])
    assert (stats.at_limit, stats.looping, stats.degenerate) == (2, 2, 3)
    assert length_stats([0, 0]).variation is None


@pytest.mark.parametrize("bad", [{"sizes": []}, {"sizes": [3, -1]}, {"sizes": [3, 4], "looping": [True]}])
def test_what_is_no_length_is_refused(bad: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"whole numbers|longer|shorter"):
        length_stats(**bad)


@given(SIZES, st.randoms(use_true_random=False))
def test_order_does_not_matter(sizes: list[int], rng: random.Random) -> None:
    mixed = rng.sample(sizes, len(sizes))
    one, other = length_stats(sizes, 4000), length_stats(mixed, 4000)
    assert {**one.__dict__, "output_sizes": ()} == {**other.__dict__, "output_sizes": ()}


@given(SIZES)
def test_percentiles_rise_within_the_range(sizes: list[int]) -> None:
    import numpy as np

    stats = length_stats(sizes)
    found = list(stats.output_percentiles.values())
    assert [stats.shortest, *found, stats.longest] == sorted([stats.shortest, *found, stats.longest])
    assert found == pytest.approx(np.percentile(sizes, [25, 50, 75, 99]).tolist())
    assert stats.output_percentiles["p50"] == pytest.approx(stats.median)
    assert stats.output_std == pytest.approx(float(np.std(sizes)))


@given(st.lists(st.integers(100, 200), min_size=5, max_size=20))
def test_a_looping_sample_moves_the_median_within_the_others(sizes: list[int]) -> None:
    before, after = length_stats(sizes), length_stats([*sizes, 15_000])
    ordered = sorted(sizes)
    middle = len(ordered) // 2
    assert ordered[middle - 1] <= after.median <= ordered[min(middle + 1, len(ordered) - 1)]
    assert after.output_mean - before.output_mean > 600
    assert after.mad <= 100


def test_a_loop_is_told_from_a_text() -> None:
    text = list(range(300))
    assert is_looping([*text, *([1, 2, 3, 4, 5] * 200)])
    assert is_looping([7] * 64)
    assert not is_looping(text)
    assert not is_looping([*text, *text[:100]])  # a quotation
    assert not is_looping([7] * 20)
    assert not is_looping([])


def test_samples_become_one_row_a_prompt_and_target() -> None:
    rows = [
        sample("a", 10),
        sample("a", 30),
        sample("a", 64, token_ids=[5] * 64, finish="limit"),
        sample("a", 20, target=Target(80).to_row()),
        sample("b", 0, token_ids=[], tokens=12),  # an endpoint tells the number alone
        sample("b", 9, finish="error"),
    ]
    first, second, third = measure_lengths(rows, model="m", limit=None)
    assert (first.prompt_id, first.target, first.stats.output_sizes) == ("a", Target(50), (10, 30, 64))
    assert (first.stats.at_limit, first.stats.looping, first.stats.degenerate) == (1, 1, 1)
    assert (second.target, second.stats.n) == (Target(80), 1)
    assert third.stats.output_sizes == (12,)
    with pytest.raises(DataError, match="sample 1 has no prompt_id"):
        measure_lengths([{"token_ids": [1]}], model="m", limit=8)


def test_the_table_round_trips_with_its_metadata(tmp_path: Path) -> None:
    import pyarrow.parquet as pq

    path = tmp_path / "new" / "lengths.parquet"
    rows = [sample("a", 10), sample("a", 64), sample("b", 7, target=None)]
    written = write_lengths(path, rows, model="m", temperature=0.7, top_p=0.9, limit=64)
    assert read_lengths(path) == written
    schema = pq.read_schema(path)
    told = {key.decode(): json.loads(value) for key, value in schema.metadata.items() if key != b"ARROW:schema"}
    assert told["schema"] == 1
    assert (told["unit"], told["std"], told["model"]) == ("tokens", "population", "m")
    assert (told["temperature"], told["top_p"], told["limit"]) == (0.7, 0.9, 64)
    assert {"output_sizes", "output_mean", "output_std", "output_percentiles", "temp", "top_p"} <= set(schema.names)
    assert [p.name for p in path.parent.iterdir()] == [path.name]
    with pytest.raises(DataError, match="no completions"):
        write_lengths(path, [], model="m", temperature=1.0, top_p=1.0, limit=None)


def test_a_table_tells_a_scheduler_what_to_expect(tmp_path: Path) -> None:
    path = tmp_path / "lengths.parquet"
    rows = [sample("a", n) for n in (90, 100, 110)]
    write_lengths(path, rows, model="m", temperature=1.0, top_p=1.0, limit=500)
    past = [row.past() for row in read_lengths(path)]
    predictor = LengthPredictor.from_history(past, prompt_of=lambda r: r.group)
    asked = Request("x", (1,), Sampling(max_tokens=500), group="a|50", target=Target(50))
    assert predictor.expect(asked) == 100


def test_castillos_files_are_read(tmp_path: Path) -> None:
    row = {"prompt_id": "a", "model": "m", "dataset": "D", "input_size": 9, "output_sizes": [5, 15], "temp": 1.0}
    for name, text in (("t.json", json.dumps([row])), ("t.jsonl", json.dumps(row) + "\n")):
        (tmp_path / name).write_text(text, encoding="utf-8")
    (tmp_path / "t.csv").write_text("prompt_id,model,dataset,prompt_tokens,lengths\na,m,D,9,5 15\n", encoding="utf-8")
    for name in ("t.json", "t.jsonl", "t.csv"):
        (found,) = read_lengths(tmp_path / name, limit=15)
        assert (found.prompt_id, found.dataset, found.input_size) == ("a", "D", 9)
        assert (found.stats.output_mean, found.stats.at_limit) == (10, 1)


@pytest.mark.parametrize(
    ("name", "text", "says"),
    [
        ("t.csv", "prompt_id,size\na,3\n", "no column model, output_sizes; it has prompt_id, size"),
        ("t.csv", "prompt_id,model,lengths\na,m,3 x\n", "row 1 does not fit"),
        ("t.csv", "prompt_id,model,lengths\n", "has no rows"),
        ("t.json", '[{"prompt_id": "a", "model": "m", "output_sizes": [3.5]}]', "row 1 does not fit"),
        ("t.json", '[{"prompt_id": "a", "model": "m", "output_sizes": []}]', "row 1 does not fit"),
        ("t.json", "{", "cannot be read"),
        ("t.parquet", "no table", "cannot be read"),
    ],
)
def test_bad_tables_are_refused_with_what_was_found(tmp_path: Path, name: str, text: str, says: str) -> None:
    (tmp_path / name).write_text(text, encoding="utf-8")
    with pytest.raises(DataError, match=says):
        read_lengths(tmp_path / name)


def test_a_missing_file_and_a_newer_layout_are_refused(tmp_path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    with pytest.raises(DataError, match="cannot be read"):
        read_lengths(tmp_path / "none.csv")
    table = pa.table({"prompt_id": ["a"], "model": ["m"], "output_sizes": [[1]]})
    pq.write_table(table.replace_schema_metadata({"schema": "2"}), tmp_path / "new.parquet")
    with pytest.raises(DataError, match="layout 2"):
        read_lengths(tmp_path / "new.parquet")


@pytest.mark.skipif(DATA is None, reason="LENGTHCTL_DATA does not name the folder of development data")
def test_published_means_and_deviations_come_out() -> None:
    import csv

    path = Path(str(DATA)) / "castillo" / "lengths_test.csv"
    rows = read_lengths(path, limit=15_000)
    with path.open(encoding="utf-8", newline="") as file:
        for row, published in list(zip(rows, csv.DictReader(file), strict=True))[::5]:
            assert row.stats.output_mean == pytest.approx(float(published["mean"]), abs=0.051)
            assert row.stats.output_std == pytest.approx(float(published["std"]), abs=0.0051)
    assert sum(row.stats.at_limit for row in rows) == 106
