"""Length terms of reasoning: golden values of every paper's form, edge cases, memory over a run."""

from __future__ import annotations

import json
import math
from itertools import chain
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lengthctl.length import Relation, Target, Unit
from lengthctl.rewards.build import Reward, build_reward
from lengthctl.rewards.groups import group_places
from lengthctl.rewards.laser_d import LaserDReward
from lengthctl.rewards.length_monitor import LengthMonitor, choose_target
from lengthctl.rewards.short_rl import ShortRlReward
from lengthctl.rewards.token_counts import token_counts

GOLDEN = json.loads((Path(__file__).parents[2] / "golden" / "length_terms.json").read_text())
LOOP = "and again " * 300


def ask(
    reward: Reward, lengths: list[int], correct: list[int | None] | None = None, **columns: Any
) -> list[float | None]:
    """One group of completions with these lengths in tokens, unless the columns say otherwise."""
    texts = columns.pop("texts", [f"text {place}" for place in range(len(lengths))])
    given: dict[str, Any] = {"group": [0] * len(lengths), "completion_ids": [[7] * n for n in lengths], **columns}
    if correct is not None:
        given["is_correct"] = [None if ok is None else bool(ok) for ok in correct]
    return list(reward(completions=texts, **given))


def built(name: str, **args: Any) -> Reward:
    """By its class: `build_reward` is not what is tested here."""
    return type(build_reward(name, {}))(**args)


@pytest.mark.parametrize("name", GOLDEN["terms"])
def test_golden(name: str) -> None:
    case = GOLDEN["terms"][name]
    reward = built(case["reward"], **case["args"])
    if "targets" in case:
        reward.load_state_dict({**LaserDReward().state_dict(), "targets": case["targets"]})
    columns = dict(case.get("columns", {}))
    if "repeated" in case:
        columns["texts"] = [LOOP if again else "no word of it comes twice" for again in case["repeated"]]
    values = ask(reward, case["lengths"], case.get("correct"), **columns)
    assert values == pytest.approx(case["expected"], abs=1e-6)


def test_golden_grpo_lambda() -> None:
    case = GOLDEN["grpo_lambda"]
    lengths, correct, expected = (list(chain(*case[key])) for key in ("lengths", "correct", "expected"))
    groups = [place for place, group in enumerate(case["lengths"]) for _ in group]
    reward = built("grpo_lambda", share=case["share"], alpha=case["alpha"])
    assert ask(reward, lengths, correct, group=groups) == pytest.approx(expected, abs=1e-7)


def test_grpo_lambda_takes_no_group_more_for_a_rounding_error() -> None:
    values = ask(built("grpo_lambda", share=0.07, alpha=0.5), [10] * 100, [1] * 100, group=list(range(100)))
    assert sorted(values) == pytest.approx([0.75] * 7 + [1.0] * 93)


def test_golden_choice_of_a_target() -> None:
    case = GOLDEN["choose_target"]
    chosen = [choose_target(case["candidates"], case["coverage"], right) for right in case["expected_right"]]
    assert chosen == case["expected"]
    assert choose_target([10, 20], [0.0, 0.1], 3) == 20


class TestGroups:
    def test_by_the_column_wherever_its_rows_stand(self) -> None:
        assert group_places(5, {"group": [4, 9, 4, 9, 4], "prompt_id": list("aaaaa")}) == [[0, 2, 4], [1, 3]]

    def test_by_runs_of_prompt_id_and_level(self) -> None:
        assert group_places(5, {"prompt_id": list("aabba")}) == [[0, 1], [2, 3], [4]]
        levels = ["short", "long", "long", "long", "long"]
        assert group_places(5, {"prompt_id": list("aabba"), "level": levels}) == [[0], [1], [2, 3], [4]]

    def test_by_runs_of_prompts_as_plain_trl_hands_them(self) -> None:
        ask_a, ask_b = [{"role": "user", "content": "a"}], [{"role": "user", "content": "b"}]
        assert group_places(3, {"prompts": [ask_a, [dict(ask_a[0])], ask_b]}) == [[0, 1], [2]]

    def test_nothing_to_tell_them_apart(self) -> None:
        with pytest.raises(ValueError, match="pass one of group, prompt_id, prompts"):
            group_places(2, {"group": None})
        with pytest.raises(ValueError, match="group has 1 rows for 2 completions"):
            group_places(2, {"group": [0]})
        assert group_places(0, {}) == []

    @given(st.lists(st.integers(0, 3), min_size=1), st.sampled_from(["group", "prompt_id", "prompts"]))
    def test_every_place_stands_in_one_group(self, keys: list[int], column: str) -> None:
        groups = group_places(len(keys), {column: keys})
        assert sorted(place for places in groups for place in places) == list(range(len(keys)))
        assert all(len({keys[place] for place in places}) == 1 for places in groups)


class Letters:
    def encode(self, text: str, *, add_special_tokens: bool) -> list[int]:
        return [ord(c) for c in text]


def test_tokens_are_those_sampled_where_they_are_known() -> None:
    assert token_counts(["abc", ""], {"completion_ids": [[1] * 9, []], "tokenizer": Letters()}) == [9, 0]
    assert token_counts(["abc", [{"role": "assistant", "content": "ab"}]], {"tokenizer": Letters()}) == [3, 2]
    with pytest.raises(ValueError, match="pass the column completion_ids, or a tokenizer"):
        token_counts(["abc"], {})
    with pytest.raises(ValueError, match="completion_ids has 2 rows for 1 completions"):
        token_counts(["abc"], {"completion_ids": [[1], [2]]})


class TestLcpo:
    def test_counts_in_the_unit_of_the_target(self) -> None:
        texts = ["one two three", "one two three"]
        targets = [Target(5), Target(5, unit=Unit.TOKENS).to_row()]
        values = ask(built("lcpo_exact", alpha=0.1), [9, 9], [1, 1], texts=texts, target=targets)
        assert values == pytest.approx([0.8, 0.6])

    def test_what_is_allowed_costs_nothing(self) -> None:
        targets = [Target(5, Relation.RANGE, Unit.TOKENS, high=9), Target(5, Relation.AT_MOST, Unit.TOKENS)]
        assert ask(built("lcpo_exact", alpha=0.1), [7, 7], [1, 1], target=targets) == pytest.approx([1.0, 0.8])

    def test_maximum_of_each_relation(self) -> None:
        targets = [
            Target(100, Relation.AT_LEAST, Unit.TOKENS),
            Target(50, Relation.RANGE, Unit.TOKENS, high=100),
            Target(100, Relation.ABOUT, Unit.TOKENS, tolerance=0.1),
        ]
        assert ask(built("lcpo_max"), [100] * 3, [1] * 3, target=targets) == pytest.approx([1.0, 0.5, 0.5])

    def test_a_row_without_target_or_answer_is_left_out(self) -> None:
        values = ask(built("lcpo_max"), [5] * 3, [1, None, 1], target=[None, 9, 9], texts=["a"] * 3)
        assert values[:2] == [None, None]
        assert values[2] == pytest.approx(0.5024)
        with pytest.raises(ValueError, match="column target is missing"):
            ask(built("lcpo_exact"), [5], [1])


def test_a_failed_completion_counts_in_no_statistic() -> None:
    lengths, right = [0, 400, 800], [0, 1, 1]
    values = ask(built("kimi"), lengths, right, is_failed=[True, False, False])
    assert values == [None, *ask(built("kimi"), lengths[1:], right[1:])]


@pytest.mark.parametrize("name", ["kimi", "shorter_better", "arora_zanette", "alp", "gr3", "short_rl"])
def test_a_row_without_answer_counts_in_no_statistic(name: str) -> None:
    with_it = ask(built(name), [400, 9, 800, 1200], [1, None, 0, 1])
    without = ask(built(name), [400, 800, 1200], [1, 0, 1])
    assert with_it == [without[0], None, *without[1:]]


def test_kimi_weighs_its_term() -> None:
    assert ask(built("kimi", length_weight=0.2), [100, 200], [1, 0]) == pytest.approx([1.1, -0.1])
    assert ask(built("kimi", length_weight=0.2), [100], [1]) == [1.0]


def test_arora_zanette_leaves_out_what_was_cut() -> None:
    cut = ask(built("arora_zanette"), [400, 1200, 9000], [1, 1, 1], is_truncated=[False, False, True])
    assert cut == [*ask(built("arora_zanette"), [400, 1200], [1, 1]), 0.0]
    assert ask(built("arora_zanette", alpha=0.4), [400], [1]) == pytest.approx([0.8])


def test_equal_right_lengths_do_not_overflow() -> None:
    sigmoid = {"form": "sigmoid_group", "gate": "all", "short": 0.5}
    values = ask(built("tldr", **sigmoid), [5, 5, 100_000, 1], [1, 1, 0, 0], level=["short"] * 4)
    assert values == pytest.approx([0.75, 0.75, -0.5, 0.0])


class TestO1Pruner:
    def test_is_cut_so_that_brevity_alone_does_not_win(self) -> None:
        references = {"reference_tokens": [1100] * 2, "reference_accuracy": [0.5] * 2}
        assert ask(built("o1_pruner"), [1, 100_000], [0, 0], **references) == pytest.approx([4.0, -1.9890], abs=1e-4)

    def test_an_empty_completion_is_wrong(self) -> None:
        references = {"reference_tokens": [1100], "reference_accuracy": [0.5]}
        assert ask(built("o1_pruner"), [0], [1], **references) == [-1.0]

    def test_rows_without_reference(self) -> None:
        references = {"reference_tokens": [None], "reference_accuracy": [0.5]}
        assert ask(built("o1_pruner"), [3], [1], **references) == [None]
        with pytest.raises(ValueError, match="column reference_tokens is missing"):
            ask(built("o1_pruner"), [3], [1])
        with pytest.raises(ValueError, match=r"in \[0, 1\]"):
            ask(built("o1_pruner"), [3], [1], reference_tokens=[5], reference_accuracy=[50])


class TestDler:
    def test_what_the_limit_cut_is_wrong(self) -> None:
        assert ask(built("dler", limit=9), [9, 9, 10], [1, 1, 1], is_truncated=[False, True, False]) == [1.0, 0.0, 0.0]

    def test_an_easy_prompt_has_less_room(self) -> None:
        reward = built("dler", limit=10, easy_limit=5)
        assert ask(reward, [4, 8, 8, 20], [1, 1, 0, 1]) == [1.0, 0.0, 0.0, 0.0]
        assert ask(reward, [8, 4, 8, 20], [1, 0, 0, 1]) == [1.0, 0.0, 0.0, 0.0]


def test_overlong_without_cache_is_a_step() -> None:
    assert ask(built("overlong", max_tokens=10, cache_tokens=0), [0, 10, 11]) == [0.0, 0.0, -1.0]


def test_cosine_may_have_a_value_of_its_own_over_the_limit() -> None:
    reward = built("cosine", max_tokens=100, over=-10.0)
    assert ask(reward, [100, 101, 50], [1, 1, 1], is_truncated=[False, False, True]) == [0.5, -10.0, -10.0]
    assert (reward.lowest, reward.highest) == (-10.0, 1.0)


def test_gr3_of_empty_completions_is_finite() -> None:
    assert ask(built("gr3"), [0, 0], [0, 1]) == [0.0, 1.0]


class TestTldr:
    def test_a_level_that_is_none_is_named(self) -> None:
        with pytest.raises(ValueError, match="one of short, medium, long, found 'brief'"):
            ask(built("tldr"), [5], [1], level=["brief"])
        with pytest.raises(ValueError, match="column level is missing"):
            ask(built("tldr"), [5], [1])
        assert ask(built("tldr"), [5, 5], [1, 1], level=[None, "long"]) == [None, 1.0]

    def test_lcpo_form(self) -> None:
        reward = built("tldr", form="lcpo", alpha=0.01, short=0.5, short_tokens=100, gate="all")
        values = ask(reward, [100, 200, 20, 200], [1, 1, 1, 0], level=["short"] * 4)
        assert values == pytest.approx([0.75, 0.5, 1.0, -0.5])

    def test_needs_no_groups_where_it_compares_none(self) -> None:
        reward = built("tldr", max_tokens=10)
        assert ask(reward, [5], [1], level=["short"], group=None) == [0.75]
        with pytest.raises(ValueError, match="no column tells the groups apart"):
            ask(built("tldr", form="sigmoid_group"), [5], [1], level=["short"], group=None)


class TestShortRl:
    def test_is_off_while_accuracy_is_down(self) -> None:
        case = GOLDEN["short_rl_off"]
        reward, other = ShortRlReward(), case["other_group"]
        reward.load_state_dict({"best_accuracy": case["best_accuracy"]})
        size = len(case["lengths"])
        values = ask(
            reward, case["lengths"] + [50] * len(other), case["correct"] + other, group=[0] * size + [1] * len(other)
        )
        assert values[:size] == case["expected"]
        assert values[size:] == [float(ok) for ok in other]

    def test_the_best_accuracy_outlives_a_run(self) -> None:
        first, second = ShortRlReward(tolerance=0), ShortRlReward(tolerance=0)
        assert ask(first, [10, 20], [1, 1]) == pytest.approx([1.5, 0.5], abs=1e-5)
        second.load_state_dict(json.loads(json.dumps(first.state_dict())))
        assert ask(second, [10, 20, 30], [1, 1, 0]) == [1.0, 1.0, 0.0]
        assert ask(ShortRlReward(tolerance=0), [10, 20, 30], [1, 1, 0]) == pytest.approx([1.5, 0.5, 0.0], abs=1e-5)

    def test_remembers_no_evaluation(self) -> None:
        reward = ShortRlReward()
        ask(reward, [10], [1], is_evaluation=[True])
        assert reward.state_dict() == {"best_accuracy": 0.0}

    def test_nothing_graded(self) -> None:
        reward = ShortRlReward()
        assert ask(reward, [10], [None]) == [None]
        assert reward.state_dict() == {"best_accuracy": 0.0}


class TestLaserD:
    def test_targets_follow_the_lengths_of_each_difficulty(self) -> None:
        reward = LaserDReward(start_tokens=1000, spacing=10, max_tokens=60, every=2)
        easy, hard = [12, 14, 25, 60], [35, 45, 55, 70]
        for step in range(3):
            told: dict[str, float] = {}
            trl = {"trainer_state": SimpleNamespace(global_step=step), "log_metric": told.__setitem__}
            ask(reward, easy + hard, [1, 1, 1, 0, 1, 0, 0, 0], group=[0] * 4 + [1] * 4, **trl)
            if step < 2:
                assert set(told.values()) == {1000}
        # Easy keeps 3 right of 4 at least, so a third of the lengths must fit; hard keeps 1: none before all would.
        assert told == {"laser_d/target_easy": 20, "laser_d/target_medium": 1000, "laser_d/target_hard": 60}

    def test_without_a_trainer_every_call_is_a_step(self) -> None:
        reward = LaserDReward(start_tokens=1000, spacing=10, max_tokens=60, every=3)
        values = [ask(reward, [15, 15], [1, 0]) for _ in range(4)]
        assert [value[0] for value in values] == [1.5, 1.5, 1.5, 1.5]
        assert reward.state_dict()["targets"] == {"easy": 1000, "medium": 20, "hard": 1000}

    def test_a_resumed_run_goes_on_alike(self) -> None:
        args = {"start_tokens": 1000, "spacing": 10, "max_tokens": 60, "every": 4}
        whole, first, second = LaserDReward(**args), LaserDReward(**args), LaserDReward(**args)
        calls = [([10 + place, 30 + place], [1, place % 2]) for place in range(12)]
        expected = [ask(whole, *call) for call in calls]
        before = [ask(first, *call) for call in calls[:6]]
        second.load_state_dict(json.loads(json.dumps(first.state_dict())))
        assert before + [ask(second, *call) for call in calls[6:]] == expected
        assert second.state_dict() == whole.state_dict()

    def test_remembers_no_evaluation(self) -> None:
        reward = LaserDReward()
        ask(reward, [10, 20], [1, 0], is_evaluation=[True, True])
        assert reward.state_dict() == LaserDReward().state_dict()

    def test_lengths_counted_by_other_candidates_are_dropped(self) -> None:
        first, second = LaserDReward(spacing=10, max_tokens=60), LaserDReward(spacing=20, max_tokens=60)
        ask(first, [15, 15], [1, 0])
        second.load_state_dict(first.state_dict())
        assert second.state_dict()["counts"] == {"easy": [0] * 4, "medium": [0] * 4, "hard": [0] * 4}

    @given(st.lists(st.lists(st.tuples(st.integers(0, 200), st.booleans()), min_size=1, max_size=6), max_size=8))
    def test_a_target_is_a_candidate(self, groups: list[list[tuple[int, bool]]]) -> None:
        reward = LaserDReward(start_tokens=7, spacing=25, max_tokens=110, every=1)
        for group in groups:
            ask(reward, [n for n, _ in group], [ok for _, ok in group])
        assert set(reward.state_dict()["targets"].values()) <= {7, 25, 50, 75, 100, 110}


@pytest.mark.parametrize(
    ("name", "args"),
    [
        ("lcpo_exact", {"alpha": 0}),
        ("lcpo_max", {"delta": 1.5}),
        ("kimi", {"length_weight": -1.0}),
        ("shorter_better", {"beta": 0}),
        ("o1_pruner", {"accuracy_weight": 0}),
        ("arora_zanette", {"alpha": 1.0}),
        ("alp", {"norm_tokens": 0}),
        ("grpo_lambda", {"share": 0}),
        ("grpo_lambda", {"alpha": 1.0}),
        ("short_rl", {"slack": 2.0}),
        ("laser", {"target_tokens": 0}),
        ("laser_d", {"every": 0}),
        ("laser_d", {"max_tokens": 10}),
        ("dler", {"easy_limit": 5000}),
        ("overlong", {"cache_tokens": 99_999}),
        ("cosine", {"right_long": 2.0}),
        ("gr3", {"alpha": -0.1}),
        ("tldr", {"short": 1.5}),
        ("tldr", {"alpha": 0}),
    ],
)
def test_an_argument_out_of_range_is_refused(name: str, args: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=r" (is|are|in|>=|at) "):
        built(name, **args)


LENGTH_FALLS = ["kimi", "arora_zanette", "alp", "gr3", "short_rl", "laser", "laser_d", "dler", "cosine", "o1_pruner"]


@pytest.mark.parametrize("name", LENGTH_FALLS)
@given(lengths=st.lists(st.integers(0, 30_000), min_size=2, max_size=8))
def test_of_two_right_answers_the_longer_never_earns_more(name: str, lengths: list[int]) -> None:
    references = {"reference_tokens": [500] * len(lengths), "reference_accuracy": [0.5] * len(lengths)}
    ordered = sorted(n + 1 for n in lengths)
    values = ask(built(name), ordered, [1] * len(lengths), **references)
    assert all(value is not None and math.isfinite(value) for value in values)
    assert values == sorted(values, key=lambda value: -(value or 0.0))


@pytest.mark.parametrize("name", ["arora_zanette", "gr3", "short_rl", "laser", "laser_d", "dler", "cosine", "kimi"])
@given(rows=st.lists(st.tuples(st.integers(0, 30_000), st.booleans()), min_size=2, max_size=8))
def test_a_wrong_answer_never_earns_more_than_a_right_one(name: str, rows: list[tuple[int, bool]]) -> None:
    values = ask(built(name), [n for n, _ in rows], [ok for _, ok in rows])
    right = [value for value, (_, ok) in zip(values, rows, strict=True) if ok]
    wrong = [value for value, (_, ok) in zip(values, rows, strict=True) if not ok]
    assert not right or not wrong or min(right) >= max(wrong)


def test_monitor_refuses_what_it_cannot_choose_from() -> None:
    with pytest.raises(ValueError, match="at least"):
        LengthMonitor(start_tokens=0, spacing=1, max_tokens=1, every=1)
