"""Demands that are true of their texts, written as a data set."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lengthctl.data_gen.constrained_data import build_constrained_data
from lengthctl.data_gen.constraints import ConstraintSettings
from lengthctl.data_gen.decontamination import Contamination
from lengthctl.length import Target, Unit, count_length


def write(path: Path, rows: list[dict[str, Any]]) -> str:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return str(path)


def rows_of(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "train.jsonl").read_text(encoding="utf-8").splitlines()]


def row(topic: str, words: int, **more: Any) -> dict[str, Any]:
    return {"prompt": f"Tell of {topic}.", "completion": " ".join(["word"] * (words - 1) + ["end."]), **more}


@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    st.lists(st.integers(1, 5000), min_size=1, max_size=6, unique=True),
    st.sampled_from([(Unit.WORDS_MIXED,), (Unit.WORDS, Unit.CHARACTERS, Unit.SENTENCES)]),
    st.integers(0, 5),
)
def test_every_demand_is_true(tmp_path_factory: Any, lengths: list[int], units: tuple[Unit, ...], seed: int) -> None:
    folder = tmp_path_factory.mktemp("c")
    source = write(folder / "in.jsonl", [row(f"topic {n}", n, junk={}) for n in lengths])
    stats = build_constrained_data([source], ConstraintSettings(units=units, seed=seed), folder / "o")
    found = rows_of(folder / "o")
    assert stats["used"] + sum(n for s in stats["sources"] for n in s["dropped"].values()) == len(lengths)
    for one in found:
        target = Target.parse(one["target"])
        text = one["completion"][0]["content"]
        assert one["length"] == count_length(text, target.unit)
        assert one["length"] in target.band
        assert one["demand"] in one["prompt"][-1]["content"]
        assert "junk" not in one


def test_what_is_left_out_is_counted(tmp_path: Path) -> None:
    rows = [
        row("rain", 300),
        row("rain", 300),
        row("snow", 40),
        row("held out", 500),
        {"prompt": "p", "completion": ""},
    ]
    source = write(tmp_path / "in.jsonl", rows)
    kept_out = Contamination(["Tell of held out."], n=2)
    settings_ = ConstraintSettings(min_length=100)
    stats = build_constrained_data([source], settings_, tmp_path / "o", contamination=kept_out, command="lengthctl x")
    (told,) = stats["sources"]
    assert told["dropped"] == {"exact_duplicate": 1, "no_true_demand": 1, "contaminated": 1, "no_completion": 1}
    assert [one["words"] for one in rows_of(tmp_path / "o")] == [300]
    assert stats["settings"]["kinds"]["about"] == 0.4
    assert stats["command"] == "lengthctl x"


def test_a_limit_is_of_each_source(tmp_path: Path) -> None:
    sources = [write(tmp_path / f"{name}.jsonl", [row(f"{name} {i}", 300) for i in range(5)]) for name in "ab"]
    build_constrained_data(sources, ConstraintSettings(), tmp_path / "o", limit=2)
    assert [Path(one["source"]).stem for one in rows_of(tmp_path / "o")] in (list("aabb"), list("abab"), list("abba"))
