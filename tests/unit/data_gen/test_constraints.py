"""Demands are true of the texts that they are put before, in all kinds, units and wordings."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lengthctl.data_gen.constraints import (
    KINDS,
    ConstraintSettings,
    constrained,
    draw_true_target,
    is_true_of,
    round_length,
    step_of,
)
from lengthctl.data_gen.filters import DropReason
from lengthctl.data_gen.stated_length import find_stated_length
from lengthctl.length import Relation, Target, Unit, count_length
from lengthctl.scoring import longen_score

GOLDEN = json.loads((Path(__file__).parents[2] / "golden" / "stated_lengths.json").read_text(encoding="utf-8"))
UNITS = [Unit.WORDS_MIXED, Unit.CHARACTERS, Unit.SENTENCES]


@pytest.mark.parametrize("case", GOLDEN["rounding"], ids=lambda case: f"{case['length']}/{case['step']}")
def test_rounding(case: dict[str, int]) -> None:
    assert tuple(round_length(case["length"], case["step"])) == (case["nearest"], case["floor"], case["ceil"])


def test_steps_scale_with_the_length() -> None:
    lengths = [1, 7, 8, 20, 79, 80, 199, 200, 799, 800, 1999, 2000, 7999, 8000, 20_000]
    steps = [1, 1, 2, 10, 10, 20, 20, 100, 100, 200, 200, 1000, 1000, 2000, 10_000]
    assert list(map(step_of, lengths)) == steps


def test_what_is_true() -> None:
    at_least = Target(2000, Relation.AT_LEAST)
    assert [is_true_of(at_least, n) for n in (1999, 2000, 3000, 3001)] == [False, True, True, False]
    about = Target(1000, Relation.ABOUT, tolerance=0.2)
    assert [is_true_of(about, n) for n in (799, 800, 1200, 1201)] == [False, True, True, False]


@given(st.integers(1, 200_000), st.sampled_from(list(KINDS)), st.integers(0, 10**6))
def test_every_length_gets_a_true_demand_of_every_kind(length: int, kind: Relation, seed: int) -> None:
    target = draw_true_target(length, Unit.WORDS_MIXED, Random(seed), {kind: 1.0})
    assert target is not None
    assert target.relation is kind
    assert length in target.band
    assert longen_score(length, target) == 1.0


def test_shares_of_kinds_and_round_numbers() -> None:
    rng = Random(0)
    drawn = [draw_true_target(3217, Unit.WORDS_MIXED, rng) for _ in range(2000)]
    targets = [target for target in drawn if target is not None]
    counts = Counter(target.relation for target in targets)
    for kind, share in KINDS.items():
        assert abs(counts[kind] / 2000 - share) < 0.04
    assert all(target.value % 100 == 0 for target in targets)


def test_an_empty_text_has_none() -> None:
    assert draw_true_target(0, Unit.WORDS_MIXED, Random(0)) is None


ENGLISH = {"id": "a", "prompt": "Write about Rome", "completion": "Rome is old. " * 70, "source": "here"}
CHINESE = {"id": "b", "prompt": "写一篇关于罗马的文章", "completion": "罗马是一座古老的城市。" * 50, "source": "here"}


@pytest.mark.parametrize("row", [ENGLISH, CHINESE], ids=["en", "zh"])
@pytest.mark.parametrize("unit", UNITS)
def test_rows_ask_for_what_they_have(row: dict[str, Any], unit: Unit) -> None:
    wordings = set()
    for seed in range(40):
        made = constrained(row, ConstraintSettings(units=(unit,), seed=seed))
        assert isinstance(made, dict)
        target = Target.parse(made["target"])
        asked = made["prompt"][-1]["content"]
        assert find_stated_length(asked) == target
        assert made["length"] == count_length(row["completion"], unit) in target.band
        assert made["completion"] == [{"role": "assistant", "content": row["completion"]}]
        assert row["prompt"] in asked
        assert made["demand"] in asked
        assert (made["id"], made["source"]) == (row["id"], "here")
        wordings.add(asked.replace(made["demand"], "{demand}"))
    assert len(wordings) >= 5


def test_chinese_requests_get_both_kinds_of_numbers() -> None:
    demands = [constrained(CHINESE, ConstraintSettings(seed=seed)) for seed in range(40)]
    said = [made["demand"] for made in demands if isinstance(made, dict)]
    with_digits = sum(any(map(str.isdigit, demand)) for demand in said)
    assert 8 < with_digits < 32
    assert all("字" in demand for demand in said)


def test_the_draw_depends_on_seed_and_content_alone() -> None:
    settings = ConstraintSettings(units=tuple(UNITS), seed=5)
    assert constrained(ENGLISH, settings) == constrained({**ENGLISH, "id": "other"}, settings) | {"id": "a"}  # type: ignore[operator]
    seeds = {json.dumps(constrained(ENGLISH, ConstraintSettings(seed=seed))) for seed in range(10)}
    assert len(seeds) > 3


def test_a_length_that_is_asked_already() -> None:
    false = {**ENGLISH, "prompt": "Write 5,000 words about Rome."}
    made = constrained(false, ConstraintSettings())
    assert isinstance(made, dict)
    assert "5,000" not in made["prompt"][-1]["content"]
    assert find_stated_length(made["prompt"][-1]["content"]) == Target.parse(made["target"])
    kept = constrained({**ENGLISH, "prompt": "Write about 200 words on Rome."}, ConstraintSettings(keep_stated=True))
    assert isinstance(kept, dict)
    assert kept["prompt"][-1]["content"] == "Write about 200 words on Rome."
    assert (kept["demand"], kept["target"]["relation"]) == (None, "about")
    assert kept["length"] == 210
    replaced = constrained(false, ConstraintSettings(keep_stated=True))
    assert isinstance(replaced, dict)
    assert replaced["demand"] is not None


def test_rows_without_a_true_demand() -> None:
    assert constrained({**ENGLISH, "completion": ""}, ConstraintSettings()) is DropReason.NO_COMPLETION
    assert constrained({**ENGLISH, "completion": "..."}, ConstraintSettings()) is DropReason.NO_TRUE_DEMAND
    assert constrained(ENGLISH, ConstraintSettings(min_length=10_000)) is DropReason.NO_TRUE_DEMAND
    assert constrained({**CHINESE, "prompt": "写一篇两千字的文章"}, ConstraintSettings()) is DropReason.LENGTH_DEMAND


def test_tokens_need_a_tokenizer() -> None:
    class Characters:
        def encode(self, text: str, *, add_special_tokens: bool) -> list[int]:
            return list(map(ord, text))

    settings = ConstraintSettings(units=(Unit.TOKENS,))
    with pytest.raises(ValueError, match="tokenizer"):
        constrained(ENGLISH, settings)
    made = constrained(ENGLISH, settings, tokenizer=Characters())
    assert isinstance(made, dict)
    assert made["length"] == len(ENGLISH["completion"])


@pytest.mark.parametrize(
    "arguments",
    [{"units": ()}, {"kinds": {}}, {"kinds": {Relation.ABOUT: -1}}, {"kinds": {Relation.ABOUT: 0}}, {"seed": -1}],
)
def test_settings_out_of_range(arguments: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"found|needs"):
        ConstraintSettings(**arguments)
