"""Reading instruction data: every known shape, what is dropped, and where a fault stands."""

from __future__ import annotations

import csv
import json
import os
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lengthctl.data_gen.filters import DropReason
from lengthctl.data_gen.instruction_data import Columns, Instruction, Reading, read_instructions
from lengthctl.errors import DataError

DATA = os.environ.get("LENGTHCTL_DATA")


def written(path: Path, rows: list[Any]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def user(text: str) -> dict[str, str]:
    return {"role": "user", "content": text}


def assistant(text: str) -> dict[str, str]:
    return {"role": "assistant", "content": text}


SHAPES = [
    {"messages": [user("ask"), assistant("say")]},
    {"conversations": [{"from": "human", "value": "ask"}, {"from": "gpt", "value": "say"}]},
    {"prompt": "ask", "completion": "say"},
    {"prompt": [user("ask")], "completion": [assistant("say")]},
    {"instruction": "ask", "input": "", "output": "say"},
    {"instruction": "ask", "context": None, "response": "say"},
    {"instruction": "ask", "instances": [{"input": "", "output": "say"}]},
    {"input": "ask", "output": "say"},
    {"question": "ask", "answer": "say"},
]


@pytest.mark.parametrize("row", SHAPES, ids=lambda row: "+".join(row))
def test_known_shapes(tmp_path: Path, row: dict[str, Any]) -> None:
    (found,) = read_instructions(written(tmp_path / "a.jsonl", [row]))
    assert (found.messages, found.completion) == ((user("ask"),), "say")
    assert found.source == str(tmp_path / "a.jsonl")


def test_context_stands_behind_the_request(tmp_path: Path) -> None:
    rows = [
        {"instruction": "Sum it up.", "context": "A text.", "response": "Text.", "category": "x"},
        {"instruction": "Sum it up.", "input": "A text.", "output": "Text.", "category": "x"},
    ]
    for found in read_instructions(written(tmp_path / "a.jsonl", rows)):
        assert found.messages == (user("Sum it up.\n\nA text."),)
        assert found.columns == {"category": "x"}


def test_the_last_turn_of_the_assistant_is_the_completion(tmp_path: Path) -> None:
    turns = [{"role": "system", "content": "be kind"}, user("a"), assistant("b"), user("c"), assistant("d"), user("e")]
    (found,) = read_instructions(written(tmp_path / "a.jsonl", [{"messages": turns}]))
    assert [m["content"] for m in found.messages] == ["be kind", "a", "b", "c"]
    assert found.completion == "d"


def test_named_columns(tmp_path: Path) -> None:
    row = {"q": "ask", "bg": "facts", "a": "say", "sys": "be kind", "nr": 7, "terms": "mit", "more": 1}
    columns = Columns("q", "a", context="bg", system="sys", id="nr", licence="terms")
    (found,) = read_instructions(
        written(tmp_path / "a.jsonl", [row]), Reading(columns=columns), name="mine", licence="other"
    )
    system = {"role": "system", "content": "be kind"}
    assert found == Instruction("7", (system, user("ask\n\nfacts")), "say", "mine", "mit", {"more": 1})
    with pytest.raises(DataError, match=r"a\.jsonl:1: no column 'qq'; did you mean q\?"):
        list(read_instructions(tmp_path / "a.jsonl", Reading(columns=Columns("qq", "a"))))


def test_ids_are_those_of_the_rows_or_of_their_content(tmp_path: Path) -> None:
    rows = [{"prompt": "p", "completion": "c"}, {"id": "x", "prompt": "p", "completion": "c"}]
    first, second = read_instructions(written(tmp_path / "a.jsonl", rows))
    assert first.id == first.digest == second.digest
    assert second.id == "x"
    (again,) = read_instructions(written(tmp_path / "b.jsonl", rows[:1]))
    assert again.id == first.id


def test_rows_that_are_none_are_counted_in_every_iteration(tmp_path: Path) -> None:
    tool = {"role": "tool", "content": "42"}
    rows = [
        {"prompt": "p", "completion": "c"},
        {"prompt": "p", "completion": " "},
        {"prompt": "p", "completion": None},
        {"prompt": "p"},
        {"messages": [user("p")]},
        {"messages": [assistant("hello")]},
        {"messages": [{"role": "system", "content": "s"}, assistant("hello")]},
        {"prompt": " ", "completion": "c"},
        {"messages": [user("p"), assistant("calls"), tool, assistant("done")]},
        {"messages": [user("p"), {"role": "assistant", "content": None}]},
        {"prompt": "p", "completion": "half \ud800"},
    ]
    found = read_instructions(written(tmp_path / "a.jsonl", rows))
    for _ in range(2):
        assert len(list(found)) == 1
        assert found.dropped == Counter({DropReason.NO_COMPLETION: 4, DropReason.NO_PROMPT: 3, DropReason.NOT_TEXT: 3})


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ('{"prompt": "p", "completion": "c"}\n{"prompt": "p", "comp', r"a\.jsonl:2: not valid JSON"),
        ('{"prompt": "p", "completion": "c"}\n[1]\n', r"a\.jsonl:2: a JSON object is needed"),
        ('{"title": "p"}\n', r"a\.jsonl:1: columns of no known shape \(title\)"),
        ('{"messages": "p"}\n{"messages": {"a": 1}}\n', r"a\.jsonl:2: a prompt or completion is a text or a list"),
        ('{"messages": [{"who": "p"}]}\n', r"a\.jsonl:1: a message has role and content"),
        ('{"prompt": "p"}\n{"instruction": "p"}\n{"prompt": "p", "completion": ""}\n', "data without completions"),
        (
            '{"prompt": "", "completion": "c"}\n{"prompt": "p"}\n',
            r"no row can be used \(no_prompt 1, no_completion 1\)",
        ),
        ("", "has no rows"),
    ],
)
def test_faults_name_their_place(tmp_path: Path, content: str, told: str) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text(content)
    with pytest.raises(DataError, match=told):
        list(read_instructions(path))


def test_a_torn_file_gives_the_rows_before(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text('{"prompt": "p", "completion": "c"}\n{"pro')
    rows = iter(read_instructions(path))
    assert next(rows).completion == "c"
    with pytest.raises(DataError, match=":2"):
        next(rows)


@pytest.mark.parametrize("name", ["none.jsonl", "none.csv", "none.parquet"])
def test_a_missing_file(tmp_path: Path, name: str) -> None:
    with pytest.raises(DataError, match="none"):
        list(read_instructions(tmp_path / name))


def test_csv_and_parquet(tmp_path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    (tmp_path / "a.csv").write_text('id,prompt,completion\n007,"a, ""b""\nc",0042\n8,p,NA\n9,p,\n')
    found = read_instructions(tmp_path / "a.csv")
    assert [(r.id, r.messages[0]["content"], r.completion) for r in found] == [
        ("007", 'a, "b"\nc', "0042"),
        ("8", "p", "NA"),
    ]
    assert found.dropped == {DropReason.NO_COMPLETION: 1}
    csv.field_size_limit(131_072)  # Python's own
    long = "word " * 40_000
    (tmp_path / "long.csv").write_text(f"prompt,completion\np,{long}\n")
    assert [row.completion for row in read_instructions(tmp_path / "long.csv")] == [long]
    (tmp_path / "b.csv").write_text("prompt,completion\np,c,d\n")
    with pytest.raises(DataError, match=r"b\.csv:2: more cells"):
        list(read_instructions(tmp_path / "b.csv"))
    pq.write_table(pa.Table.from_pylist([{"messages": [user("p"), assistant("c")]}] * 3), tmp_path / "a.parquet")
    assert [r.completion for r in read_instructions(tmp_path / "a.parquet")] == ["c"] * 3


WORD = st.text(st.characters(codec="utf-8"), min_size=1).filter(lambda t: t.strip() != "")


@settings(max_examples=50)
@given(st.lists(st.tuples(st.sampled_from(["user", "assistant", "system", "tool"]), WORD), max_size=6))
def test_any_conversation_is_read_or_dropped(tmp_path_factory: pytest.TempPathFactory, turns: list[Any]) -> None:
    path = tmp_path_factory.mktemp("any") / "a.jsonl"
    row = {"messages": [{"role": role, "content": content} for role, content in turns]}
    source = read_instructions(written(path, [row, {"messages": [user("p"), assistant("c")]}]))
    found = list(source)
    assert len(found) + sum(source.dropped.values()) == 2
    for instruction in found:
        assert instruction.messages[-1]["role"] == "user"
        assert instruction.completion.strip()


@pytest.mark.skipif(DATA is None, reason="LENGTHCTL_DATA does not name the folder of development data")
def test_real_data() -> None:
    dolly = read_instructions(Path(str(DATA)) / "dolly_sample" / "dolly.jsonl")
    assert sum(1 for _ in dolly) == 2000
    seeds = list(read_instructions(Path(str(DATA)) / "self_instruct_seeds" / "seed_tasks.jsonl"))
    assert len(seeds) == 175
    assert seeds[0].id == "seed_task_0"
