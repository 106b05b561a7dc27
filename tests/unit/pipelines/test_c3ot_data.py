"""Long rows and checked short forms in one shuffled file: counts, ratio, rejects, and no call paid for twice."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from echo_room import Echo
from fake_judge import FakeModel, between_marks

from lengthctl.checking import AnswerChecker
from lengthctl.conditions import CONDITIONS, LONG, SHORT, conditions_digest
from lengthctl.data_gen.c3ot_rows import Ablation
from lengthctl.data_gen.checkable import Verbosity, make_tasks
from lengthctl.data_gen.compression import CompressionSettings, Compressor
from lengthctl.data_gen.decontamination import Contamination
from lengthctl.data_gen.equations_compressor import keep_equations
from lengthctl.data_gen.instruction_data import read_instructions
from lengthctl.errors import DataError, FailureBudgetError
from lengthctl.pipelines.c3ot_data import C3oTSettings, ReasonedSources, build_c3ot_data
from lengthctl.pipelines.room import Room
from lengthctl.pipelines.step_store import StepStore
from lengthctl.problem_sources import ask_problem
from lengthctl.rollout.backend import Sampling

TASKS = make_tasks(12, seed=1, steps=(2, 4))


def task_rows(verbosity: Verbosity = Verbosity.LONG) -> list[dict[str, Any]]:
    return [
        {
            "id": task.id,
            "prompt": ask_problem(task.question),
            "completion": task.worked[verbosity],
            "answer": task.answer,
        }
        for task in TASKS
    ]


def source(folder: Path, rows: list[dict[str, Any]], name: str = "rows.jsonl") -> str:
    path = folder / name
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return str(path)


def build(
    sources: list[str],
    out: Path,
    *,
    room: Room | None = None,
    settings: C3oTSettings | None = None,
    contamination: Contamination | None = None,
    limit: int | None = None,
) -> dict[str, Any]:
    chosen = settings or C3oTSettings()
    with AnswerChecker() as checker:
        read = ReasonedSources(
            [read_instructions(s) for s in sources], checker.check_answer, contamination=contamination, limit=limit
        )
        compressor = Compressor(chosen.compression, checker.check_answer)
        return build_c3ot_data(read, chosen, compressor, out, room=room)


def read_lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def room(model: FakeModel | Echo, out: Path | None = None, **options: Any) -> Room:
    store = None if out is None else StepStore(out / "steps.jsonl")
    return Room(model, None, ["endpoint", "http://x", "the-model"], Sampling(), store=store, **options)


def shorten(message: str) -> str:
    """What a good compressor says; it forgets how to for one question, and never stops talking for another."""
    reasoning = between_marks("reasoning", message)
    question = between_marks("question", message)
    if TASKS[0].question in question:
        return f"{reasoning}\n#### {TASKS[0].answer}"
    if TASKS[1].question in question and "Be sure" not in message:
        return "Nothing of it.\n#### 123456"
    final = reasoning.rpartition(", so this is")[0].rpartition(" ")[2]
    return f"{keep_equations(reasoning, final)}\n#### {final}"


def test_equations_make_short_twins_of_the_task_family(tmp_path: Path) -> None:
    stats = build([source(tmp_path, task_rows())], tmp_path / "out")
    rows = read_lines(tmp_path / "out" / "train.jsonl")
    assert len(rows) == 2 * len(TASKS)
    terse = {task.id: task.worked[Verbosity.TERSE] for task in TASKS}
    long = {task.id: task.worked[Verbosity.LONG] for task in TASKS}
    for row in rows:
        name, _, condition = row["id"].partition("/")
        assert condition == row["condition"]
        words, _, question = row["prompt"][0]["content"].partition("\n")
        assert words == CONDITIONS[condition]
        assert question == next(ask_problem(task.question) for task in TASKS if task.id == name)
        assert row["completion"][0]["content"] == (long if condition == LONG else terse)[name]
    assert [row["id"] for row in rows] != sorted(row["id"] for row in rows)
    measured = stats["measured"]
    assert measured["rows_by_condition"] == {LONG: 12, SHORT: 12}
    shares = [(row["long_length"], row["reasoning_length"]) for row in rows if row["condition"] == SHORT]
    ratio = 1 - sum(short for _, short in shares) / sum(whole for whole, _ in shares)
    assert measured["compression"] == {LONG: 0.0, SHORT: pytest.approx(ratio, abs=1e-4)}
    assert ratio > 0.9
    card = (tmp_path / "out" / "README.md").read_text(encoding="utf-8")
    assert conditions_digest() in card
    assert read_lines(tmp_path / "out" / "rejected.jsonl") == []


def test_twins_need_not_be_neighbours_and_the_order_is_by_the_seed(tmp_path: Path) -> None:
    path = source(tmp_path, task_rows())
    orders = []
    for seed in (0, 0, 1):
        build([path], tmp_path / f"out-{len(orders)}", settings=C3oTSettings(seed=seed))
        orders.append([row["id"] for row in read_lines(tmp_path / f"out-{len(orders)}" / "train.jsonl")])
    assert orders[0] == orders[1] != orders[2]
    assert sorted(orders[0]) == sorted(orders[2])
    names = [name.partition("/")[0] for name in orders[0]]
    assert any(one != other for one, other in zip(names[::2], names[1::2], strict=True))


def test_a_model_shortens_and_what_it_gets_wrong_is_told(tmp_path: Path) -> None:
    model = FakeModel(shorten)
    stats = build([source(tmp_path, task_rows())], tmp_path / "out", room=room(model))
    rows = read_lines(tmp_path / "out" / "train.jsonl")
    by_condition = {c: {r["id"].partition("/")[0] for r in rows if r["condition"] == c} for c in (LONG, SHORT)}
    assert by_condition[LONG] == {task.id for task in TASKS}
    assert by_condition[SHORT] == {task.id for task in TASKS[1:]}
    rejected = {entry["id"]: entry for entry in read_lines(tmp_path / "out" / "rejected.jsonl")}
    assert rejected[TASKS[0].id]["faults"] == {SHORT: ["not_shorter"] * 3}
    assert rejected[TASKS[1].id] == {
        "id": TASKS[1].id,
        "source": str(tmp_path / "rows.jsonl"),
        "is_used": True,
        "faults": {SHORT: ["answer_lost"]},
    }
    assert stats["measured"]["versions_not_taken"] == {"not_shorter": 3, "answer_lost": 1}
    assert stats["measured"]["calls"] == len(model.asked) == 12 + 2 + 1
    assert "the-model" in (tmp_path / "out" / "README.md").read_text(encoding="utf-8")


def test_no_finished_call_is_made_again(tmp_path: Path) -> None:
    path, first = source(tmp_path, task_rows()), FakeModel(shorten)
    build([path], tmp_path / "out", room=room(first, tmp_path / "out"))
    kept = (tmp_path / "out" / "train.jsonl").read_bytes()
    again = FakeModel(shorten)
    build([path], tmp_path / "out", room=room(again, tmp_path / "out"))
    assert again.asked == []
    assert (tmp_path / "out" / "train.jsonl").read_bytes() == kept


def test_a_dead_backend_ends_the_command_and_bad_versions_do_not(tmp_path: Path) -> None:
    path = source(tmp_path, task_rows())
    useless = FakeModel(lambda message: "I don't know.")
    build([path], tmp_path / "useless", room=room(useless, failure_budget=0.0))
    assert {row["condition"] for row in read_lines(tmp_path / "useless" / "train.jsonl")} == {LONG}
    gone = Echo(fails=lambda request: "gone")
    with pytest.raises(FailureBudgetError, match=r"backend.*gone"):
        build([path], tmp_path / "gone", room=room(gone, failure_budget=0.0))
    assert not (tmp_path / "gone" / "train.jsonl").exists()


@pytest.mark.parametrize(
    ("ablation", "conditions"),
    [
        (Ablation.SHORT_ONLY, {SHORT}),
        (Ablation.LONG_ONLY, {LONG}),
        (Ablation.NO_CONDITION, {LONG, SHORT}),
    ],
)
def test_ablations_ask_as_the_source_does(tmp_path: Path, ablation: Ablation, conditions: set[str]) -> None:
    build([source(tmp_path, task_rows())], tmp_path / "out", settings=C3oTSettings(ablation))
    rows = read_lines(tmp_path / "out" / "train.jsonl")
    assert {row["condition"] for row in rows} == conditions
    asked = {ask_problem(task.question) for task in TASKS}
    assert {row["prompt"][0]["content"] for row in rows} == asked


def test_long_rows_alone_ask_no_model(tmp_path: Path) -> None:
    model = FakeModel(shorten)
    settings = C3oTSettings(Ablation.LONG_ONLY)
    build([source(tmp_path, task_rows())], tmp_path / "out", room=room(model), settings=settings)
    assert model.asked == []


def test_rows_that_cannot_be_used_are_counted(tmp_path: Path) -> None:
    bad = [
        {"id": "none", "prompt": "Q1", "completion": "#### 5"},
        {"id": "open", "prompt": "Q2", "completion": "<think>2+3=5 #### 5"},
        {"id": "unmarked", "prompt": "Q3", "completion": "It is 5."},
        {"id": "wrong", "prompt": "Q4", "completion": "I say that 2 + 3 = 5.\n#### 5", "answer": "6"},
        {"id": "empty", "prompt": "Q5", "completion": ""},
        {"id": "held out", "prompt": "Held out?", "completion": "I say that 2 + 3 = 5.\n#### 5"},
    ]
    good = task_rows()
    path = source(tmp_path, [*bad, *good, {**good[0], "id": "again"}])
    stats = build([path], tmp_path / "out", contamination=Contamination(["Held out?"]))
    (found,) = stats["sources"]
    assert found["dropped"] == {
        "no_reasoning": 1,
        "open_reasoning": 1,
        "unreadable_answer": 1,
        "wrong_answer": 1,
        "no_completion": 1,
        "contaminated": 1,
        "exact_duplicate": 1,
    }
    assert "reasoning is never closed" in (tmp_path / "out" / "README.md").read_text(encoding="utf-8")
    with pytest.raises(DataError, match=r"no row has reasoning and an answer that can be read \(.*no_reasoning 1"):
        build([source(tmp_path, bad[:5], "bad.jsonl")], tmp_path / "bad")


def test_a_limit_counts_rows_of_each_source_and_ids_may_meet(tmp_path: Path) -> None:
    rows = task_rows()
    one, two = source(tmp_path, rows), source(tmp_path, rows, "other.jsonl")
    twice = source(tmp_path, [rows[0], {**rows[1], "id": rows[0]["id"]}], "twice.jsonl")
    build([one, two, twice], tmp_path / "out", limit=2)
    found = read_lines(tmp_path / "out" / "train.jsonl")
    assert len(found) == 2 * 2 * 3
    assert len({(row["source"], row["id"]) for row in found}) == len(found)


def test_think_tags_stay_where_they_are(tmp_path: Path) -> None:
    long = "I see that 12 + 5 = 17. Then I go on, and I see that 17 * 2 = 34. That is all there is to see."
    rows = [{"id": "a", "prompt": "Q", "completion": f"<think>\n{long}\n</think>\n\nThe answer is \\boxed{{34}}."}]
    build([source(tmp_path, rows)], tmp_path / "out", settings=C3oTSettings(Ablation.SHORT_ONLY))
    (row,) = read_lines(tmp_path / "out" / "train.jsonl")
    short = "<think>\n12+5=17\n17*2=34\n</think>\n\nThe answer is \\boxed{34}."
    assert row["completion"] == [{"role": "assistant", "content": short}]


def test_levels_need_a_model(tmp_path: Path) -> None:
    settings = C3oTSettings(Ablation.LEVELS, CompressionSettings())
    with pytest.raises(ValueError, match="no levels"):
        build([source(tmp_path, task_rows())], tmp_path / "out", settings=settings)
