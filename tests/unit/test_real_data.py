"""Real prompts and published tables, read from the folder that `LENGTHCTL_DATA` names."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from lengthctl.config import PromptsConfig
from lengthctl.length import BandKind, Relation, Target, ruler_band
from lengthctl.prompt_sources import load_seed_prompts
from lengthctl.prompts import build_length_prompts

DATA = os.environ.get("LENGTHCTL_DATA")
pytestmark = pytest.mark.skipif(DATA is None, reason="LENGTHCTL_DATA does not name the folder of development data")


def rows(name: str) -> list[dict[str, Any]]:
    with (Path(str(DATA)) / name).open(encoding="utf-8") as file:
        return [json.loads(line) for line in file]


def test_bands_are_those_of_rulers_table() -> None:
    checked = 0
    for row in rows("ruler/mlt_table.jsonl"):
        if row["target"].startswith(">"):
            target = Target(int(row["target"].lstrip(">")) + 1, relation=Relation.AT_LEAST)
        else:
            target = Target(int(row["target"]))
        for kind, key in ((BandKind.PRECISE, "pm_range"), (BandKind.FLEXIBLE, "fm_range")):
            low, high = row[key]
            band = ruler_band(target, kind)
            middle = (low + (high or 2000)) // 2
            assert middle in band, (row["target"], key)
            assert high is None or high + 1 not in band, (row["target"], key)
            assert low == 0 or low - 1 not in band, (row["target"], key)
            checked += 1
    assert checked == 18


@pytest.mark.parametrize("name", ["vicuna_bench/questions.jsonl", "ifeval_prompts/prompts.jsonl"])
def test_real_prompt_files_are_split_without_loss(name: str) -> None:
    config = PromptsConfig(source=str(Path(str(DATA)) / name))
    train, held_out = load_seed_prompts(config, "train"), load_seed_prompts(config, "eval")
    texts = {" ".join(row["prompt"].split()) for row in rows(name)}
    found = [" ".join(s.messages[-1]["content"].split()) for s in (*train, *held_out)]
    assert set(found) == texts
    assert 0.04 < len(held_out) / len(found) < 0.2
    prompts = build_length_prompts(held_out, [Target(50)], wordings=None, seed=1)
    assert all("about 50 words" in p.messages[-1]["content"] for p in prompts)
