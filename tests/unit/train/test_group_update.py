"""What of a scored batch is trained, by which advantages, and what the loss divides by."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import torch
from small_batches import small_scored

from lengthctl.config.advantage import AdvantageConfig
from lengthctl.train.estimators import survivor_advantages
from lengthctl.train.group_update import GroupUpdate, Update
from lengthctl.train.scored import Scored

REWARDS = [0.0, 1.0, 0.5, 0.5, 0.25, 0.75]  # the middle one of three groups of two is silent


def nothing_spare() -> Iterator[dict[str, Any]]:
    raise AssertionError("no prompt was to be drawn")


def nothing_scored(rows: list[dict[str, Any]]) -> Scored:
    raise AssertionError(f"{len(rows)} rows were not to be drawn")


def update(scored: Scored, group_size: int = 2, loss_type: str = "dapo", **options: Any) -> Update:
    names = ("survivor_decay", "extremes")
    own = {name: options.pop(name) for name in names if name in options}
    rule = GroupUpdate(AdvantageConfig(**options), group_size, loss_type, pad_id=0, **own)
    return rule(scored, nothing_spare, nothing_scored)


def test_by_default_the_batch_is_trls() -> None:
    scored = small_scored(REWARDS)
    found = update(scored)
    for name, value in scored.batch.items():
        assert torch.equal(found.batch[name], value), name
    assert (found.rows, found.is_empty) == (None, False)
    assert found.advantages == dict.fromkeys(range(6), 7.0)
    assert set(found.metrics) == {"speed/estimator_seconds"}


def test_dropped_groups_leave_the_batch_and_its_divisor() -> None:
    found = update(small_scored(REWARDS), filter="spread")
    assert found.batch["completion_mask"].sum(dim=1).tolist() == [1, 2, 5, 6]
    assert found.batch["num_items_in_batch"] == 14
    assert sorted(found.advantages) == [0, 1, 4, 5]
    assert found.metrics["groups/kept_fraction"] == pytest.approx(2 / 3)
    assert "loss_weight" not in found.batch


def test_statistics_of_the_step_are_those_of_what_is_trained() -> None:
    """The silent group would widen the deviation: 0.5, -0.5, 0.25, -0.25 without it."""
    found = update(small_scored(REWARDS), filter="spread", scale="centred_batch_std")
    spread = (2 * 0.5**2 / 4 + 2 * 0.25**2 / 4) ** 0.5
    wanted = [value / spread for value in (-0.5, 0.5, -0.25, 0.25)]
    assert found.batch["advantages"].tolist() == pytest.approx(wanted, abs=1e-5)


@pytest.mark.parametrize(
    ("options", "wanted"),
    [
        ({"baseline": "leave_one_out"}, [-1.0, 1.0, 0.0, 0.0, -0.5, 0.5]),
        ({"scale": "none"}, [-0.5, 0.5, 0.0, 0.0, -0.25, 0.25]),  # less the group's mean
        ({"baseline": "none"}, REWARDS),
        ({"scale": "group_std", "std_floor": 2.0}, [-0.25, 0.25, 0.0, 0.0, -0.125, 0.125]),
    ],
)
def test_the_recipes_estimator_replaces_trls(options: dict[str, Any], wanted: list[float]) -> None:
    assert update(small_scored(REWARDS), **options).batch["advantages"].tolist() == pytest.approx(wanted)


def test_a_step_without_anything_to_learn_is_one_row_that_weighs_nothing() -> None:
    found = update(small_scored([0.5] * 4, [4, 3, 2, 5]), filter="spread")
    assert found.is_empty
    assert found.batch["completion_mask"].tolist() == [[1, 1]]  # the shortest
    assert found.batch["advantages"].tolist() == [0.0]
    assert found.batch["loss_weight"] == 0
    assert found.batch["num_items_in_batch"] == 0
    assert found.advantages == {}


def test_gfpo_trains_the_kept_and_divides_by_all() -> None:
    scored = small_scored([1.0, 0.0, 1.0, 0.0, 1.0, 1.0], [9, 4, 7, 3, 12, 5])  # C3-gfpo-short
    found = update(scored, group_size=6, keep=3)
    assert found.batch["completion_mask"].sum(dim=1).tolist() == [4, 3, 5]
    assert found.batch["advantages"].tolist() == pytest.approx([-0.70710678, -0.70710678, 1.41421356])
    assert (found.batch["num_items_in_batch"], found.rows) == (40, 6)
    assert found.metrics["selection/kept_fraction"] == 0.5


def test_gfpo_of_a_step_in_which_everything_failed_trains_no_advantage() -> None:
    found = update(small_scored([None] * 4), group_size=4, keep=2)
    assert found.batch["advantages"].tolist() == [0.0]


def test_extremes_keep_the_baseline_of_their_group_and_the_divisor_of_every_step() -> None:
    rewards = [0.0, 0.2, 0.6, 1.0, 0.5, 0.5, 0.5, 0.5]
    found = update(small_scored(rewards), group_size=4, scale="none", extremes=(1, 1))
    assert found.batch["advantages"].tolist() == pytest.approx([-0.45, 0.55])
    assert (found.rows, found.batch["num_items_in_batch"]) == (4, 5)


def test_a_completion_that_is_masked_whole_is_no_extreme() -> None:
    scored = small_scored([0.0, 0.5, 1.0], [2, 3, 4])
    scored.batch["completion_mask"][0] = 0
    assert sorted(update(scored, group_size=3, extremes=(1, 1)).advantages) == [1, 2]


def test_survivors_have_an_advantage_a_token() -> None:
    rewards, lengths = [0.0, 0.6, 0.3], [1, 2, 3]
    found = update(small_scored(rewards, lengths), group_size=3, survivor_decay=0.5)
    wanted = survivor_advantages(rewards, lengths, decay=0.5)
    for row, own in enumerate(wanted):
        assert found.batch["advantages"][row, : len(own)].tolist() == pytest.approx(own)
        assert not found.batch["advantages"][row, len(own) :].any()
        assert found.advantages[row] == pytest.approx(sum(own) / len(own))


def test_other_prompts_fill_the_step() -> None:
    rows = [{"prompt": "other"}]

    def score(asked: list[dict[str, Any]]) -> Scored:
        assert asked == [{"prompt": "other"}] * 2
        return small_scored([1.0, 0.0], [8, 7], prompts=[2, 2], first=4)

    rule = GroupUpdate(AdvantageConfig(filter="spread", resample_rounds=2, scale="none"), 2, "dapo", pad_id=0)
    found = rule(small_scored([0.5, 0.5, 0.25, 0.75]), lambda: iter(rows), score)
    assert found.batch["completion_mask"].sum(dim=1).tolist() == [3, 4, 8, 7]
    assert found.batch["prompt_mask"].tolist() == [[0, 1], [0, 1], [1, 1], [1, 1]]
    assert found.advantages == {2: -0.25, 3: 0.25, 4: 0.5, 5: -0.5}
    assert found.batch["num_items_in_batch"] == 22
    assert found.metrics["groups/trained"] == 2


def test_a_completion_that_trl_masks_whole_is_not_the_shortest() -> None:
    scored = small_scored([0.0, 1.0, 0.0, 1.0], [9, 4, 7, 3])
    scored.batch["completion_mask"][[0, 2]] = 0  # trainer.mask_truncated_completions
    found = update(scored, group_size=4, keep=2)
    assert sorted(found.advantages) == [1, 3]
    assert int(found.batch["completion_mask"].sum()) == 7
