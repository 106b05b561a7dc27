"""TLG: Ruler's golden vectors, its published counts, its draw, and the open set."""

from __future__ import annotations

import json
import os
from collections import Counter
from pathlib import Path

import pytest

from lengthctl.evaluate.tlg import LEVELS, TARGETS, Hits, build_tlg_open, draw_tlg, tlg_hits, tlg_name, tlg_summary
from lengthctl.length import BandKind, Relation, Target, ruler_band
from lengthctl.prompts import SeedPrompt
from lengthctl.scoring import Scored

GOLDEN = json.loads((Path(__file__).parents[2] / "golden" / "tlg.json").read_text(encoding="utf-8"))
RESPONSES = [(TARGETS[name], length) for name, length in GOLDEN["responses"]]


def seed_prompt(name: str) -> SeedPrompt:
    return SeedPrompt(name, ({"role": "system", "content": "s"}, {"role": "user", "content": f"ask {name}"}))


@pytest.mark.parametrize("name", GOLDEN["bands"])
def test_golden_bands(name: str) -> None:
    for length, expected in GOLDEN["bands"][name].items():
        scored = Scored("p", TARGETS[name], int(length), 0, False, "")
        assert "".join("FT"[hit] for hit in (scored.pm, scored.fm)) == expected, length


def test_golden_levels_are_micro_averages() -> None:
    hits = tlg_hits(RESPONSES)
    for level, expected in GOLDEN["levels"].items():
        assert hits[level] == Hits(*expected)
    assert hits["50"] is None
    overall = hits["All Level"]
    assert overall is not None
    assert (round(100 * overall.pm, 2), round(100 * overall.fm, 2)) == (46.67, 73.33)


def test_an_empty_level_is_none_and_other_targets_are_left_out() -> None:
    hits = tlg_hits([(Target(10), 12), (Target(11), 11), (Target(10, Relation.AT_MOST), 9)])
    assert hits["Level:0"] == hits["All Level"] == Hits(1, 1, 1)
    assert hits["Level:1"] is hits["Level:2"] is hits["700"] is None


def ends(interval: list[float]) -> dict[str, list[float]]:
    return {"pm_interval": interval, "fm_interval": interval}


def test_truncated_texts_are_counted_both_ways() -> None:
    rows = [Scored(name, TARGETS[">800"], 900, 900, cut, "") for name, cut in (("p", True), ("q", False))]
    summary = tlg_summary(rows, seed=1)
    assert summary["as_ruler"][">800"] == {"n": 2, "pm": 1.0, "fm": 1.0, **ends([1.0, 1.0])}
    assert summary["truncated_is_no_hit"][">800"] == {"n": 2, "pm": 0.5, "fm": 0.5, **ends([0.0, 1.0])}
    assert summary["as_ruler"]["10"] is None


def test_draw_gives_rulers_counts_by_target() -> None:
    drawn = draw_tlg([seed_prompt("0")] * GOLDEN["draw"]["prompts"])
    counts = Counter(str(tlg_name(prompt.target)) for prompt in drawn)
    assert counts == {name: GOLDEN["draw"][name] for name in TARGETS}


def test_draw_takes_each_prompt_once() -> None:
    drawn = draw_tlg([seed_prompt(str(i)) for i in range(50)], seed=1, size=20)
    assert len({prompt.seed_id for prompt in drawn}) == len(drawn) == 20


def test_open_set_is_balanced_and_in_rulers_form() -> None:
    prompts = build_tlg_open([seed_prompt("a"), seed_prompt("b")])
    assert Counter(tlg_name(p.target) for p in prompts) == dict.fromkeys(TARGETS, 2)
    assert len({p.id for p in prompts}) == 18
    by_id = {p.id: p for p in prompts}
    for key, number in (("a|30", "30"), ("a|>800", "more than 800")):
        system, user = by_id[key].messages
        request, _, sentence = user["content"].partition("\n")
        assert (system["content"], request) == ("s", "ask a")
        assert f" {number} words" in sentence
        assert sentence.endswith(".")


@pytest.mark.skipif("LENGTHCTL_DATA" not in os.environ, reason="LENGTHCTL_DATA does not name the development data")
def test_published_counts_are_reproduced() -> None:
    path = Path(os.environ["LENGTHCTL_DATA"]) / "ruler" / "published_tlg_results.jsonl"
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    models = sorted({(row["setting"], row["model"]) for row in rows})
    assert len(models) == 27
    for key in models:
        published = {row["name"]: row for row in rows if (row["setting"], row["model"]) == key}
        hits = tlg_hits([pair for name in TARGETS for pair in as_published(published[name])])
        for name in (*TARGETS, *LEVELS, "All Level"):
            row, found = published[name], hits[name]
            assert found is not None
            assert (found.pm_hits, found.n - found.pm_hits) == (row["pm_in"], row["pm_out"])
            assert (found.fm_hits, found.n - found.fm_hits) == (row["fm_in"], row["fm_out"])
            assert 100 * found.pm == pytest.approx(row["pm"], abs=0.02)
            assert 100 * found.fm == pytest.approx(row["fm"], abs=0.02)


def as_published(row: dict[str, int]) -> list[tuple[Target, int]]:
    """Lengths that hit as often as a published row says: at the band's end, between the bands, outside both."""
    target = TARGETS[str(row["name"])]
    precise, flexible = ruler_band(target, BandKind.PRECISE), ruler_band(target, BandKind.FLEXIBLE)
    spread = [precise.low] * row["pm_in"] + [flexible.low] * (row["fm_in"] - row["pm_in"])
    return [(target, length) for length in spread + [flexible.low - 1] * row["fm_out"]]
