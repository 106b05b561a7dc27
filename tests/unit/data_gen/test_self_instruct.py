"""Instructions of a model's own: read from hostile answers, judged leniently, none twice."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lengthctl.data_gen.decontamination import Contamination
from lengthctl.data_gen.self_instruct import (
    InstructionPool,
    draw_examples,
    propose_instruction,
    read_proposal,
    read_verdict,
)
from lengthctl.data_gen.self_lengthen import words_of
from lengthctl.data_gen.self_lengthen_seeds import SeedInstruction, built_in_seeds, read_seeds, split_probe
from lengthctl.data_gen.self_lengthen_settings import SelfLengthenSettings
from lengthctl.decode.flow import Answer, Call, FlowFailedError, Setback
from lengthctl.errors import DataError
from lengthctl.records import FinishReason

EXAMPLES = ["Write a history of salt.", "Write a guide to tents."]
SETTINGS = replace(SelfLengthenSettings(), proposals=3)


def propose(replies: Sequence[str]) -> tuple[str, list[Call]]:
    flow = propose_instruction(lambda attempt: EXAMPLES, SETTINGS)
    calls: list[Call] = []
    left: Iterator[str] = iter(replies)
    try:
        asked = next(flow)
        while True:
            calls += asked
            asked = flow.send([Answer(next(left), FinishReason.EOS)])
    except StopIteration as stop:
        return stop.value, calls


@pytest.mark.parametrize(
    ("answer", "instruction"),
    [
        (" Write a novel about a lighthouse.", "Write a novel about a lighthouse."),
        (" **Write a novel about rain.**\nTask 4: Another.", "Write a novel about rain."),
        ("Task 3: \u201cDescribe the port at night.\u201d", "Describe the port at night."),
        (
            "\u5199\u4e00\u7bc7\u5173\u4e8e\u6d77\u7684\u957f\u6587\u3002\n\u4efb\u52a14\uff1a\u53e6\u4e00\u9879",
            "\u5199\u4e00\u7bc7\u5173\u4e8e\u6d77\u7684\u957f\u6587\u3002",
        ),
        ("", None),
        ("Write it.", None),
        ("Task 4: Tell of the long road.", "Tell of the long road."),
        ("word " * 500, None),
        ("word " * 499, ("word " * 499).strip()),
    ],
)
def test_what_is_read_as_an_instruction(answer: str, instruction: str | None) -> None:
    assert read_proposal(answer) == instruction


def test_a_cut_proposal_counts_up_to_its_last_blank_line() -> None:
    cut = "Write a novel about rain.\n\nIt should also"
    assert read_proposal(cut, FinishReason.LIMIT) == "Write a novel about rain."
    assert read_proposal("Write a novel about rain and", FinishReason.LIMIT) is None


@given(st.text(max_size=400), st.sampled_from(list(FinishReason)))
def test_a_proposal_is_bounded_whatever_the_answer_holds(answer: str, finish: FinishReason) -> None:
    found = read_proposal(answer, finish)
    assert found is None or (4 <= words_of(found) <= 499 and found in answer)


@pytest.mark.parametrize(
    "answer",
    ["Yes", "<think>No?</think>Yes", "yes.", "**Yes**, it would.", "Answer: YES", "\u662f", "\u662f\u7684\u3002"],
)
def test_yes(answer: str) -> None:
    assert read_verdict(answer)


@pytest.mark.parametrize(
    "answer",
    ["No", "no, yes would be wrong", "\u5426", "\u4e0d\u662f", "", "perhaps", "eyes", "<think>Yes?", "x" * 90 + " yes"],
)
def test_no(answer: str) -> None:
    assert not read_verdict(answer)


def test_proposals_are_tried_until_one_calls_for_a_long_text() -> None:
    text, calls = propose(["bad", " Write a list of names.", "no", " Write the story of a river.", "Yes."])
    assert text == "Write the story of a river."
    assert [call.name for call in calls] == ["propose/0", "propose/1", "judge/1", "propose/2", "judge/2"]
    assert calls[0].prefill == "Task 3:"
    assert all(example in calls[0].messages[0]["content"] for example in EXAMPLES)
    assert calls[2].temperature == 0.0
    assert "2000" in calls[2].messages[0]["content"]


@pytest.mark.parametrize(
    ("replies", "setback"),
    [(["bad"] * 3, Setback.EMPTY), (["Write a list of names.", "no"] * 3, Setback.NO_GROWTH)],
)
def test_none_that_passes_is_told(replies: list[str], setback: Setback) -> None:
    with pytest.raises(FlowFailedError) as caught:
        propose(replies)
    assert caught.value.setback is setback


def test_the_pool_knows_near_copies_and_prompts_of_an_evaluation() -> None:
    long = "Write a long and careful history of the salt trade along the old northern roads of the country"
    pool = InstructionPool([long], contamination=Contamination(["Tell the tale of the seven hills of the old town."]))
    assert pool.add(long.upper()) == "exact_duplicate"
    assert pool.add(f"{long} today") == "near_duplicate"
    assert pool.add("Tell the tale of the seven hills of the old town!") == "contaminated"
    assert pool.add("Write about bees in winter.") is None
    assert pool.add("Write about bees in winter.") == "exact_duplicate"


@given(st.integers(0, 50), st.text(max_size=5))
def test_examples_are_two_of_one_language_and_the_same_each_time(seed: int, name: str) -> None:
    texts = ["Write of salt.", "Write of tents.", "Write of tea.", "\u5199\u6d77\u3002", "\u5199\u5c71\u3002"]
    drawn = draw_examples(texts, seed=seed, name=name)
    assert drawn == draw_examples(texts, seed=seed, name=name)
    assert len(set(drawn)) == 2
    assert drawn[0].isascii() == drawn[1].isascii()


def test_one_example_is_shown_where_there_is_no_other() -> None:
    assert draw_examples(["Write of salt.", "\u5199\u6d77\u3002"], seed=0, name="")[1:] == []
    with pytest.raises(ValueError, match="at least one"):
        draw_examples([], seed=0, name="")


def test_seeds_of_a_file(tmp_path: Path) -> None:
    file = tmp_path / "seeds.jsonl"
    turns = [{"role": r, "content": c} for r, c in (("user", "Hi"), ("assistant", "Yes?"), ("user", "Tell."))]
    rows = [{"prompt": "Tell of bees.", "licence": "mit"}, {"prompt": turns}, {"prompt": "Tell of bees."}]
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    first, second = read_seeds(str(file))
    assert (first.text, first.licence, first.source) == ("Tell of bees.", "mit", str(file))
    assert second.text == "Tell."
    for content, told in (('{"text": "a"}\n', "no column"), ('{"prompt": " "}\n', "empty"), ("", "no rows")):
        file.write_text(content)
        with pytest.raises(DataError, match=told):
            read_seeds(str(file))


def test_built_in_seeds_are_all_different() -> None:
    seeds = read_seeds("builtin")
    assert seeds == built_in_seeds()
    assert len({seed.text for seed in seeds}) == len({seed.id for seed in seeds}) == 48


@given(st.integers(2, 60), st.integers(1, 80), st.integers(0, 3))
def test_the_probe_is_kept_out_whatever_the_order(number: int, size: int, seed: int) -> None:
    seeds = [SeedInstruction(f"s{i}", f"Tell of {i}.", "own") for i in range(number)]
    trained, probe = split_probe(seeds, size, seed=seed)
    assert sorted([*trained, *probe], key=lambda s: int(s.id[1:])) == seeds
    assert len(probe) == max(1, min(size, number // 3))
    assert set(split_probe(seeds[::-1], size, seed=seed)[1]) == set(probe)
    with pytest.raises(DataError, match="at least two"):
        split_probe(seeds[:1], size)
