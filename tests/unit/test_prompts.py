"""Prompt sources: the built-in set, files, bad input."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lengthctl.errors import DataError
from lengthctl.length import Relation, Target, Unit
from lengthctl.prompt_sources import load_seed_prompts
from lengthctl.prompts import WORDINGS, build_length_prompts, describe_target, unword_length, word_length


def config(source: object = "builtin", **changes: Any) -> Any:
    defaults = {"subset": None, "split": "train", "eval_source": None, "eval_split": None, "column": "prompt"}
    return SimpleNamespace(**{"source": str(source), "eval_fraction": 0.3, "limit": None, **defaults, **changes})


def test_builtin_set_is_split_by_topic() -> None:
    train, held_out = load_seed_prompts(config(), "train"), load_seed_prompts(config(), "eval")
    assert len(train) >= 150
    assert len(held_out) >= 50
    assert not {s.topic for s in train} & {s.topic for s in held_out}


def test_every_seed_gets_every_target_and_several_wordings() -> None:
    seeds = load_seed_prompts(config(), "train")
    targets = [Target(10), Target(50, Relation.AT_MOST)]
    prompts = build_length_prompts(seeds, targets, wordings=None, seed=1)
    assert len(prompts) == 2 * len(seeds)
    assert len({p.wording for p in prompts}) == 6
    assert all(describe_target(p.target) in p.messages[-1]["content"] for p in prompts)
    assert prompts[:2] == build_length_prompts(seeds[:1], targets, wordings=None, seed=1)


def test_own_file_is_split_without_overlap(tmp_path: Path) -> None:
    path = tmp_path / "p.jsonl"
    rows = [{"prompt": f"Say {i}."} for i in range(100)] + [{"prompt": [{"role": "user", "content": "Hi {length}"}]}]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    train, held_out = load_seed_prompts(config(path), "train"), load_seed_prompts(config(path), "eval")
    assert len(train) + len(held_out) == 101
    assert not {s.id for s in train} & {s.id for s in held_out}
    assert 10 < len(held_out) < 60


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ('{"promt": "a"}\n', "did you mean promt"),
        ('{"prompt": "a"}\n{"prompt": ', r"p\.jsonl:2"),
        ('{"prompt": " "}\n', "is empty"),
        ('{"prompt": 3}\n', "text or a list"),
        ("", "no train prompts"),
        ('{"prompt": [{"role": "user", "content": null}]}\n', "content of a message is text, found NoneType"),
        ('{"prompt": [{"role": "user", "content": [{"type": "text"}]}]}\n', "content of a message is text, found list"),
        ('{"prompt": [{"role": "alien", "content": "a"}]}\n', "role 'alien' is not one of"),
        ('{"prompt": [{"role": "system", "content": "a"}]}\n', "the last message is not the user's"),
        ('{"prompt": "\\ud800"}\n', "half a surrogate pair"),
    ],
)
def test_bad_files_are_named(tmp_path: Path, text: str, match: str) -> None:
    path = tmp_path / "p.jsonl"
    path.write_text(text)
    with pytest.raises(DataError, match=match):
        load_seed_prompts(config(path), "train")


def test_wording_needs_both_places() -> None:
    with pytest.raises(ValueError, match="a wording holds"):
        build_length_prompts([], [Target(3)], wordings=["{request}"], seed=0)


@given(st.lists(st.text(st.characters(categories=["L"]), min_size=1), min_size=2, max_size=12, unique=True))
def test_a_small_file_is_split_too(texts: list[str]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "p.jsonl"
        path.write_text("".join(json.dumps({"prompt": text}) + "\n" for text in texts))
        sides = [{s.id for s in load_seed_prompts(config(path), split)} for split in ("train", "eval")]
    assert all(sides)
    assert not sides[0] & sides[1]
    assert len(sides[0] | sides[1]) == len(texts)


def write_rows(path: Path, *texts: str, **columns: Any) -> Path:
    path.write_text("".join(json.dumps({"prompt": text, **columns}) + "\n" for text in texts))
    return path


def test_a_held_out_text_is_never_trained(tmp_path: Path) -> None:
    source = write_rows(tmp_path / "a.jsonl", "one", "two", "three")
    held_out = write_rows(tmp_path / "b.jsonl", "two", "four")
    both = config(source, eval_source=str(held_out))
    train, evaluated = load_seed_prompts(both, "train"), load_seed_prompts(both, "eval")
    assert [s.messages[0]["content"] for s in train] == ["one", "three"]
    assert [s.messages[0]["content"] for s in evaluated] == ["two", "four"]


def test_builtin_with_a_held_out_set_of_ones_own(tmp_path: Path) -> None:
    mixed = config("builtin", eval_source=str(write_rows(tmp_path / "b.jsonl", "mine")))
    assert [s.messages[0]["content"] for s in load_seed_prompts(mixed, "eval")] == ["mine"]
    assert len(load_seed_prompts(mixed, "train")) >= 150
    turned = config(tmp_path / "b.jsonl", eval_source="builtin")
    assert len(load_seed_prompts(turned, "eval")) >= 50


def test_columns_that_mean_something_else_do_not_travel(tmp_path: Path) -> None:
    path = tmp_path / "p.jsonl"
    path.write_text('{"question": "Q", "prompt": "RAW", "image": 3, "kind": "a"}\n{"question": "R", "kind": "b"}\n')
    seeds = [s for side in ("train", "eval") for s in load_seed_prompts(config(path, column="question"), side)]
    assert {s.messages[0]["content"] for s in seeds} == {"Q", "R"}
    assert all(set(s.columns) == {"kind"} for s in seeds)


def test_one_word_is_singular() -> None:
    assert describe_target(Target(1)) == "about 1 word"
    assert describe_target(Target(1, Relation.RANGE, high=2)) == "1 to 2 words"


RELATIONS = [Relation.EXACT, Relation.AT_MOST, Relation.AT_LEAST]
TARGETS = st.one_of(
    st.builds(Target, st.integers(1, 900), st.sampled_from(RELATIONS), st.sampled_from(Unit)),
    st.just(Target(40, Relation.RANGE, high=70)),
)


@given(st.text(min_size=1), TARGETS, st.sampled_from([*WORDINGS, "{request} {length}, no less: {request}"]))
def test_the_wording_is_undone(request_text: str, target: Target, wording: str) -> None:
    asked = ({"role": "system", "content": "s"}, {"role": "user", "content": request_text})
    worded = word_length(asked, target, wording)
    assert unword_length(worded, target, [wording]) == asked
    assert unword_length(worded, Target(7777), WORDINGS) is None


def test_what_was_not_worded_is_not_undone() -> None:
    assert unword_length((), Target(50), WORDINGS) is None
    assert unword_length([{"role": "user", "content": "Fifty words, please"}], Target(50), WORDINGS) is None
    nothing = word_length([{"role": "user", "content": ""}], Target(50), "{request} ({length})")
    assert unword_length(nothing, Target(50), WORDINGS) is None
