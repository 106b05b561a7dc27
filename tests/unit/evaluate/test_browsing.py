"""Samples for the page: ranked, bounded, told how they were chosen; hostile text made fit."""

from __future__ import annotations

import html
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from synthetic_evaluation import draw_subject, write_sample_file

from lengthctl.errors import DataError
from lengthctl.evaluate.browsing import SampleRow, choose_samples, read_samples
from lengthctl.evaluate.shown import shown


def side(name: str, samples: int = 4) -> list[SampleRow]:
    return [
        SampleRow(name, scored, "ask", i % samples)
        for i, scored in enumerate(draw_subject(name, prompts=6, samples=samples))
    ]


PLAIN, CLOSE = side("plain"), side("close")


def test_few_samples_are_all_shown_worst_first() -> None:
    selection = choose_samples([side("plain", 1), side("close", 1)], seed=0)
    assert len(selection.picked) == selection.total == 60
    distances = [row.distance for _, row in selection.picked]
    assert distances == sorted(distances, reverse=True)
    assert {kind for kind, _ in selection.picked} == {"all"}


def test_many_samples_are_chosen_evenly_and_reproducibly() -> None:
    sides = [PLAIN, CLOSE]
    selection = choose_samples(sides, seed=3, limit=40)
    assert selection == choose_samples(sides, seed=3, limit=40)
    assert selection == choose_samples([part[::-1] for part in sides], seed=3, limit=40)
    assert selection != choose_samples(sides, seed=4, limit=40)
    assert (len(selection.picked), selection.total) == (40, 240)
    for part in sides:
        own = [(kind, row) for kind, row in selection.picked if row.side == part[0].side]
        assert [sum(kind == wanted for kind, _ in own) for wanted in ("worst", "best", "random")] == [10, 5, 5]
        assert len({row.key for _, row in own}) == 20
        ranked = sorted((row.distance for row in part), reverse=True)
        assert sorted((row.distance for kind, row in own if kind == "worst"), reverse=True) == ranked[:10]
        assert sorted(row.distance for kind, row in own if kind == "best") == sorted(ranked)[:5]


@given(st.integers(1, 60), st.integers(1, 90), st.integers(1, 40))
def test_no_choice_exceeds_its_limit(first: int, second: int, limit: int) -> None:
    sides = [PLAIN[:first], CLOSE[:second]]
    selection = choose_samples(sides, seed=0, limit=limit)
    assert len(selection.picked) <= max(limit, 2)
    assert selection.total == first + second


def test_requests_without_a_completion_are_counted(tmp_path: Path) -> None:
    path = tmp_path / "samples" / "a.jsonl"
    write_sample_file(path, draw_subject("close", prompts=1))
    with path.open("a") as file:
        file.write(json.dumps({"status": "failed", "refusal": "no logit_bias"}) + "\n")
    found = read_samples(path, "a")
    assert len(found.rows) == 5
    assert found.without == {"failed": 1}
    assert found.rows[0].prompt == "Tell me about p0 in 10 words."


@pytest.mark.parametrize("change", [{"text": 3}, {"length": "9"}, {"target": {"value": 0}}, {"tokens": -1}])
def test_what_is_no_sample_is_named_with_its_line(tmp_path: Path, change: dict[str, object]) -> None:
    path = tmp_path / "a.jsonl"
    write_sample_file(path, draw_subject("close", prompts=1)[:1], **change)
    with pytest.raises(DataError, match=r"a\.jsonl:1: no sample"):
        read_samples(path, "a")


def test_shown_text_by_hand() -> None:
    assert shown("plain\n\ttext", 40) == "plain\n\ttext"
    assert shown("a\r\nb\x00\x1b\u202e\u2066\ud800\U000e0041c", 40) == "a\nb" + "\ufffd" * 6 + "c"
    assert shown("abcdef", 3) == "abc ... (6 characters in all)"
    assert shown('""""', 40, size=12) == '"" ... (4 characters in all)'


@given(st.text(max_size=300), st.integers(1, 200), st.integers(1, 400))
def test_shown_text_is_bounded_and_writable(text: str, characters: int, size: int) -> None:
    out = shown(text, characters, size=size)
    body = out.removesuffix(f" ... ({len(text)} characters in all)")
    assert len(body) <= characters
    assert len(html.escape(body).encode()) <= max(size, 1) + 1  # &#x27; is a byte longer than the template's &#39;
    assert not any(c in out for c in "\x00\x1b\u202e\u2066\ud800")
