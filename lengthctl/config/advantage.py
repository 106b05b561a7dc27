"""From rewards to advantages: what a reward is compared with, and which groups and members are trained."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from lengthctl.config.section import Section

__all__ = ["AdvantageConfig", "Baseline", "GroupFilter", "KeepBy", "Scale"]

Baseline = Literal["group_mean", "leave_one_out", "batch_mean", "none"]
Scale = Literal["group_std", "batch_std", "centred_batch_std", "none"]
GroupFilter = Literal["none", "spread", "correct", "skew"]
KeepBy = Literal["length", "reward_per_token"]


class AdvantageConfig(Section):
    """How rewards become advantages and which groups are trained; as it is, TRL's advantages of every group."""

    baseline: Baseline | None = None
    """What is taken off a reward: its group's mean, the mean of the group's others (RLOO, arXiv 2402.14740), the mean
    of all completions of the step (REINFORCE++, arXiv 2501.03262), or nothing (BRPO). None: TRL's advantages, by
    `trainer.scale_rewards`; `group_mean` where `scale` is given."""
    scale: Scale | None = None
    """What that is divided by: the standard deviation of its group's rewards (GRPO), of all rewards of the step (TRL's
    `batch`), of all rewards less their baselines (REINFORCE++, DLER's Eq. 3), or 1. None: as `none`."""
    std_floor: float | None = Field(default=None, gt=0)
    """Never divide by less than this, so that tiny differences of a solved group stay tiny (ours)."""
    keep: int | None = Field(default=None, ge=2)
    """Train so many members of each group and compare them with one another only (GFPO, arXiv 2508.09726)."""
    keep_by: KeepBy = "length"
    """Which: the shortest, or those with the most reward a token."""
    filter: GroupFilter = "none"
    """Groups that are trained. `spread`: whose rewards differ; `correct`: with right and wrong answers (DAPO, arXiv
    2503.14476); `skew`: whose wins and losses are no more one-sided than `max_skew` (BRPO, arXiv 2506.00103)."""
    max_skew: float = Field(default=0.6, gt=0, lt=1)
    """Of `filter: skew`: largest |sum of rewards| over their number."""
    resample_rounds: int = Field(default=0, ge=0)
    """Dynamic sampling (DAPO): draw other prompts for the groups that `filter` dropped, at most so many times a step;
    then what there is is trained."""

    @property
    def replaces(self) -> bool:
        """The advantages are ours, not TRL's."""
        return self.baseline is not None or self.scale is not None or self.keep is not None

    @model_validator(mode="after")
    def _keys_have_effect(self) -> AdvantageConfig:
        if self.keep is not None and (self.baseline is not None or self.scale is not None):
            raise ValueError("keep compares by the mean and deviation of the kept: leave baseline and scale out")
        if self.scale == "centred_batch_std" and self.baseline == "none":
            raise ValueError("scale = centred_batch_std needs a baseline: batch_mean is REINFORCE++'s")
        if self.std_floor is not None and self.scale in (None, "none"):
            raise ValueError(f"std_floor has no effect with scale = {self.scale}: there is no division")
        if self.keep is None and self.keep_by != "length":
            raise ValueError("keep_by has no effect without keep")
        if self.filter != "skew" and self.max_skew != type(self).model_fields["max_skew"].default:
            raise ValueError(f"max_skew has no effect with filter = {self.filter}")
        if self.filter == "none" and self.resample_rounds:
            raise ValueError("resample_rounds has no effect without a filter, which drops groups")
        return self
