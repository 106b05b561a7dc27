"""Estimators of whole completions: golden vectors, and what holds for every group."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lengthctl.config.advantage import Baseline, KeepBy, Scale
from lengthctl.train.advantages import gfpo_advantages, gfpo_members, relative_advantages

CASES = json.loads((Path(__file__).parents[2] / "golden" / "rl_objectives.json").read_text())["cases"]
PAIRS: dict[str, tuple[Baseline, Scale]] = {
    "adv.grpo": ("group_mean", "group_std"),
    "adv.grpo_floor": ("group_mean", "group_std"),
    "adv.dr_grpo": ("group_mean", "none"),
    "adv.rloo": ("leave_one_out", "none"),
    "adv.batch_scaled": ("group_mean", "batch_std"),
    "adv.reinforce_pp": ("batch_mean", "centred_batch_std"),
    "adv.reinforce_pp_baseline": ("group_mean", "centred_batch_std"),
}
LENGTHS = [900, 400, 700, 300, 1200, 500]  # those whose rewards a token `C3-gfpo-eff` lists
OF_POPULATION = "C1-grpo-pop"  # GFPO's form, where it keeps all
REWARD = st.one_of(st.none(), st.floats(-2, 2, width=16))
GROUPS = st.lists(st.lists(REWARD, min_size=1, max_size=5), min_size=1, max_size=4)
EIGHTHS = st.integers(-16, 16).map(lambda n: n / 8)
KNOWN = st.lists(st.lists(EIGHTHS, min_size=2, max_size=5), min_size=1, max_size=4)
BASELINES = ("group_mean", "leave_one_out", "batch_mean", "none")
SCALES = ("group_std", "batch_std", "centred_batch_std", "none")
EVERY_PAIR = [(b, s) for b in BASELINES for s in SCALES if (b, s) != ("none", "centred_batch_std")]


@pytest.mark.parametrize(
    "case", [c for c in CASES if c["method"] in PAIRS and c["id"] != OF_POPULATION], ids=lambda c: str(c["id"])
)
def test_golden_vectors(case: dict[str, Any]) -> None:
    baseline, scale = PAIRS[case["method"]]
    given_groups = case["inputs"].get("groups") or [case["inputs"]["rewards"]]
    expected = case["expected"] if "groups" in case["inputs"] else [case["expected"]]
    found = relative_advantages(given_groups, baseline=baseline, scale=scale, std_floor=case["inputs"].get("floor"))
    for own, wanted in zip(found, expected, strict=True):
        assert own == pytest.approx(wanted, abs=case["tolerance"])


@pytest.mark.parametrize("case", [c for c in CASES if c["method"] == "gfpo"], ids=lambda c: str(c["id"]))
def test_golden_gfpo(case: dict[str, Any]) -> None:
    rewards, keep = case["inputs"]["rewards"], case["inputs"]["k"]
    by: KeepBy = "reward_per_token" if case["inputs"]["descending"] else "length"
    lengths = LENGTHS if by == "reward_per_token" else case["inputs"]["metric"]
    assert gfpo_members(rewards, lengths, keep=keep, by=by) == case["expected"]["kept"]
    found = gfpo_advantages(rewards, lengths, keep=keep, by=by)
    assert found == pytest.approx(case["expected"]["advantages"], abs=case["tolerance"])


def test_gfpo_that_keeps_all_is_the_papers_grpo() -> None:
    (case,) = [c for c in CASES if c["id"] == OF_POPULATION]
    found = gfpo_advantages(case["inputs"]["rewards"], [1, 2, 3, 4], keep=4, by="length")
    assert found == pytest.approx(case["expected"], abs=case["tolerance"])


def test_gfpo_does_not_take_long_for_good_where_all_is_wrong() -> None:
    """-1 / 10 is less than -1 / 100: without the shift the longest wrong ones would count as the most efficient."""
    assert gfpo_members([-1.0, -1.0, 0.5], [10, 100, 50], keep=2, by="reward_per_token") == [0, 2]
    assert gfpo_members([-1.0, -0.9, -1.0], [100, 10, 10], keep=1, by="reward_per_token") == [1]


def test_gfpo_never_keeps_what_does_not_count() -> None:
    assert gfpo_members([None, 1.0, 0.0], [1, 9, 5], keep=2, by="length") == [1, 2]
    assert gfpo_advantages([None, 1.0, 0.0], [1, 9, 5], keep=2, by="length") == [0.0, 1.0, -1.0]
    assert gfpo_advantages([None, None], [1, 2], keep=2, by="length") == [0.0, 0.0]
    assert gfpo_advantages([0.4], [0], keep=1, by="reward_per_token") == [0.0]
    with pytest.raises(ValueError, match="at least one"):
        gfpo_members([1.0], [1], keep=0, by="length")


def test_only_reinforce_pp_pushes_a_group_of_equals() -> None:
    groups = [[1.0, 0.0], [0.0, 0.0]]
    for baseline, scale in EVERY_PAIR:
        equal = relative_advantages(groups, baseline=baseline, scale=scale)[1]
        assert (equal[0] < 0) == (baseline == "batch_mean")


def test_without_baseline_and_scale_the_reward_is_the_advantage() -> None:
    assert relative_advantages([[1.0, None, -1.0]], baseline="none", scale="none") == [[1.0, 0.0, -1.0]]


def test_what_has_no_meaning_is_refused() -> None:
    with pytest.raises(ValueError, match="without members"):
        relative_advantages([[1.0], []], baseline="group_mean", scale="none")
    with pytest.raises(ValueError, match="needs a baseline"):
        relative_advantages([[1.0]], baseline="none", scale="centred_batch_std")
    assert relative_advantages([], baseline="batch_mean", scale="batch_std") == []


@given(GROUPS, st.sampled_from(EVERY_PAIR), st.one_of(st.none(), st.floats(0.01, 1)))
def test_shapes_finite_and_silent_members(
    groups: list[list[float | None]], pair: tuple[Baseline, Scale], floor: float | None
) -> None:
    found = relative_advantages(groups, baseline=pair[0], scale=pair[1], std_floor=floor)
    assert [len(own) for own in found] == [len(group) for group in groups]
    for own, group in zip(found, groups, strict=True):
        assert all(abs(value) < float("inf") for value in own)
        assert all(value == 0 for value, reward in zip(own, group, strict=True) if reward is None)
    without = [[reward for reward in group if reward is not None] for group in groups]
    if all(without):
        again = relative_advantages(without, baseline=pair[0], scale=pair[1], std_floor=floor)
        flat = [
            v
            for own, group in zip(found, groups, strict=True)
            for v, r in zip(own, group, strict=True)
            if r is not None
        ]
        assert flat == pytest.approx([v for own in again for v in own], abs=1e-9)


@given(KNOWN, st.sampled_from(SCALES))
def test_a_group_sums_to_nothing(groups: list[list[float]], scale: Scale) -> None:
    for baseline in ("group_mean", "leave_one_out"):
        for own in relative_advantages(groups, baseline=cast(Baseline, baseline), scale=scale):
            assert sum(own) == pytest.approx(0, abs=1e-6)
    of_all = relative_advantages(groups, baseline="batch_mean", scale="centred_batch_std")
    assert sum(value for own in of_all for value in own) == pytest.approx(0, abs=1e-5)


@given(KNOWN, st.sampled_from(EVERY_PAIR), st.floats(-3, 3, width=16))
def test_a_shift_of_all_rewards_changes_nothing(
    groups: list[list[float]], pair: tuple[Baseline, Scale], shift: float
) -> None:
    if pair[0] == "none":
        return
    moved = [[reward + shift for reward in group] for group in groups]
    before, after = (relative_advantages(x, baseline=pair[0], scale=pair[1]) for x in (groups, moved))
    for own, other in zip(before, after, strict=True):
        assert other == pytest.approx(own, abs=1e-5, rel=1e-4)


@given(KNOWN, st.floats(0.5, 4))
def test_scaled_estimators_do_not_see_the_size_of_rewards(groups: list[list[float]], factor: float) -> None:
    grown = [[reward * factor for reward in group] for group in groups]
    before, after = (relative_advantages(x, baseline="group_mean", scale="centred_batch_std") for x in (groups, grown))
    for own, other in zip(before, after, strict=True):
        assert other == pytest.approx(own, abs=1e-3, rel=1e-3)
    plain, larger = (relative_advantages(x, baseline="leave_one_out", scale="none") for x in (groups, grown))
    for own, other in zip(plain, larger, strict=True):
        assert other == pytest.approx([value * factor for value in own], abs=1e-6)


@given(GROUPS, st.sampled_from(EVERY_PAIR))
def test_members_and_groups_have_no_order(groups: list[list[float | None]], pair: tuple[Baseline, Scale]) -> None:
    found = relative_advantages(groups, baseline=pair[0], scale=pair[1])
    turned = relative_advantages([group[::-1] for group in groups[::-1]], baseline=pair[0], scale=pair[1])
    for own, other in zip(found, turned[::-1], strict=True):
        assert other[::-1] == pytest.approx(own, abs=1e-9)


@given(KNOWN, KNOWN, st.sampled_from([(b, s) for b in BASELINES[:2] for s in ("group_std", "none")]))
def test_groups_do_not_touch_each_other_unless_the_step_is_compared(
    first: list[list[float]], second: list[list[float]], pair: tuple[Baseline, Scale]
) -> None:
    together = relative_advantages(first + second, baseline=pair[0], scale=pair[1])
    assert together[: len(first)] == relative_advantages(first, baseline=pair[0], scale=pair[1])


@given(
    st.lists(st.tuples(REWARD, st.integers(0, 50)), min_size=1, max_size=8),
    st.integers(1, 8),
    st.sampled_from(["length", "reward_per_token"]),
)
def test_gfpo_invariants(members: list[tuple[float | None, int]], keep: int, by: KeepBy) -> None:
    rewards, lengths = [r for r, _ in members], [n for _, n in members]
    kept = gfpo_members(rewards, lengths, keep=keep, by=by)
    counted = [place for place, reward in enumerate(rewards) if reward is not None]
    assert len(kept) == min(keep, len(counted))
    assert set(kept) <= set(counted)
    found = gfpo_advantages(rewards, lengths, keep=keep, by=by)
    assert sum(found) == pytest.approx(0, abs=1e-6)
    assert all(found[place] == 0 for place in range(len(members)) if place not in kept)
    if by == "length" and kept:
        longest = max(lengths[place] for place in kept)
        assert all(lengths[place] >= longest for place in counted if place not in kept)
