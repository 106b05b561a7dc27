"""Texts for preference pairs: requests found in what was asked, records read, and what is left out counted."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import strategies as st

from lengthctl.data_gen.preference_pairs import (
    PairDrop,
    PairRules,
    Text,
    adherence_pairs,
    pair_row,
    parse_text,
    read_texts,
)
from lengthctl.errors import DataError
from lengthctl.length import Relation, Target, Unit
from lengthctl.prompts import SeedPrompt, build_length_prompts
from lengthctl.scoring import score_text

targets = st.sampled_from(
    [Target(50), Target(60, Relation.AT_MOST), Target(40, Relation.RANGE, high=70), Target(9, unit=Unit.SENTENCES)]
)


def bees(words: int) -> str:
    return " ".join(f"bee{i}" for i in range(words)) + "."


def sample(words: int, target: Target, request: str = "Tell me about bees.", seed: int = 0) -> dict[str, Any]:
    """A record as an evaluation writes it."""
    (prompt,) = build_length_prompts(
        [SeedPrompt(request, ({"role": "user", "content": request},))], [target], wordings=None, seed=seed
    )
    scored = score_text(bees(words), target, prompt_id=request, tokens=2 * words, is_truncated=False)
    origin = {"finish": "eos", "error": None, "control": "plain"}
    return {"schema": 1, "id": "x", **scored.to_row(), "messages": list(prompt.messages), **origin}


def test_prompts_are_worded_as_they_were_sampled() -> None:
    for seed in range(5):
        rows = [sample(n, Target(50), seed=seed) for n in (50, 90)]
        texts = [one for row in rows if isinstance(one := parse_text(row), Text)]
        (pair,) = adherence_pairs(texts, PairRules(seed=seed)).pairs
        assert pair_row(pair, PairRules(seed=seed))["prompt"] == rows[0]["messages"]


def test_records_that_make_no_text_are_counted(tmp_path: Path) -> None:
    row = sample(50, Target(50))
    rows = [
        row,
        {**row, "target": None},
        {**row, "finish": "error", "error": "gone"},
        {**row, "text": " ... "},
        {**row, "messages": [{"role": "user", "content": "Tell me about bees."}]},
        {**row, "finish": "limit"},
        {key: value for key, value in row.items() if key != "length"},
    ]
    path = tmp_path / "samples.jsonl"
    path.write_text("".join(json.dumps(r) + "\n" for r in rows))
    texts, dropped = read_texts([path])
    assert [(one.length, one.is_truncated, one.source) for one in texts] == [
        (50, False, "samples.jsonl"),
        (50, True, "samples.jsonl"),
        (50, False, "samples.jsonl"),
    ]
    assert dropped == dict.fromkeys((PairDrop.NO_TARGET, PairDrop.FAILED, PairDrop.EMPTY, PairDrop.NO_REQUEST), 1)
    known = read_texts([path], requests={"Tell me about bees.": [{"role": "user", "content": "Bees?"}]})[0]
    assert {one.request[0]["content"] for one in known} == {"Bees?"}
    path.write_text(json.dumps({**row, "text": None}) + "\n")
    with pytest.raises(DataError, match=r"samples.jsonl:1: text is a text"):
        read_texts([path])
