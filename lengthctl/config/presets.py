"""Papers as presets: what each sets, where it comes from, and what differs from it.

A preset holds only what makes the method, over TRL's and lengthctl's defaults, so that presets combine:
`[alp, dr_grpo]` is ALP's reward under Dr. GRPO's objective, `[dapo, dr_grpo, tldr]` takes DAPO's clipping and filter,
Dr. GRPO's divisor and TLDR's levels.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

__all__ = ["OfLimit", "Preset", "find_preset", "preset_names"]

_Values = Mapping[str, Any]
_ESTIMATOR = {"baseline", "scale", "std_floor", "keep", "keep_by"}
"""Keys of `train.advantage`, beside which TRL's `scale_rewards` has no effect."""


@dataclass(frozen=True)
class Preset:
    """One paper."""

    source: str
    train: _Values = field(default_factory=dict)
    """Keys of `train`."""
    trainer: _Values = field(default_factory=dict)
    """Options of TRL."""
    rewards: Sequence[_Values] = ()
    """Items of `rewards`; none where the method is one for any reward."""
    differs: str = ""
    """From the paper."""

    @property
    def estimates(self) -> bool:
        """It says how rewards become advantages: of several presets the last one that does decides that as a whole."""
        return "scale_rewards" in self.trainer or not _ESTIMATOR.isdisjoint(self.train.get("advantage", {}))

    def without_estimator(self) -> Preset:
        """The same but for that."""
        rule = {key: value for key, value in self.train.get("advantage", {}).items() if key not in _ESTIMATOR}
        options = {key: value for key, value in self.trainer.items() if key != "scale_rewards"}
        return replace(self, train={**self.train, "advantage": rule} if rule else {}, trainer=options)


@dataclass(frozen=True)
class OfLimit:
    """A number of tokens that follows from the run's `trainer.max_completion_length`."""

    share: float = 1.0


_GRPO: _Values = {"loss_type": "grpo", "scale_rewards": "group"}
_WHITENED: _Values = {"baseline": "group_mean", "scale": "centred_batch_std"}
_ROUNDS = 3
_BOUNDED = f"at most {_ROUNDS} rounds of dynamic sampling (train.advantage.resample_rounds)"


def _length_term(source: str, reward: str, *, args: _Values | None = None, differs: str = "", **trainer: Any) -> Preset:
    """A reward under GRPO's objective."""
    item = {"name": reward, **({"args": dict(args)} if args else {})}
    return Preset(source, trainer={**_GRPO, **trainer}, rewards=(item,), differs=differs)


_OBJECTIVES: dict[str, Preset] = {
    "grpo": Preset("GRPO, arXiv 2402.03300", trainer={**_GRPO, "beta": 0.04}),
    "dr_grpo": Preset(
        "Dr. GRPO, arXiv 2503.20783",
        trainer={"loss_type": "dr_grpo", "scale_rewards": "none", "beta": 0.0},
        differs="the divisor is the limit of a completion, as in its code; the objective of the paper has none",
    ),
    "dapo": Preset(
        "DAPO, arXiv 2503.14476",
        train={"advantage": {"filter": "correct", "resample_rounds": _ROUNDS}},
        trainer={"loss_type": "dapo", "scale_rewards": "group", "epsilon_high": 0.28, "beta": 0.0},
        rewards=(
            {"name": "accuracy", "weight": 2.0},
            {"name": "overlong", "args": {"max_tokens": OfLimit(), "cache_tokens": OfLimit(0.2)}},
        ),
        differs=f"{_BOUNDED}; right answers earn 2 and wrong ones 0, in place of 1 and -1: the same advantages",
    ),
    "gspo": Preset(
        "GSPO, arXiv 2507.18071",
        trainer={**_GRPO, "importance_sampling_level": "sequence", "epsilon": 3e-4, "epsilon_high": 4e-4, "beta": 0.0},
        differs="acts from the second update of a batch on: set trainer.num_iterations or steps_per_generation",
    ),
    "cispo": Preset(
        "CISPO, arXiv 2506.13585",
        trainer={"loss_type": "cispo", "scale_rewards": "group", "epsilon_high": 5.0, "beta": 0.0},
        differs="the cap of the weight is 5, which TRL advises; the paper's is not published",
    ),
    "rloo": Preset(
        "RLOO, arXiv 2402.14740",
        train={"advantage": {"baseline": "leave_one_out", "scale": "none"}},
        trainer={"loss_type": "luspo", "beta": 0.0},
        differs="no KL in the reward; the ratio is each token's, which is the same in the first update of a batch",
    ),
    "reinforce_pp": Preset(
        "REINFORCE++, arXiv 2501.03262",
        train={"advantage": {"baseline": "batch_mean", "scale": "centred_batch_std"}},
        trainer={"loss_type": "dapo", "beta": 0.0},
        differs="no KL in the reward; mean and deviation are those of completions, not of tokens",
    ),
    "reinforce_pp_baseline": Preset(
        "REINFORCE++-baseline, arXiv 2501.03262",
        train={"advantage": dict(_WHITENED)},
        trainer={"loss_type": "dapo", "beta": 0.0},
        differs="no KL; mean and deviation are those of completions, not of tokens",
    ),
    "gfpo": Preset(
        "GFPO, arXiv 2508.09726",
        train={"advantage": {"keep": 8, "keep_by": "length"}},
        trainer={"loss_type": "dapo", "num_generations": 16, "per_device_train_batch_size": 128, "beta": 0.0},
        rewards=({"name": "accuracy"},),
        differs="no KL, no entropy bonus, no dual clip (set trainer.delta) and no adaptive difficulty; accuracy is the "
        "whole reward",
    ),
    "dler": Preset(
        "DLER, arXiv 2510.15110",
        train={"advantage": {**_WHITENED, "filter": "spread", "resample_rounds": _ROUNDS}},
        trainer={"loss_type": "dapo", "epsilon_high": 0.28, "beta": 0.0005},
        rewards=({"name": "dler", "args": {"limit": OfLimit()}},),
        differs=f"{_BOUNDED}; statistics of completions as in Eq. 3, not of tokens as in its code, without the code's "
        "bonus on the advantage of right answers",
    ),
    "brpo": Preset(
        "BRPO, Writing-Zero, arXiv 2506.00103, from public summaries",
        train={"advantage": {"baseline": "none", "scale": "none", "filter": "skew", "resample_rounds": _ROUNDS}},
        trainer={"loss_type": "grpo", "beta": 0.0},
        rewards=({"name": "pairwise"},),
        differs=f"{_BOUNDED}, where the paper does not say how dropped prompts are made up for; its group has 16",
    ),
}

_LENGTH_TERMS: dict[str, Preset] = {
    "l1_exact": _length_term(
        "L1, arXiv 2503.04697", "lcpo_exact", beta=0.001, differs="prompts ask for the target's own unit"
    ),
    "l1_max": _length_term(
        "L1, arXiv 2503.04697",
        "lcpo_max",
        beta=0.001,
        differs="prompts ask for the target's own unit; the paper begins with the model that l1_exact trained",
    ),
    "kimi": Preset(
        "Kimi k1.5, arXiv 2501.12599, Sec. 2.3",
        trainer={"loss_type": "luspo", "scale_rewards": "none", "beta": 0.0},
        rewards=({"name": "kimi"},),
        differs="TRL lacks its squared surrogate (mirror descent): this is that loss's gradient in the first update of "
        "a batch, after which ratios are clipped; the weight of the length term is not published",
    ),
    "shorter_better": _length_term("ShorterBetter, arXiv 2504.21370", "shorter_better"),
    "o1_pruner": Preset(
        "O1-Pruner, arXiv 2501.12570, Eq. 10",
        train={"advantage": {"baseline": "none", "scale": "none"}},
        trainer={"loss_type": "grpo", "beta": 0.0},
        rewards=({"name": "o1_pruner"},),
        differs="TRL lacks its off-policy loss (samples of the reference model, ratio to it): the samples are the "
        "policy's own; rows need the columns reference_tokens and reference_accuracy",
    ),
    "arora_zanette": Preset(
        "Arora and Zanette, arXiv 2502.04463",
        train={"advantage": {"baseline": "leave_one_out", "scale": "none"}},
        trainer={"loss_type": "grpo", "beta": 0.0},
        rewards=({"name": "arora_zanette"},),
        differs="no KL",
    ),
    "alp": _length_term(
        "ALP, Just Enough Thinking, arXiv 2506.05256",
        "alp",
        args={"norm_tokens": OfLimit()},
        differs="its constants are not published",
    ),
    "grpo_lambda": _length_term(
        "GRPO-lambda, arXiv 2505.18086", "grpo_lambda", differs="its strength of the penalty is not published"
    ),
    "short_rl": _length_term("Short-RL, arXiv 2505.12284", "short_rl"),
    "laser": _length_term(
        "LASER, arXiv 2505.15612",
        "laser",
        args={"target_tokens": OfLimit(1 / 4)},
        differs="the target is a quarter of the limit, as 4096 of its 16384 tokens",
    ),
    "laser_d": _length_term(
        "LASER-D, arXiv 2505.15612",
        "laser_d",
        args={"start_tokens": OfLimit(1 / 4), "spacing": OfLimit(1 / 16), "max_tokens": OfLimit()},
        differs="targets follow from the samples of training, not from 500 prompts, and are shares of the limit",
    ),
    "gr3": _length_term("GR3, arXiv 2603.10535", "gr3"),
    "tldr": Preset(
        "TLDR, arXiv 2505.07961, levels; the penalty's form is ours",
        trainer={"loss_type": "dr_grpo", "scale_rewards": "none", "beta": 0.0},
        rewards=({"name": "tldr", "args": {"max_tokens": OfLimit()}},),
        differs="only right answers pay for length, and advantages are not scaled, so that a level's weight counts "
        "where all answers are right; rows need the column level (prompts.levels)",
    ),
    "surrogate": _length_term(
        "format and length as surrogates, arXiv 2505.19439",
        "surrogate",
        args={"max_tokens": OfLimit()},
        beta=0.001,
        differs="its temperature is 0.6",
    ),
}

_PRESETS = {**_OBJECTIVES, **_LENGTH_TERMS}


def preset_names() -> list[str]:
    """All, objectives first."""
    return list(_PRESETS)


def find_preset(name: str) -> Preset:
    """By its name.

    Raises:
        KeyError: there is none.
    """
    return _PRESETS[name]
