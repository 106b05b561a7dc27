"""Mixing: every long row once, general ones by the ratio, shuffled the same way whatever the order of the sources."""

from __future__ import annotations

import json
import random
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lengthctl.data_gen.decontamination import Contamination
from lengthctl.data_gen.instruction_data import Instructions, read_instructions
from lengthctl.data_gen.mixing import MixSettings, mix_data
from lengthctl.errors import DataError


def source(folder: Path, name: str, rows: list[dict[str, Any]]) -> Instructions:
    path = folder / f"{name}.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return read_instructions(path, name=name, licence="mit")


def row(topic: str, number: int, **more: Any) -> dict[str, Any]:
    return {"prompt": f"Tell of {topic} {number}.", "completion": f"{topic} number {number} is told of here.", **more}


def mixed(out: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (out / "train.jsonl").read_text(encoding="utf-8").splitlines()]


def test_twenty_general_rows_for_each_long_one(tmp_path: Path) -> None:
    asked = {"value": 7, "relation": "exact", "unit": "words"}
    long = source(tmp_path, "long", [row("rain", i, target=asked, plan=["x"], other={}) for i in range(4)])
    general = source(tmp_path, "general", [row("snow", i) for i in range(300)])
    stats = mix_data([long], [general], MixSettings(), tmp_path / "o", command="lengthctl data mix")
    rows = mixed(tmp_path / "o")
    assert Counter(one["part"] for one in rows) == {"long": 4, "general": 80}
    assert stats["measured"] == {"long": 4, "general": 80}
    assert {s["name"]: s["dropped"] for s in stats["sources"]} == {"general": {"over_quota": 220}, "long": {}}
    places = [place for place, one in enumerate(rows) if one["part"] == "long"]
    assert max(places) > 20, "long rows stand among the others"
    of_long = next(one for one in rows if one["part"] == "long")
    assert of_long["target"]["value"] == 7
    assert of_long["plan"] == ["x"]
    assert of_long["words"] == 7
    assert of_long["licence"] == "mit"
    assert "other" not in of_long


def test_general_rows_that_are_too_few_are_all_used(tmp_path: Path) -> None:
    long = source(tmp_path, "long", [row("rain", i) for i in range(4)])
    general = source(tmp_path, "general", [row("snow", i) for i in range(3)])
    stats = mix_data([long], [general], MixSettings(), tmp_path / "o")
    assert stats["measured"] == {"long": 4, "general": 3}
    alone = mix_data([long], [general], MixSettings(ratio=0), tmp_path / "p")
    assert alone["measured"] == {"long": 4, "general": 0}


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    st.lists(st.integers(0, 12), min_size=1, max_size=8),
    st.lists(st.integers(0, 20), max_size=20),
    st.sampled_from([0.0, 0.5, 1.0, 2.5, 20.0]),
    st.integers(0, 3),
    st.randoms(use_true_random=False),
)
def test_the_mixture_hangs_on_content_alone(
    tmp_path_factory: Any,
    long_numbers: list[int],
    general_numbers: list[int],
    ratio: float,
    seed: int,
    rng: random.Random,
) -> None:
    found = []
    for _ in range(2):
        folder = tmp_path_factory.mktemp("m")
        long = source(folder, "long", [row("rain", i) for i in long_numbers])
        # the first numbers are also long rows: they are used as such
        general = source(folder, "general", [row("rain", 0), *(row("snow", i) for i in general_numbers)])
        stats = mix_data([long], [general], MixSettings(ratio, seed), folder / "o")
        rows = mixed(folder / "o")
        found.append([(one["prompt"][0]["content"], one["part"]) for one in rows])
        wanted, there = len(set(long_numbers)), {f"snow {i}" for i in general_numbers} | {"rain 0"}
        there -= {"rain 0"} if 0 in long_numbers else set()
        assert stats["measured"] == {"long": wanted, "general": min(round(ratio * wanted), len(there))}
        read = {s["name"]: s["rows"] for s in stats["sources"]}
        assert read == {"long": len(long_numbers), "general": len(general_numbers) + 1}
        rng.shuffle(long_numbers)
        rng.shuffle(general_numbers)
    assert found[0] == found[1]
    assert len(set(found[0])) == len(found[0])


def test_another_seed_draws_other_rows(tmp_path: Path) -> None:
    long = source(tmp_path, "long", [row("rain", 0)])
    general = source(tmp_path, "general", [row("snow", i) for i in range(200)])
    drawn = []
    for seed in (0, 1):
        mix_data([long], [general], MixSettings(seed=seed), tmp_path / str(seed))
        drawn.append({one["id"] for one in mixed(tmp_path / str(seed))})
    assert len(drawn[0] & drawn[1]) < 15


def test_evaluation_prompts_and_rows_that_are_none_are_counted(tmp_path: Path) -> None:
    rows = [row("rain", 0), row("rain", 1), {"prompt": "No answer.", "completion": ""}]
    kept_out = Contamination(["Tell of rain 1."])
    stats = mix_data([source(tmp_path, "long", rows)], [], MixSettings(), tmp_path / "o", contamination=kept_out)
    assert stats["sources"][0]["dropped"] == {"contaminated": 1, "no_completion": 1}
    assert [one["prompt"][0]["content"] for one in mixed(tmp_path / "o")] == ["Tell of rain 0."]


def test_one_id_for_two_rows_of_a_source_is_no_fault(tmp_path: Path) -> None:
    rows = [row("rain", i, id="same") for i in range(3)]
    mix_data([source(tmp_path, "long", rows)], [], MixSettings(), tmp_path / "o")
    ids = [one["id"] for one in mixed(tmp_path / "o")]
    assert len(set(ids)) == 3
    assert "same" in ids


def test_a_source_that_changes_is_told_and_leaves_nothing(tmp_path: Path) -> None:
    long = source(tmp_path, "long", [row("rain", i) for i in range(3)])

    def change(read: int) -> None:
        if read == 3:
            source(tmp_path, "long", [row("rain", i) for i in (0, 1, 9)])

    with pytest.raises(DataError, match="changed while it was read"):
        mix_data([long], [], MixSettings(), tmp_path / "o", on_row=change)
    assert not list((tmp_path / "o").iterdir())


def test_settings_and_sources_that_are_none_are_refused(tmp_path: Path) -> None:
    for ratio in (-1.0, float("nan"), float("inf")):
        with pytest.raises(ValueError, match="a ratio is a number from 0"):
            MixSettings(ratio)
    long = source(tmp_path, "long", [row("rain", 0)])
    with pytest.raises(ValueError, match="same name"):
        mix_data([long], [long], MixSettings(), tmp_path / "o")
