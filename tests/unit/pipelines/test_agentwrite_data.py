"""AgentWrite data over a room: a perfect writer loses no length, no call is made twice, what is left out is counted."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from perfect_writer import PerfectWriter

from lengthctl.data_gen.agentwrite import AgentWriteSettings, LongPrompt, long_prompt
from lengthctl.data_gen.decontamination import Contamination
from lengthctl.decode.agentwrite_options import SMALL_MODEL, WritingOptions
from lengthctl.errors import DataError, FailureBudgetError
from lengthctl.length import Target, Unit, count_length
from lengthctl.pipelines.agentwrite_data import (
    agentwrite_documents,
    agentwrite_estimate,
    build_agentwrite_data,
    read_long_prompts,
)
from lengthctl.pipelines.room import Room
from lengthctl.pipelines.room_estimate import dry_run
from lengthctl.pipelines.step_store import StepStore
from lengthctl.records import Completion
from lengthctl.rollout.backend import Request, Sampling
from lengthctl.scoring import s_l

SETTINGS = AgentWriteSettings()
SECRET = "The secret prompt of the evaluation, in full."


def asking(text: str) -> tuple[dict[str, str], ...]:
    return ({"role": "user", "content": text},)


def prompts(words: Sequence[int | None]) -> list[LongPrompt]:
    return [
        long_prompt(asking(f"Write of river number {n}."), "src", target=n and Target(n), id=f"r{n}") for n in words
    ]


def room(writer: PerfectWriter, **options: Any) -> Room:
    return Room(writer, None, ["script", "perfect"], Sampling(), **options)


def rows(out: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (out / "train.jsonl").read_text(encoding="utf-8").splitlines()]


@pytest.mark.parametrize(
    "writing", [WritingOptions(), WritingOptions(parallel=True), SMALL_MODEL], ids=["full", "parallel", "small"]
)
def test_a_perfect_writer_loses_no_length(writing: WritingOptions, tmp_path: Path) -> None:
    asked = prompts([500, 5000, 10_000] if writing is not SMALL_MODEL else [100, 300, 2000])
    facts = build_agentwrite_data(asked, AgentWriteSettings(writing), room(PerfectWriter()), tmp_path)
    found = rows(tmp_path)
    assert [row["id"] for row in found] == [prompt.id for prompt in asked]
    for row in found:
        target = Target.parse(row["target"])
        length = count_length(row["completion"][0]["content"], Unit.WORDS)
        assert length == row["length"]
        assert s_l(length, target) > 0.998
        assert str(target.value) in row["prompt"][0]["content"].replace(",", "")
    assert found[0]["plan"] is None
    assert len(found[2]["parts"]) == len(found[2]["plan"]) > 10
    assert facts["measured"]["plans"] == {"model": 2, "none": 1}
    assert facts["measured"]["calls"] == 1 + sum(1 + len(row["parts"]) for row in found[1:])


def test_chinese_loses_no_length(tmp_path: Path) -> None:
    asked = [long_prompt(asking("请写一篇关于长江的文章，5000字。"), "src")]
    build_agentwrite_data(asked, SETTINGS, room(PerfectWriter()), tmp_path)
    (row,) = rows(tmp_path)
    assert (row["words"], row["language"], row["s_l"]) == (5000, "zh", 1.0)


def test_an_interrupted_command_makes_no_call_twice(tmp_path: Path) -> None:
    asked = prompts([300, 1500, 2500, 3500])
    build_agentwrite_data(asked, SETTINGS, room(PerfectWriter()), tmp_path / "whole")
    whole = (tmp_path / "whole" / "train.jsonl").read_bytes()
    for stop in (1, 4, 7):
        out, writers = tmp_path / f"stopped{stop}", []
        for limit in (stop, None):
            writers.append(_Stopping(limit))
            store = StepStore(out / "steps.jsonl")
            try:
                build_agentwrite_data(asked, SETTINGS, room(writers[-1], store=store, in_flight=2), out)
            except KeyboardInterrupt:
                assert limit is not None
            finally:
                store.close()
        made = [request.id for writer in writers for request in writer.requests]
        assert len(made) == len(set(made))
        assert len(writers[0].requests) == stop
        assert (out / "train.jsonl").read_bytes() == whole
        assert sorted(path.name for path in out.iterdir()) == [
            "README.md",
            "stats.json",
            "steps.jsonl",
            "train.jsonl",
            "train.parquet",
        ]


class _Stopping(PerfectWriter):
    def __init__(self, limit: int | None) -> None:
        super().__init__()
        self._limit = limit

    def _answer(self, request: Request) -> Completion:
        if self._limit is not None and len(self.requests) >= self._limit:
            raise KeyboardInterrupt
        return super()._answer(request)


def test_what_becomes_no_row_is_counted(tmp_path: Path) -> None:
    def spoil(request: Request, _: str) -> str | None:
        message = request.messages[-1]["content"]
        if "number 2000" in message:
            return "I cannot help with that."
        return "No plan at all." if "number 3000" in message else None

    asked = [*prompts([1000, 1000, 2000, 3000]), *prompts([4000])]
    asked[-1] = replace(asked[-1], messages=asking(SECRET))
    facts = build_agentwrite_data(
        asked,
        SETTINGS,
        room(PerfectWriter(spoil), failure_budget=1.0),
        tmp_path,
        contamination=Contamination([SECRET]),
    )
    assert len(rows(tmp_path)) == 1
    assert facts["sources"][0]["dropped"] == {"same_request": 1, "refused": 1, "plan_unreadable": 1, "contaminated": 1}
    with pytest.raises(FailureBudgetError, match="refused"):
        build_agentwrite_data(prompts([2000, 3000]), SETTINGS, room(PerfectWriter(spoil)), tmp_path / "b")


def test_two_rows_of_one_id_are_told_apart(tmp_path: Path) -> None:
    asked = [replace(prompt, id="same") for prompt in prompts([1000, 1200])]
    build_agentwrite_data(asked, SETTINGS, room(PerfectWriter()), tmp_path)
    ids = [row["id"] for row in rows(tmp_path)]
    assert ids == ["same", asked[1].digest]


def test_limit_counts_prompts(tmp_path: Path) -> None:
    build_agentwrite_data(prompts([1000, 1100, 1200]), SETTINGS, room(PerfectWriter()), tmp_path, limit=2)
    assert [row["id"] for row in rows(tmp_path)] == ["r1000", "r1100"]


def test_prompts_are_read_from_any_shape(tmp_path: Path) -> None:
    lines = [
        {"id": 7, "prompt": "Write 2,000 words on Rome.", "licence": "mit"},
        {"prompt": [{"role": "user", "content": "Write on Rome."}], "target": {"value": 900, "relation": "at_least"}},
        {"prompt": "  ", "id": "x"},
        {"instruction": "Write of Greece.", "output": "It was."},
        {"messages": [{"role": "user", "content": "Write of Troy."}, {"role": "assistant", "content": "No."}]},
    ]
    path = tmp_path / "prompts.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    found = list(read_long_prompts(str(path)))
    assert [prompt.messages[-1]["content"] for prompt in found if prompt.messages] == [
        "Write 2,000 words on Rome.",
        "Write on Rome.",
        "Write of Greece.",
        "Write of Troy.",
    ]
    assert [prompt.target and prompt.target.label for prompt in found] == ["2000", ">=900", None, None, None]
    assert (found[0].id, found[0].licence, found[1].id) == ("7", "mit", found[1].digest)
    assert found[2].unusable == "no_prompt"
    path.write_text('{"prompt": "Write.", "target": "soon"}\n')
    with pytest.raises(DataError, match=r"prompts\.jsonl:1"):
        list(read_long_prompts(str(path)))
    with pytest.raises(DataError, match="no column 'promt'; did you mean prompt"):
        list(read_long_prompts(str(path), column="promt"))


def test_a_dry_run_starts_nothing() -> None:
    shown, estimate = dry_run(agentwrite_documents(prompts([500, 3000]), SETTINGS), shown=2)
    assert "Write of river number 500." in shown
    assert "make the plan" in shown
    assert estimate.calls == 2


@pytest.mark.parametrize("writing", [WritingOptions(), WritingOptions(parallel=True), SMALL_MODEL])
def test_the_estimate_is_near_what_a_sound_document_takes(writing: WritingOptions, tmp_path: Path) -> None:
    asked, settings = prompts([100, 5000]), AgentWriteSettings(writing)
    _, estimate = dry_run(agentwrite_documents(asked, settings), expected=agentwrite_estimate)
    writer = PerfectWriter()
    facts = build_agentwrite_data(asked, settings, room(writer), tmp_path)
    assert estimate.calls == facts["measured"]["calls"]
    words = sum(len(request.messages[-1]["content"].split()) for request in writer.requests)
    assert words <= estimate.prompt_tokens <= 3 * words
    assert 5100 <= estimate.completion_tokens <= 2 * 5100
