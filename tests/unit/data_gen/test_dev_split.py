"""The parts of HelloBench: stable, disjoint, and the same for every variant of a prompt."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lengthctl.data_gen.dev_split import Part, hellobench_prompts, part_of
from lengthctl.errors import DataError


def test_the_parts_of_some_prompts_are_these_for_ever() -> None:
    names = [f"heuristic_text_generation_{i:03}" for i in range(6)]
    found = {name[-3:]: str(part_of(name)) for name in names}
    assert found == {
        "000": "development",
        "001": "data",
        "002": "data",
        "003": "data",
        "004": "development",
        "005": "data",
    }


def test_three_fifths_one_fifth_one_fifth() -> None:
    counts = Counter(part_of(f"prompt_{i}") for i in range(5000))
    assert set(counts) == set(Part)
    for part, share in ((Part.DATA, 0.6), (Part.DEVELOPMENT, 0.2), (Part.TEST, 0.2)):
        assert counts[part] / 5000 == pytest.approx(share, abs=0.03)


def write(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def row(name: str, **more: Any) -> dict[str, Any]:
    return {
        "id": name,
        "part": "heuristic",
        "category": "essay",
        "min_words": None,
        "instruction": f"Do {name}.",
        **more,
    }


@given(st.lists(st.text(st.characters(codec="utf-8"), min_size=1, max_size=12), unique=True, max_size=20))
def test_every_prompt_is_in_one_part(tmp_path_factory: Any, names: list[str]) -> None:
    path = write(tmp_path_factory.mktemp("h") / "prompts.jsonl", [row(name) for name in names])
    found = [one["id"] for part in Part for one in hellobench_prompts(path, part)]
    assert sorted(found) == sorted(names)


def test_prompts_that_name_a_length_are_left_out(tmp_path: Path) -> None:
    rows = [
        row("a"),
        row("b", instruction=" Write an essay of 500 words. "),
        row("c", min_words=2000),
        row("d", instruction=" Plain. "),
    ]
    path = write(tmp_path / "prompts.jsonl", rows)
    found = {one["id"]: one for part in Part for one in hellobench_prompts(path, part)}
    assert set(found) == {"a", "d"}
    assert found["d"] == {"id": "d", "prompt": "Plain.", "topic": "essay"}


def test_a_file_of_another_form_is_told(tmp_path: Path) -> None:
    path = write(tmp_path / "prompts.jsonl", [{"prompt": "x"}])
    with pytest.raises(DataError, match=r"prompts.jsonl:1: HelloBench's rows"):
        list(hellobench_prompts(path, Part.DATA))
