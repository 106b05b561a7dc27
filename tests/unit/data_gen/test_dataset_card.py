"""The dataset card: its numbers add up, and it can be read by machines."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ruamel.yaml import YAML

from lengthctl.data_gen.dataset_card import DatasetFacts, LabelFacts, SourceFacts, dataset_card, length_histogram
from lengthctl.data_gen.filters import DropReason

FACTS = DatasetFacts(
    title="A | set",
    about="Rows.",
    sources=(
        SourceFacts("a|b", 10, 5, {DropReason.EMPTY: 2, DropReason.OVER_QUOTA: 3}, ("mit",)),
        SourceFacts("c", 4, 1, {DropReason.EMPTY: 3}, ("cc0-1.0",)),
    ),
    labels=(LabelFacts("[MLT:10]", 8, 5), LabelFacts("[MLT:>800]", 1, 1)),
    lengths=length_histogram([6, 7, 8, 9, 10, 900]),
    unit="words",
    seed=3,
    command="lengthctl data `x`",
    versions={"lengthctl": "0"},
    settings={"seed": 3, "cap": 5},
    files={"mlt": "train.jsonl", "vanilla": "vanilla.jsonl"},
)


def front_matter(card: str) -> dict[str, Any]:
    found: dict[str, Any] = YAML(typ="safe", pure=True).load(card.split("---\n")[1])
    return found


def test_card() -> None:
    card = dataset_card(FACTS)
    head = front_matter(card)
    assert head["license"] == ["cc0-1.0", "mit"]
    assert head["configs"][0] == {"config_name": "mlt", "data_files": "train.jsonl", "default": True}
    for line in (
        "6 rows of 14 read.",
        "| a\\|b | mit | 10 | 5 |",
        f"| empty: {DropReason.EMPTY.meaning} | 2 | 3 |",
        f"| over_quota: {DropReason.OVER_QUOTA.meaning} | 3 | 0 |",
        "| [MLT:>800] | 1 | 1 |",
        "| 6-10 | 5 |",
        "- Seed: 3",
        "- Command: `lengthctl data 'x'`",
        "- cap: `5`",
    ):
        assert line in card
    assert "near_duplicate" not in card


def test_an_unknown_licence_is_not_guessed() -> None:
    first, second = FACTS.sources
    card = dataset_card(replace(FACTS, sources=(first, replace(second, licences=()))))
    assert "license" not in front_matter(card)
    assert "| c | not stated | 4 | 1 |" in card


def test_numbers_that_do_not_add_up_are_refused() -> None:
    with pytest.raises(ValueError, match="are not 5 rows"):
        SourceFacts("a", 5, 3, {DropReason.EMPTY: 1})
    with pytest.raises(ValueError, match="classes sum to 7"):
        replace(FACTS, labels=(LabelFacts("x", 9, 7),))
    with pytest.raises(ValueError, match="lengths sum to 1"):
        replace(FACTS, lengths={"1-5": 1})


def test_row_is_json() -> None:
    row = json.loads(json.dumps(FACTS.to_row()))
    assert row["used"] == 6
    assert row["sources"][0]["dropped"] == {"empty": 2, "over_quota": 3}


@given(st.lists(st.integers(0, 50_000)))
def test_histogram_counts_each_length_once(lengths: list[int]) -> None:
    found = length_histogram(lengths)
    assert sum(found.values()) == len(lengths)
    for length in lengths:
        assert _count(found, length) > 0


def _count(found: Mapping[str, int], length: int) -> int:
    for name, n in found.items():
        low, _, high = name.partition("-")
        ends = (int(name[1:]) + 1, length) if name.startswith(">") else (int(low), int(high or low))
        if ends[0] <= length <= ends[1]:
            return n
    return 0
