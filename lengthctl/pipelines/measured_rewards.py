"""Arguments of rewards that a run measures on the untouched model before it trains: `p: measured` of `surrogate`."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from lengthctl.checking import Status
from lengthctl.pipelines.problem_bench import Answered
from lengthctl.rewards.build import build_reward
from lengthctl.rewards.combine import part_name
from lengthctl.rewards.surrogate import SurrogateReward
from lengthctl.train.ranks import from_main

if TYPE_CHECKING:
    from lengthctl.config import Config

__all__ = ["measured_point", "settle_rewards"]

MEASURED = "measured"
_LOWEST, _HIGHEST = 0.2, 0.8
_UNKNOWN = 0.5
"""The paper's, where no completion marks an answer."""


def measured_point(answers: Sequence[Answered], max_tokens: int) -> float:
    """Turning point of the surrogate, in [0.2, 0.8]: the median length of the completions that mark an answer, as a
    share of `max_tokens`, to two decimals; 0.5 without any. Right or wrong plays no part.

    The rule is ours: the paper (arXiv 2505.19439) takes 0.5 of a limit that fits its models. At the median of its own
    lengths a model is neither pushed to write more nor less, until answers come to be marked at other lengths.
    """
    lengths = [one.attempt.total_tokens for one in answers if one.attempt.status is not Status.NO_ANSWER]
    share = statistics.median(lengths) / max_tokens if lengths else _UNKNOWN
    return round(min(max(share, _LOWEST), _HIGHEST), 2)


def settle_rewards(
    config: Config, answers: Callable[[], Sequence[Answered]] = list, say: Callable[[str], None] = lambda line: None
) -> Config:
    """The config with a number for each argument that is to be measured; all trainer processes call it, and take the
    first one's numbers. The same answers give the same numbers, so a resumed run trains with them too.

    Args:
        config: of the run.
        answers: of the untouched model, as training asks it; called in the first process alone.
        say: told of each number.
    """
    if not any(_is_open(spec) for spec in config.rewards):
        return config
    found = from_main(lambda: _measure(config, answers(), say))
    rewards = [
        spec.model_copy(update={"args": {**spec.args, "p": found[part_name(spec)]}}) if _is_open(spec) else spec
        for spec in config.rewards
    ]
    return config.model_copy(update={"rewards": rewards})


def _measure(config: Config, answers: Sequence[Answered], say: Callable[[str], None]) -> dict[str, float]:
    points = {}
    for spec in filter(_is_open, config.rewards):
        reward = build_reward(spec.name, spec.args)
        assert isinstance(reward, SurrogateReward)
        name = part_name(spec)
        points[name] = measured_point(answers, reward.max_tokens)
        say(f"{name}: p = {points[name]:g} (median length of the marked answers among {len(answers)} untouched texts)")
    return points


def _is_open(spec: Any) -> bool:
    return bool(spec.name == "surrogate" and spec.args.get("p") == MEASURED)
