"""The judge of a training run: given to the rewards that want one, and asked as soon as a group is complete."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import fields, is_dataclass, replace
from typing import TYPE_CHECKING, Any

from lengthctl.errors import EndpointError
from lengthctl.evaluate.judge import JudgeStatus, judge_source
from lengthctl.evaluate.judge_items import PairItem
from lengthctl.judging_pairs import Pair
from lengthctl.pipelines.judge_room import JudgeRoom
from lengthctl.pipelines.pair_judging import opened_pair_judge
from lengthctl.records import Completion, FinishReason
from lengthctl.rewards.combine import Combined
from lengthctl.rewards.pair_groups import make_group
from lengthctl.rewards.pairwise import PairwiseReward
from lengthctl.rollout.open import engine_layout

if TYPE_CHECKING:
    from lengthctl.config import Config
    from lengthctl.train.group_watch import OnGroup

__all__ = ["judge_ahead", "judge_cpus", "opened_room", "wants_judge", "with_judge"]


def wants_judge(reward: Combined) -> bool:
    """A part has a field `judge`."""
    return any(_has_judge(part.reward) for part in reward.parts)


def judge_cpus(config: Config) -> int:
    """Cores that the engines of a local judge ask Ray for, beside the run's own; 0 for another judge, or none."""
    if config.judge is None or config.judge.backend != "vllm":
        return 0
    engines, threads = engine_layout(judge_source(config))
    return engines * threads


def with_judge(reward: Combined, judge: Any) -> Combined:
    """The same, with the judge in every part that has a field `judge`."""
    parts = (
        replace(part, reward=replace(part.reward, judge=judge)) if _has_judge(part.reward) else part  # type: ignore[type-var]
        for part in reward.parts
    )
    return replace(reward, parts=tuple(parts))


def _has_judge(reward: object) -> bool:
    return is_dataclass(reward) and any(field.name == "judge" for field in fields(reward))


@contextmanager
def opened_room(
    config: Config, reward: Combined, *, longest_tokens: int, say: Callable[[str], None]
) -> Iterator[JudgeRoom | None]:
    """The room of `config.judge`; None where no reward wants it.

    Args:
        config: checked.
        reward: of the run.
        longest_tokens: of a prompt and two completions.
        say: told what happens to the judge.

    Raises:
        EngineError, EndpointError: the judge cannot be started.
    """
    if config.judge is None or not wants_judge(reward):
        yield None
        return
    judge, interrupts = config.judge, list[threading.Event]()
    with opened_pair_judge(config, longest_tokens=longest_tokens, say=say, on_open=interrupts.append) as asker:
        if judge.backend == "endpoint":
            found = asker.judge([PairItem("probe", Pair("Say hello.", "Hello.", "No."))]).verdicts["probe"]
            if found.status is JudgeStatus.ERROR:
                raise EndpointError(f"the judge does not answer ({found.cause})", "Check judge.endpoint")
        room = JudgeRoom(
            asker,
            is_concurrent=judge.concurrent,
            patience_s=judge.patience_s,
            silent_steps=judge.silent_steps,
            interrupt=interrupts[0] if interrupts else None,
            say=say,
        )
        try:
            yield room
        finally:
            room.close()


def judge_ahead(reward: Combined, room: JudgeRoom) -> OnGroup:
    """What is told of each complete group: it asks what the pairwise rewards will ask about it."""
    asking = [part.reward for part in reward.parts if isinstance(part.reward, PairwiseReward)]

    def begin(row: Mapping[str, Any], completions: Sequence[Completion], step: int) -> None:
        for one in asking:
            group = make_group(
                row["prompt"],
                [completion.text for completion in completions],
                is_cut=[completion.is_truncated for completion in completions],
                is_failed=[completion.finish is FinishReason.ERROR for completion in completions],
                name=one.draws_of(row.get("prompt_id") or row["prompt"], step),
                truncated=one.truncated,
            )
            room.begin(one.questions(group))

    return begin
