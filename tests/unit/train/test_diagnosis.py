"""What a step shows of itself: by hand, at the edges, and what holds for every step."""

from __future__ import annotations

import math
import re
from dataclasses import replace
from statistics import fmean
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from lengthctl.length import Target
from lengthctl.records import Completion, FinishReason
from lengthctl.train.diagnosis import QUANTILES, quantile, ratio_quantiles, step_diagnosis
from lengthctl.train.step_row import StepRow, by_drawn_group


def row(reward: float | None, tokens: int = 3, group: int = 0, text: str = "Some words.", **known: Any) -> StepRow:
    finish = known.pop("finish", FinishReason.EOS)
    return StepRow(Completion("0", text, tuple(range(tokens)), (), finish), reward, group, **known)


def test_parts_of_the_reward_spread() -> None:
    rows = [
        row(0.0, columns={"reward_parts/length": value, "reward_parts/style": None, "judge/verdict": "a wins"})
        for value in (0.0, 1.0, None)
    ]
    found = step_diagnosis(rows)
    assert found["reward_parts/length_std"] == 0.5
    assert not any("style" in name or "verdict" in name for name in found)
    assert rows[0].parts == {"length": 0.0, "style": None}


def test_advantages_are_those_of_what_is_trained() -> None:
    rows = [row(0.5, advantage=value) for value in (-1.0, 0.0, 0.0, 1.0)]
    rows += [row(0.5), row(0.9, group=1, advantage=2.0, is_resampled=True)]  # not trained; came in place of another
    found = step_diagnosis(rows)
    assert [found[f"advantages/p{p}"] for p in QUANTILES] == pytest.approx([-0.8, 0.0, 0.0, 1.0, 1.8])
    assert found["advantages/zero_fraction"] == pytest.approx(2 / 5)


def test_groups_that_teach_nothing_by_target_and_level() -> None:
    short, long = Target(10).to_row(), Target(80).to_row()
    rows = [
        *(row(0.5, group=0, target=short, level="short") for _ in range(2)),
        *(row(value, group=1, target=long, level="long") for value in (0.0, 1.0)),
        *(row(None, group=2, target=long, level="long") for _ in range(2)),
        *(row(0.0, group=3, target=short, is_resampled=True) for _ in range(2)),  # not of the step's own draw
    ]
    found = {name: value for name, value in step_diagnosis(rows).items() if name.startswith("groups/")}
    assert found == {
        "groups/silent_fraction": pytest.approx(2 / 3),
        "groups/target_10/silent_fraction": 1.0,
        "groups/target_80/silent_fraction": 0.5,
        "groups/level_short/silent_fraction": 1.0,
        "groups/level_long/silent_fraction": 0.5,
    }


def test_targets_that_are_new_in_every_step_are_not_told_apart() -> None:
    rows = [row(0.5, group=value, target=Target(value).to_row()) for value in range(1, 40)]
    assert [name for name in step_diagnosis(rows) if name.startswith("groups/")] == ["groups/silent_fraction"]


def test_lengths_of_right_and_wrong_answers_and_of_levels() -> None:
    rows = [
        row(1.0, 10, is_correct=True, level="short"),
        row(0.0, 30, is_correct=False, level="long"),
        row(0.0, 50, is_correct=False, level="long"),
        row(0.0, 70),
        row(None, 1, is_correct=False, finish=FinishReason.ERROR),  # failed: no text came
    ]
    found = step_diagnosis(rows)
    assert (found["tokens/correct"], found["tokens/wrong"]) == (10, 40)
    assert (found["tokens/level_short"], found["tokens/level_long"]) == (10, 40)
    assert found["answers/correct_fraction"] == pytest.approx(1 / 3)
    assert not any(name.startswith(("tokens/", "answers/")) for name in step_diagnosis([row(0.5)]))


def test_reward_against_length() -> None:
    rows = [row(tokens / 10, tokens, group=tokens // 6) for tokens in range(1, 11)]
    found = step_diagnosis(rows)
    assert found["reward_length/correlation"] == pytest.approx(1.0)
    assert [found[f"reward_length/quintile_{k}"] for k in range(1, 6)] == pytest.approx([0.15, 0.35, 0.55, 0.75, 0.95])


def test_within_groups_a_longer_text_may_earn_less() -> None:
    """Long texts answer easy prompts here: over all, the longer one earns more; of one prompt, the shorter one."""
    rows = [row(reward, tokens, 0) for reward, tokens in ((0.2, 10), (0.1, 20))]
    rows += [row(reward, tokens, 1) for reward, tokens in ((0.9, 100), (0.8, 110))]
    found = step_diagnosis(rows)
    assert found["reward_length/correlation"] > 0.9
    assert found["reward_length/correlation_in_group"] == pytest.approx(-1.0)
    assert "reward_length/quintile_1" not in found  # fewer completions than fifths


def test_equal_lengths_share_what_they_earn() -> None:
    found = step_diagnosis([row(float(place % 2), 5) for place in range(10)])
    assert {found[f"reward_length/quintile_{k}"] for k in range(1, 6)} == {0.5}
    assert "reward_length/correlation" not in found


def test_signs_of_texts() -> None:
    rows = [row(0.5, text="Now a b c. Now a b c. (8 words)"), row(0.5, text="# Head\n\nand then")]
    found = step_diagnosis(rows)
    assert found["text/unfinished_fraction"] == 1.0
    assert found["text/count_claim_fraction"] == 0.5
    assert found["text/repetition"] == pytest.approx((2 / 8 + 0) / 2)
    assert found["text/longest_repeat"] == pytest.approx((4 / 10 + 0) / 2)
    assert found["text/markup_fraction"] == pytest.approx((0 + 1 / 16) / 2)
    assert found["text/blank_line_fraction"] == pytest.approx((0 + 1 / 3) / 2)
    assert "text/reasoning_words" not in found


def test_members_that_write_the_same_are_seen_in_their_group() -> None:
    same = [row(0.5, text="one two three four", group=0) for _ in range(4)]
    other = [row(0.5, text=f"a{place} b c", group=1) for place in range(4)]
    assert step_diagnosis(same)["text/distinct_3_in_group"] == 0.25
    assert step_diagnosis([*same, *other])["text/distinct_3_in_group"] == pytest.approx((0.25 + 1) / 2)


def test_reasoning_and_answer_are_measured_apart() -> None:
    found = step_diagnosis([row(0.5, text="<think>one two three</think>four"), row(0.5, text="five six")])
    assert (found["text/reasoning_words"], found["text/answer_words"]) == (1.5, 1.5)


def test_a_step_of_which_nothing_came() -> None:
    assert step_diagnosis([]) == {}
    failed = [row(None, 0, text="", finish=FinishReason.ERROR, advantage=0.0)] * 2
    found = step_diagnosis(failed)
    assert found["groups/silent_fraction"] == 1.0
    assert not any(name.startswith(("text/", "reward_length/")) for name in found)


def member(reward: float | None, tokens: int, group: int, text: str, **known: Any) -> StepRow:
    """What members of a group share follows from its number."""
    return row(reward, tokens, group, text, level="short" if group == 1 else None, is_resampled=group == 3, **known)


ROWS = st.lists(
    st.builds(
        member,
        st.one_of(st.none(), st.floats(-3, 3, width=16)),
        st.integers(0, 40),
        st.integers(0, 3),
        st.text(max_size=40),
        advantage=st.one_of(st.none(), st.floats(-3, 3)),
        is_correct=st.sampled_from([None, True, False]),
        columns=st.fixed_dictionaries({"reward_parts/a": st.one_of(st.none(), st.floats(-3, 3))}),
        finish=st.sampled_from(list(FinishReason)),
    ),
    max_size=12,
)


@given(ROWS)
def test_every_number_is_finite_and_shares_are_shares(rows: list[StepRow]) -> None:
    found = step_diagnosis(rows)
    assert all(math.isfinite(value) for value in found.values())
    assert all(
        0 <= value <= 1
        for name, value in found.items()
        if name.endswith(("_fraction", "repeat", "_in_group")) and "correlation" not in name
    )
    assert all(-1 <= value <= 1 for name, value in found.items() if "correlation" in name)
    ordered = [found[f"advantages/p{p}"] for p in QUANTILES if f"advantages/p{p}" in found]
    assert ordered == sorted(ordered)


def by_hand(text: str) -> tuple[float, float]:
    """Repetition of trigrams and the longest repeat, by trying everything."""
    words = [word.lower() for word in re.findall(r"\w+", text)]
    triples = [tuple(words[i : i + 3]) for i in range(len(words) - 2)]
    repeats = [
        size
        for size in range(1, len(words))
        if len({tuple(words[i : i + size]) for i in range(len(words) - size + 1)}) < len(words) - size + 1
    ]
    return 1 - len(set(triples)) / max(len(triples), 1) if triples else 0.0, max(repeats, default=0) / max(
        len(words), 1
    )


FEW_WORDS = st.lists(st.sampled_from(["a", "A", "b.", "it's", "\u0130s", "\u1f66\u03a3", "\u5b57"]), max_size=12).map(
    " ".join
)


@given(st.lists(st.tuples(st.integers(0, 2), FEW_WORDS), min_size=1, max_size=8))
def test_signs_of_texts_are_the_means_of_what_each_shows_by_hand(drawn: list[tuple[int, str]]) -> None:
    found = step_diagnosis([row(0.5, group=group, text=text) for group, text in drawn])
    known = [by_hand(text) for _, text in drawn]
    assert found["text/repetition"] == pytest.approx(fmean(one for one, _ in known))
    assert found["text/longest_repeat"] == pytest.approx(fmean(one for _, one in known))
    shares = []
    for group in {group for group, _ in drawn}:
        words = [[w.lower() for w in re.findall(r"\w+", text)] for number, text in drawn if number == group]
        triples = [tuple(one[i : i + 3]) for one in words for i in range(len(one) - 2)]
        shares += [len(set(triples)) / len(triples)] if triples else []
    assert found.get("text/distinct_3_in_group") == (pytest.approx(fmean(shares)) if shares else None)


@given(ROWS, st.randoms(use_true_random=False))
def test_the_order_of_rows_does_not_matter(rows: list[StepRow], draw: Any) -> None:
    shuffled = list(rows)
    draw.shuffle(shuffled)
    other = step_diagnosis(shuffled)
    for name, value in step_diagnosis(rows).items():
        assert other[name] == pytest.approx(value, abs=1e-9), name


@given(st.lists(st.floats(-100, 100), min_size=1, max_size=30), st.sampled_from(QUANTILES))
def test_percentiles_are_numpys(values: list[float], percent: int) -> None:
    assert quantile(sorted(values), percent) == pytest.approx(float(np.percentile(values, percent)), abs=1e-9)


def test_no_values_have_no_percentile() -> None:
    with pytest.raises(ValueError, match="no percentiles"):
        quantile([], 50)


def test_percentiles_of_the_ratio() -> None:
    ratios = torch.linspace(0.5, 1.5, 101)
    found = ratio_quantiles(ratios[torch.randperm(101)])
    assert list(found.values()) == pytest.approx([0.55, 0.75, 1.0, 1.25, 1.45], abs=1e-6)
    assert set(found) == {f"sampling/importance_sampling_ratio/p{p}" for p in QUANTILES}
    assert ratio_quantiles(torch.ones(0)) == {}
    assert ratio_quantiles(torch.ones(3_000_000))["sampling/importance_sampling_ratio/p50"] == 1.0


def test_groups_are_put_together_in_the_order_in_which_they_come() -> None:
    rows = [row(float(place), group=group) for place, group in enumerate([2, 0, 2, 1])]
    assert [[r.reward for r in group] for group in by_drawn_group(rows)] == [[0.0, 2.0], [1.0], [3.0]]
    assert by_drawn_group([replace(rows[0], group=9)]) == [[replace(rows[0], group=9)]]
